#!/usr/bin/env bash
# Flower's adaptive clipping moves the clipping norm away from the wanted quantile.
#
# Expected: Andrew, Thakkar, McMahan and Ramaswamy, "Differentially Private Learning with Adaptive Clipping" (2021),
#   which Flower names, lets each client send b = 1 if the norm of its update is at most C, and then sets
#   C <- C * exp(-eta * (mean of b - gamma)). If every client is above C, the mean is 0, and C grows by exp(eta * gamma).
#   Flower's own documentation says that `target_clipped_quantile` is the share of updates that should be clipped: if all
#   of them are clipped and half should be, C has to grow.
# Seen: Flower's bit is 1 if the update WAS clipped, and the formula is the paper's. So C shrinks while all are clipped,
#   and grows while none is. Both wrappers do this: the one that clips on the server and the one that clips on the client.
# Where: flwr 1.42.0.
# What it means: with the defaults (C = 0.1, quantile 0.5, eta 0.2) and clients whose updates are longer than 0.1, C is
#   multiplied by exp(-0.1) = 0.9048 each round. All rounds together then move the model by at most
#   0.1 * (1 + 0.9048 + 0.9048^2 + ...) = 0.1 / (1 - 0.9048) = 1.051, however long one trains. Started above the updates'
#   norms, C grows by exp(0.1) a round, and with it the noise, which is proportional to C.
# By hand, 20 clients, each with an update of norm 1, no noise:
#   round        0      1      2      3      10     20     30
#   paper's C    .1     .1105  .1221  .1350  .2718  .7389  about 1 (it crosses 1 in round 24: ln 10 / 0.1 = 23.03)
#   Flower's C   .1     .0905  .0819  .0741  .0368  .0135  .0050
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet flwr==1.42.0 numpy==2.4.6
export FLWR_TELEMETRY_ENABLED=0
"$work/venv/bin/python" - <<'PYTHON' | tee "$work/output"
import logging
import math
import sys
from importlib.metadata import version

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp.mod import adaptiveclipping_mod
from flwr.serverapp import Grid
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyServerSideAdaptiveClipping,
    FedAvg,
)
from flwr.supercore.task_identity import TaskIdentity

logging.disable(logging.CRITICAL)
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # as in a process that Flower starts
CLIENTS = 20


def train(message, _context):
    """A client whose update has norm 1: four numbers, each 0.5 more."""
    weights = message.content["arrays"]["w"].numpy() + 0.5
    reply = {"arrays": ArrayRecord({"w": Array(weights)}), "metrics": MetricRecord({"num-examples": 1})}
    return Message(RecordDict(reply), reply_to=message)


class Clients(Grid):
    """Clients in this process, which answer at once."""

    run = None

    def __init__(self, client):
        self.client = client

    def get_node_ids(self):
        return range(1, CLIENTS + 1)

    def send_and_receive(self, messages, *, timeout=None):
        return [self.client(message, None) for message in messages]

    def set_run(self, run): ...
    def create_message(self, *args, **kwargs): ...
    def push_messages(self, messages): ...
    def pull_messages(self, message_ids): ...


def clipping_norms(wrapper, client, first):
    strategy = wrapper(
        FedAvg(fraction_evaluate=0.0),
        noise_multiplier=0.0,
        num_sampled_clients=CLIENTS,
        initial_clipping_norm=first,
    )
    seen = []

    def look(_round, arrays):
        seen.append((strategy.clipping_norm, float(np.linalg.norm(arrays["w"].numpy()))))

    start = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(Clients(client), start, num_rounds=30, evaluate_fn=look)
    return seen


def paper(first):
    norms = [first]
    for _ in range(30):
        unclipped = 1.0 if norms[-1] >= 1 else 0.0
        norms.append(norms[-1] * math.exp(-0.2 * (unclipped - 0.5)))
    return norms


