#!/usr/bin/env bash
# fluke's FedNova multiplies the whole model when clients take different numbers of steps.
#
# Expected: Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization" (2020),
#   which fluke names: x += tau_eff * sum of p_i * (change of client i) / a_i, with tau_eff = sum of p_i * a_i and, without
#   momentum, a_i = the client's number of steps. Clients that don't change the model leave it as it is.
# Seen: fluke averages the clients' models (not their changes) with the weights p_i * tau_eff / a_i. These sum to 1 only if
#   all a_i are equal. The rest, (1 - sum) * x, is missing, so each round also multiplies x by their sum, which is at least
#   1 (the weighted arithmetic mean of the a_i times the weighted mean of 1 / a_i).
# Where: fluke-fl 0.8.1, with torch 2.13.0.
# What it means: the more unequal the clients, the faster all weights grow, whatever the data says. FedNova is made for
#   unequal clients, and looks bad there for this reason alone.
# By hand: two clients with 80 and 240 examples, batches of 8, one epoch: a = 10 and 30 steps, p = .25 and .75, tau_eff =
#   .25 * 10 + .75 * 30 = 25. Weights .25 * 25 / 10 = .625 and .75 * 25 / 30 = .625, together 1.25 (with p = .5 each:
#   1.333). After 10 rounds of clients that change nothing, all weights are 1.25^10 = 9.3 times what they were.
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
import math
import sys
from contextlib import redirect_stdout
from importlib.metadata import version

import torch
from fluke import DDict
from fluke.algorithms.fedavg import FedAVG
from fluke.algorithms.fednova import FedNova
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


def norms(algorithm, sizes, rate):
    torch.manual_seed(0)
    _, models = run(algorithm, torch.nn.Linear(4, 2), sizes, rate, 10)
    return [model["weight"].norm().item() for model in models]


print("fluke-fl", version("fluke-fl"), "torch", version("torch"))
print("norm of the global weights / at first, after 1, 2 and 10 rounds:")
found = {}
for rate in (0.0, 0.01):
    for sizes in ([160, 160], [80, 240]):
        for algorithm in (FedAVG, FedNova):
            seen = norms(algorithm, sizes, rate)
            ratios = [seen[round] / seen[0] for round in (1, 2, 10)]
            found[rate, sizes[0], algorithm] = ratios
            print(f"  rate {rate}, clients of {sizes} examples, {algorithm.__name__}: "
                  + ", ".join(f"{ratio:.4f}" for ratio in ratios))
same = all(math.isclose(found[0.0, 80, FedNova][i], 1.25**round, rel_tol=1e-4) for i, round in enumerate((1, 2, 10)))
same &= math.isclose(found[0.0, 160, FedNova][2], 1, rel_tol=1e-4)
same &= math.isclose(found[0.0, 80, FedAVG][2], 1, rel_tol=1e-4)
if not same:
    sys.exit("CHANGED: the weights' sum is another")
print("As described: with 10 and 30 steps, the model is multiplied by 1.25 in each round, though no client changes it.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
fluke-fl 0.8.1 torch 2.13.0
norm of the global weights / at first, after 1, 2 and 10 rounds:
  rate 0.0, clients of [160, 160] examples, FedAVG: 1.0000, 1.0000, 1.0000
  rate 0.0, clients of [160, 160] examples, FedNova: 1.0000, 1.0000, 1.0000
  rate 0.0, clients of [80, 240] examples, FedAVG: 1.0000, 1.0000, 1.0000
  rate 0.0, clients of [80, 240] examples, FedNova: 1.2500, 1.5625, 9.3132
  rate 0.01, clients of [160, 160] examples, FedAVG: 0.9533, 0.9116, 0.7175
  rate 0.01, clients of [160, 160] examples, FedNova: 0.9533, 0.9116, 0.7175
  rate 0.01, clients of [80, 240] examples, FedAVG: 0.9309, 0.8709, 0.6347
  rate 0.01, clients of [80, 240] examples, FedNova: 1.1804, 1.4015, 6.6530
As described: with 10 and 30 steps, the model is multiplied by 1.25 in each round, though no client changes it.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
