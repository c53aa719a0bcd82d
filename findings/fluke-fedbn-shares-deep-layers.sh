#!/usr/bin/env bash
# fluke's FedBN shares nearly all batch norm layers of a ResNet.
#
# Expected: Li et al., "FedBN: Federated Learning on Non-IID Features via Local Batch Normalization" (2021), which fluke
#   names: every client keeps all of its batch norm layers, and everything else is averaged.
# Seen: fluke collects the layers' names with their last parent only: `layer1.0.bn1` becomes `0.bn1`. It then looks for
#   names in the state that start with that, and finds none. So only batch norm layers at most two levels deep are kept.
# Where: fluke-fl 0.8.1, with torch 2.13.0 and torchvision 0.28.0.
# What it means: of the 20 batch norm layers of fluke's own ResNet18, 1 stays local and 19 are overwritten as in FedAvg;
#   a comparison of FedBN with FedAvg on a ResNet compares nearly the same thing twice.
# By hand: torchvision's ResNet-18 has bn1 and, in each of its 8 blocks, bn1 and bn2, and 3 blocks have downsample.1:
#   1 + 16 + 3 = 20. fluke's wrapper puts `resnet.` before all of them, so only `resnet.bn1` is two levels deep.
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
from fluke.algorithms.fedbn import FedBN
from fluke.data import DataSplitter, DummyDataContainer, FastDataLoader
from fluke.nets import ResNet18


def loader(examples, client):
    source = torch.Generator().manual_seed(client)
    x, y = torch.randn(examples, 3, 32, 32, generator=source), torch.randint(0, 2, (examples,), generator=source)
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


print("fluke-fl", version("fluke-fl"), "torch", version("torch"))
torch.manual_seed(0)
learning, models = run(FedBN, ResNet18(output_size=2), [16, 24], 0.01, 2)
client, server = learning.clients[0], models[-1]
learning.server.broadcast_model(learning.clients)  # as at the start of a third round
client.receive_model()
mine = client.model.state_dict()
norms = [name for name, layer in client.model.named_modules() if isinstance(layer, torch.nn.BatchNorm2d)]
kept, overwritten = [], []
for name in norms:
    same = [torch.equal(mine[f"{name}.{part}"], server[f"{name}.{part}"]) for part in ("weight", "bias", "running_var")]
    if all(same):
        overwritten.append(name)
    elif not any(same):
        kept.append(name)
print(f"batch norm layers: {len(norms)}; kept by the client: {kept}; overwritten by the server's: {len(overwritten)},"
      f" from {overwritten[0]} to {overwritten[-1]}")
if len(norms) != 20 or kept != ["resnet.bn1"] or len(overwritten) != 19:
    sys.exit("CHANGED: other batch norm layers are kept")
print("As described: 1 of 20 batch norm layers stays local.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
fluke-fl 0.8.1 torch 2.13.0
batch norm layers: 20; kept by the client: ['resnet.bn1']; overwritten by the server's: 19, from resnet.layer1.0.bn1 to resnet.layer4.1.bn2
As described: 1 of 20 batch norm layers stays local.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
