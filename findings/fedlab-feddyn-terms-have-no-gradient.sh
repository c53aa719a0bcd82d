#!/usr/bin/env bash
# FedLab's FedDyn client trains exactly as plain SGD does, whatever alpha is.
#
# Expected: Acar et al., "Federated Learning Based on Dynamic Regularization" (2021), Algorithm 1: the client minimizes
#   L_k(w) - <g_k, w> + alpha / 2 * ||w - w^t||^2. With a large alpha, w stays near w^t.
# Seen: FedLab adds both terms to the loss, but makes them of `model_parameters`, a copy of the parameters' data that is no
#   part of the graph. They change the loss's value and have no gradient, so no alpha changes a single bit of the model.
#   The server does use alpha, and subtracts w^t once in place of once for each client: if m clients send back just what
#   they received, h should stay 0 and w^t stay as it is. Here h becomes -alpha / N * (m - 1) * w^t, and the new model is
#   w^t + (m - 1) / N * w^t.
# Where: fedlab 1.3.0, with torch 2.13.0.
# What it means: a comparison with FedLab's FedDyn doesn't show what FedDyn's regularization does.
# By hand: w^t = 1, N = m = 2, alpha = .1, both clients send back 1: h = 0 - .1 / 2 * (2 - 1) = -.05, and the new model is
#   1 - (-.05) / .1 = 1.5, where the paper has 1. With N = m = 10 it is 1.9.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 pandas==3.1.1 scikit-learn==1.9.1 pynvml==13.0.1 \
    munch==4.0.0 tqdm==4.70.1
"$work/venv/bin/pip" install --quiet --no-deps fedlab==1.3.0 torchvision==0.28.0 pillow==13.0.0
"$work/venv/bin/python" -W ignore - <<'PYTHON' | tee "$work/output"
import sys
from importlib.metadata import version

import torch
from fedlab.contrib.algorithm.feddyn import FedDynSerialClientTrainer, FedDynServerHandler
from torch.utils.data import DataLoader, TensorDataset


class Samples:
    def get_dataloader(self, client, batch_size):
        source = torch.Generator().manual_seed(client)
        x, y = torch.randn(32, 4, generator=source), torch.randint(0, 2, (32,), generator=source)
        return DataLoader(TensorDataset(x, y), batch_size=batch_size)


def two_rounds(alpha):
    """A client's models after two rounds, where the second starts from the first's; g is 0 only in the first."""
    torch.manual_seed(0)
    trainer = FedDynSerialClientTrainer(torch.nn.Linear(4, 2), 1)
    trainer.setup_dataset(Samples())
    trainer.setup_optim(epochs=5, batch_size=8, lr=0.01, alpha=alpha)
    models = [trainer.model_parameters.clone()]
    for _ in range(2):
        trainer.local_process([models[-1]], [0])
        models.append(trainer.uplink_package[0][0].clone())
    return models


def by_paper(alpha):
    """The same, by the paper's loss; the data, the order and the first model are the trainer's."""
    torch.manual_seed(0)
    net, g = torch.nn.Linear(4, 2), None
    flat = lambda: torch.cat([p.flatten() for p in net.parameters()])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    models = [flat().detach().clone()]
    g = torch.zeros_like(models[0])
    for _ in range(2):
        for _ in range(5):
            for x, y in Samples().get_dataloader(0, 8):
                loss = torch.nn.functional.cross_entropy(net(x), y)
                loss = loss - torch.dot(g, flat()) + alpha / 2 * ((flat() - models[-1]) ** 2).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        g = g - alpha * (flat().detach() - models[-1])
        models.append(flat().detach().clone())
    return models


def server(clients):
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(net.weight)
    handler = FedDynServerHandler(net, 1, 1.0)
    handler.num_clients = clients
    handler.setup_optim(0.1)
    for _ in range(clients):
        handler.load([torch.ones(1)])
    return handler.model_parameters.item()


print("fedlab", version("fedlab"), "torch", version("torch"))
print("distance that a client goes in its first and second round:")
print(" alpha   FedLab            paper")
plain, same = two_rounds(0.0), True
for alpha in (0.0, 0.1, 1.0, 10.0):
    seen, paper = two_rounds(alpha), by_paper(alpha)
    row = [torch.dist(m[i], m[i + 1]).item() for m in (seen, paper) for i in (0, 1)]
    print(f"{alpha:6}   {row[0]:.4f}, {row[1]:.4f}    {row[2]:.4f}, {row[3]:.4f}")
    same &= all(torch.equal(a, b) for a, b in zip(seen, plain))
    same &= alpha > 0 or torch.allclose(seen[2], paper[2], atol=1e-6)
    same &= alpha < 10 or row[2] < row[0] / 2
print("server, all clients send back the model 1: with 2 clients", server(2), "and with 10", server(10), "(paper: 1)")
if not same or abs(server(2) - 1.5) > 1e-5 or abs(server(10) - 1.9) > 1e-5:
    sys.exit("CHANGED: alpha has an effect on the client, or the server's model is another")
print("As described: alpha changes no bit of the client's models, and the server moves although no client did.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
fedlab 1.3.0 torch 2.13.0
distance that a client goes in its first and second round:
 alpha   FedLab            paper
   0.0   0.0804, 0.0751    0.0804, 0.0751
   0.1   0.0804, 0.0751    0.0796, 0.0728
   1.0   0.0804, 0.0751    0.0727, 0.0555
  10.0   0.0804, 0.0751    0.0328, 0.0037
server, all clients send back the model 1: with 2 clients 1.5 and with 10 1.9000000953674316 (paper: 1)
As described: alpha changes no bit of the client's models, and the server moves although no client did.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