print("flwr", version("flwr"))
same = True
ways = {
    "server": (DifferentialPrivacyServerSideAdaptiveClipping, train),
    "client": (
        DifferentialPrivacyClientSideAdaptiveClipping,
        lambda message, context: adaptiveclipping_mod(message, context, train),
    ),
}
for side, (wrapper, client) in ways.items():
    for first, direction in [(0.1, -1), (10.0, 1)]:
        seen = clipping_norms(wrapper, client, first)
        print(f"clipping on the {side}, C starts at {first}, all updates have norm 1:")
        for round in (0, 1, 2, 3, 10, 20, 30):
            print(f"  round {round:2}: paper's C {paper(first)[round]:8.4f}, Flower's C {seen[round][0]:8.4f},"
                  f" distance from the first model {seen[round][1]:.4f}")
        same &= all(math.isclose(c, first * math.exp(direction * 0.1 * round), rel_tol=1e-6)
                    for round, (c, _) in enumerate(seen))
if not same:
    sys.exit("CHANGED: the clipping norm no longer moves away from the updates' norms")
print("As described: the clipping norm moves away from the updates' norms.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
flwr 1.42.0
clipping on the server, C starts at 0.1, all updates have norm 1:
  round  0: paper's C   0.1000, Flower's C   0.1000, distance from the first model 0.0000
  round  1: paper's C   0.1105, Flower's C   0.0905, distance from the first model 0.1000
  round  2: paper's C   0.1221, Flower's C   0.0819, distance from the first model 0.1905
  round  3: paper's C   0.1350, Flower's C   0.0741, distance from the first model 0.2724
  round 10: paper's C   0.2718, Flower's C   0.0368, distance from the first model 0.6643
  round 20: paper's C   0.7389, Flower's C   0.0135, distance from the first model 0.9086
  round 30: paper's C   1.1023, Flower's C   0.0050, distance from the first model 0.9985
clipping on the server, C starts at 10.0, all updates have norm 1:
  round  0: paper's C  10.0000, Flower's C  10.0000, distance from the first model 0.0000
  round  1: paper's C   9.0484, Flower's C  11.0517, distance from the first model 1.0000
  round  2: paper's C   8.1873, Flower's C  12.2140, distance from the first model 2.0000
  round  3: paper's C   7.4082, Flower's C  13.4986, distance from the first model 3.0000
  round 10: paper's C   3.6788, Flower's C  27.1828, distance from the first model 10.0000
  round 20: paper's C   1.3534, Flower's C  73.8906, distance from the first model 20.0000
  round 30: paper's C   0.9072, Flower's C 200.8554, distance from the first model 30.0000
clipping on the client, C starts at 0.1, all updates have norm 1:
  round  0: paper's C   0.1000, Flower's C   0.1000, distance from the first model 0.0000
  round  1: paper's C   0.1105, Flower's C   0.0905, distance from the first model 0.1000
  round  2: paper's C   0.1221, Flower's C   0.0819, distance from the first model 0.1905
  round  3: paper's C   0.1350, Flower's C   0.0741, distance from the first model 0.2724
  round 10: paper's C   0.2718, Flower's C   0.0368, distance from the first model 0.6643
  round 20: paper's C   0.7389, Flower's C   0.0135, distance from the first model 0.9086
  round 30: paper's C   1.1023, Flower's C   0.0050, distance from the first model 0.9985
clipping on the client, C starts at 10.0, all updates have norm 1:
  round  0: paper's C  10.0000, Flower's C  10.0000, distance from the first model 0.0000
  round  1: paper's C   9.0484, Flower's C  11.0517, distance from the first model 1.0000
  round  2: paper's C   8.1873, Flower's C  12.2140, distance from the first model 2.0000
  round  3: paper's C   7.4082, Flower's C  13.4986, distance from the first model 3.0000
  round 10: paper's C   3.6788, Flower's C  27.1828, distance from the first model 10.0000
  round 20: paper's C   1.3534, Flower's C  73.8906, distance from the first model 20.0000
  round 30: paper's C   0.9072, Flower's C 200.8554, distance from the first model 30.0000
As described: the clipping norm moves away from the updates' norms.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
