#!/usr/bin/env bash
# APPFL's FedBuff: a stale client that changed nothing pulls the model back, and the step isn't the mean of the buffer.
#
# Expected: Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation" (2022), Algorithm 1, which APPFL
#   names: a client's update is the difference of its trained model and the model that it started from; the server adds up
#   K updates, divides the sum by K, and takes a step of eta_g times that.
# Seen: (1) APPFL takes the difference of the client's model and the server's newest model. For a stale client that
#   contains, with the other sign, all that the others have contributed since it started. (2) The sum isn't divided by K
#   but by the number of all clients, `num_clients`.
# Where: appfl 1.12.0, with torch 2.13.0.
# What it means: (1) slow clients undo fast clients' work, even with nothing learned; FedBuff's paper avoids just that,
#   and results on staleness don't carry over. (2) with 100 clients and K = 10, a step is a tenth of the paper's: a rate
#   taken from the paper trains ten times slower.
# By hand: (1) 2 clients, K = 1, alpha = 1. B takes the model 0. A takes 0, sends 1: 0 + (1 - 0) / 2 = .5. B sends back 0,
#   as it received it: paper .5 + 0 = .5; APPFL .5 + (0 - .5) / 2 = .25. (2) K = 10 clients each send the model + 1: paper
#   10 / 10 = 1; APPFL with 10 clients 10 / 10 = 1, with 100 clients 10 / 100 = .1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 omegaconf==2.4.0 requests==2.34.2 \
    packaging==26.4
"$work/venv/bin/pip" install --quiet --no-deps appfl==1.12.0 opacus==1.6.0
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON' | tee "$work/output"
import sys
from importlib.metadata import version

import torch
from appfl.algorithm.aggregator import FedBuffAggregator
from omegaconf import DictConfig


def server(clients, buffer):
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    return FedBuffAggregator(net, DictConfig({"num_clients": clients, "K": buffer, "alpha": 1.0}))


def received(server, client):
    return server.get_parameters(client_id=client)["weight"].clone()


print("appfl", version("appfl"), "torch", version("torch"))
fast_and_slow = server(clients=2, buffer=1)
slow = received(fast_and_slow, "B")
before = fast_and_slow.aggregate("A", {"weight": received(fast_and_slow, "A") + 1})["weight"].item()
after = fast_and_slow.aggregate("B", {"weight": slow})["weight"].item()
print(f"after A's update {before}; after B sent back what it had received: {after} (paper: {before})")
steps = {}
for clients in (10, 100):
    buffered = server(clients, buffer=10)
    for client in range(10):
        model = buffered.aggregate(client, {"weight": received(buffered, client) + 1})
    steps[clients] = model["weight"].item()
    print(f"{clients} clients, K = 10, each of the ten moves by 1: step {steps[clients]:.4f} (paper: 1)")
close = lambda a, b: abs(a - b) < 1e-5
if not (close(before, 0.5) and close(after, 0.25) and close(steps[10], 1) and close(steps[100], 0.1)):
    sys.exit("CHANGED: the models are others")
print("As described: half of A's contribution is gone, and the step goes by the number of clients.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
appfl 1.12.0 torch 2.13.0
after A's update 0.5; after B sent back what it had received: 0.25 (paper: 0.5)
10 clients, K = 10, each of the ten moves by 1: step 1.0000 (paper: 1)
100 clients, K = 10, each of the ten moves by 1: step 0.1000 (paper: 1)
As described: half of A's contribution is gone, and the step goes by the number of clients.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
