#!/usr/bin/env bash
# Flower's server optimizers treat batch norm's running variance as a parameter and make it negative.
#
# Expected: a server optimizer (Reddi et al., "Adaptive Federated Optimization", 2021; Hsu et al., 2019, for FedAvgM)
#   steps along the clients' updates, which are pseudo-gradients of the model's parameters. A running variance has no
#   gradient; it should be averaged, or left out. It can't be negative: each client's is a mean of variances.
# Seen: ArrayRecord, what Flower sends, is documented as taking a whole `state_dict()`, so running statistics too, and the
#   server optimizers run over all arrays in it. Momentum overshoots: with its defaults, FedAdam's running variance is below zero in rounds 12 to 29.
# Where: flwr 1.42.0.
# What it means: batch norm in evaluation divides by sqrt(running_var + 1e-5), so the evaluated model gives NaN for those
#   rounds, although training (which uses the batch's own variance) goes well. FedAvg has no such rounds.
# By hand: a layer's true variance is .05, and PyTorch's first running variance is 1. A client that trains for 100 batches
#   with batch norm's default momentum of .1 sends back .9^100 * (what it received) + (1 - .9^100) * .05, so .05.
#   FedAvgM with momentum .9: round 1: v = .05 - 1 = -.95, x = 1 - .95 = .05. Round 2: the update is 0, v = .9 * -.95 =
#   -.855, x = .05 - .855 = -.805. Round 3: the update is .855, v = .855 - .7695 = .0855, x = -.7195.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet flwr==1.42.0 numpy==2.4.6
export FLWR_TELEMETRY_ENABLED=0
"$work/venv/bin/python" - <<'PYTHON' | tee "$work/output"
import logging
import sys
from importlib.metadata import version

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM
from flwr.supercore.task_identity import TaskIdentity

logging.disable(logging.CRITICAL)
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # as in a process that Flower starts


class Clients(Grid):
    """Clients in this process, which answer at once."""

    run = None

    def __init__(self, count, train):
        self.count, self.train = count, train

    def get_node_ids(self):
        return range(1, self.count + 1)

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            sent = {name: array.numpy() for name, array in message.content["arrays"].items()}
            arrays, metrics = self.train(message.metadata.dst_node_id, sent)
            arrays = ArrayRecord({name: Array(np.asarray(value)) for name, value in arrays.items()})
            record = RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)})
            replies.append(Message(record, reply_to=message))
        return replies

    def set_run(self, run): ...
    def create_message(self, *args, **kwargs): ...
    def push_messages(self, messages): ...
    def pull_messages(self, message_ids): ...


sent_back = []


def client(_node, sent):
    """100 batches whose variance is .05, with batch norm's default momentum."""
    variance = sent["bn.running_var"]
    for _ in range(100):
        variance = 0.9 * variance + 0.1 * 0.05
    sent_back.append(variance[0])
    return {"bn.running_var": variance}, {"num-examples": 1}


def variances(strategy):
    seen = []
    start = ArrayRecord({"bn.running_var": Array(np.ones(1))})
    strategy.start(Clients(2, client), start, num_rounds=40,
                   evaluate_fn=lambda _round, arrays: seen.append(float(arrays["bn.running_var"].numpy()[0])))
    return np.array(seen)


print("flwr", version("flwr"))
results = {
    "FedAvg": variances(FedAvg(fraction_evaluate=0.0)),
    "FedAvgM, momentum .9": variances(FedAvgM(fraction_evaluate=0.0, server_momentum=0.9)),
    "FedAdam, defaults": variances(FedAdam(fraction_evaluate=0.0)),
}
for name, seen in results.items():
    below = [round for round in range(41) if seen[round] < 0]
    print(f"{name}: global running_var after rounds 0, 1, 2, 3, 10, 20, 40: "
          + ", ".join(f"{seen[round]:.4f}" for round in (0, 1, 2, 3, 10, 20, 40)))
    print(f"  negative after rounds {below}" if below else "  never negative")
print(f"what the clients sent back was between {min(sent_back):.4f} and {max(sent_back):.4f}")
with np.errstate(invalid="ignore"):
    print("1 / sqrt(running_var + 1e-5) after round 20 of FedAdam:", 1 / np.sqrt(results["FedAdam, defaults"][20] + 1e-5))
same = (
    min(sent_back) > 0
    and np.allclose(results["FedAvg"][1:], 0.05, atol=1e-3)
    and np.allclose(results["FedAvgM, momentum .9"][1:4], [0.05, -0.805, -0.7195], atol=1e-3)
    and all(results["FedAdam, defaults"][12:30] < 0)
)
if not same:
    sys.exit("CHANGED: the running variances aren't those described")
print("As described: every client sends a positive variance, and the server makes a negative one of them.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
flwr 1.42.0
FedAvg: global running_var after rounds 0, 1, 2, 3, 10, 20, 40: 1.0000, 0.0500, 0.0500, 0.0500, 0.0500, 0.0500, 0.0500
  never negative
FedAvgM, momentum .9: global running_var after rounds 0, 1, 2, 3, 10, 20, 40: 1.0000, 0.0500, -0.8050, -0.7195, 0.2164, -0.3260, 0.1695
  negative after rounds [2, 3, 7, 8, 9, 13, 14, 15, 19, 20, 21, 25, 26, 27, 31, 32, 37, 38]
FedAdam, defaults: global running_var after rounds 0, 1, 2, 3, 10, 20, 40: 1.0000, 0.9265, 0.8418, 0.7524, 0.1388, -0.2270, 0.1545
  negative after rounds [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]
what the clients sent back was between 0.0500 and 0.0500
1 / sqrt(running_var + 1e-5) after round 20 of FedAdam: nan
As described: every client sends a positive variance, and the server makes a negative one of them.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
