#!/usr/bin/env bash
# fluke's FedAvgM throws the first round away.
#
# Expected: Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
#   Classification" (2019), which fluke names: v <- beta v + (change), w <- w - v, with v = 0 before the first round. So
#   the first round is FedAvg's.
# Seen: in the first round fluke only makes the momentum, as zeros, and then subtracts it from the old model. What the
#   clients learned in that round is dropped; the second round starts from the untrained model again.
# Where: fluke-fl 0.8.1, with torch 2.13.0.
# What it means: every curve of FedAvgM lies one round behind those it is compared with, and one round of the clients' work
#   is lost: with few long rounds (say 10), that is a tenth of the training.
# By hand: two equal clients, first change d_1. Paper: ||w_1 - w_0|| = ||d_1||. fluke: 0 after round 1, ||d_1|| after round 2.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 pandas==3.1.1 scikit-learn==1.9.1 seaborn==0.13.2 \
    diskcache==5.6.3 omegaconf==2.4.0 rich==15.0.0 psutil==7.2.2 cerberus==1.3.8 pyyaml==6.0.4
"$work/venv/bin/pip" install --quiet --no-deps fluke-fl==0.8.1 torchvision==0.28.0 pillow==13.0.0 \
    torchmetrics==1.9.0 lightning-utilities==0.15.3
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON' | tee "$work/output"
import copy
import io
import sys
from contextlib import redirect_stdout
from importlib.metadata import version

import torch
from fluke import DDict
from fluke.algorithms.fedavg import FedAVG
from fluke.algorithms.fedavgm import FedAVGM
from fluke.data import DataSplitter, DummyDataContainer, FastDataLoader


def loader(examples, client):
    source = torch.Generator().manual_seed(client)
    x, y = torch.randn(examples, 4, generator=source), torch.randint(0, 2, (examples,), generator=source)
    return FastDataLoader(x, y, num_labels=2, batch_size=8)


def run(algorithm, net, sizes, rate, rounds):
    """The algorithm after a run, and the global model's parameters and buffers after each round."""
    data = DataSplitter(DummyDataContainer([loader(n, i) for i, n in enumerate(sizes)], [None] * len(sizes), None, 2))
    client = DDict(batch_size=8, local_epochs=1, loss=torch.nn.CrossEntropyLoss, optimizer=DDict(name="SGD", lr=rate),
                   scheduler=DDict(name="StepLR", step_size=1, gamma=1))
    learning = algorithm(len(sizes), data, DDict(model=net, client=client, server=DDict(weighted=True)))
    models = [copy.deepcopy(learning.server.model.state_dict())]
    with redirect_stdout(io.StringIO()):
        for _ in range(rounds):
            learning.run(1, 1.0, finalize=False)
            models.append(copy.deepcopy(learning.server.model.state_dict()))
    return learning, models


def weights(algorithm):
    torch.manual_seed(0)
    return [model["weight"] for model in run(algorithm, torch.nn.Linear(4, 2), [80, 80], 0.1, 3)[1]]


print("fluke-fl", version("fluke-fl"), "torch", version("torch"))
fedavg, fedavgm = weights(FedAVG), weights(FedAVGM)
print("distance of the global weights from the first ones:")
for round in range(4):
    print(f"  round {round}: FedAvg {torch.dist(fedavg[round], fedavg[0]):.4f},"
          f" FedAvgM {torch.dist(fedavgm[round], fedavgm[0]):.4f}")
untouched = torch.equal(fedavgm[1], fedavgm[0])
late = torch.allclose(fedavgm[2], fedavg[1], atol=1e-6)
if not untouched or not late or torch.equal(fedavg[1], fedavg[0]):
    sys.exit("CHANGED: the first round of FedAvgM counts now")
print("As described: FedAvgM's model after round 1 is the first model, and after round 2 it is FedAvg's of round 1.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
fluke-fl 0.8.1 torch 2.13.0
distance of the global weights from the first ones:
  round 0: FedAvg 0.0000, FedAvgM 0.0000
  round 1: FedAvg 0.2944, FedAvgM 0.0000
  round 2: FedAvg 0.4791, FedAvgM 0.2944
  round 3: FedAvg 0.5886, FedAvgM 0.7440
As described: FedAvgM's model after round 1 is the first model, and after round 2 it is FedAvg's of round 1.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
