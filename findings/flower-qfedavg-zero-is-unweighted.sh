#!/usr/bin/env bash
# Flower's q-FedAvg at q = 0 isn't FedAvg: it leaves out how many examples a client has.
#
# Expected: the documentation of QFedAvg's `q`: "When set to 0, q-FedAvg is equivalent to FedAvg." In Li et al., "Fair
#   Resource Allocation in Federated Learning" (2020), q-FFL's objective weights client k by p_k (its share of the
#   examples), and q-FedAvg samples clients with probability p_k; so q = 0 gives back FedAvg's weighting.
# Seen: QFedAvg samples clients uniformly, as Flower's FedAvg does, and sums over them without weights. At q = 0 it is the
#   plain mean of the clients' models, while FedAvg is the mean weighted by "num-examples". So p_k occurs nowhere.
# Where: flwr 1.42.0.
# What it means: a sweep over q that starts with q = 0 as "the FedAvg baseline" compares two weightings as well as two q.
# By hand: client 1 has 1 example and stays at 0; client 2 has 99 and goes to 1; lr = .1, so L = 10. q = 0: h_k = L for both,
#   Delta_1 = 0, Delta_2 = L * (0 - 1) = -10, and the new model is 0 - (-10) / 20 = .5. FedAvg: .01 * 0 + .99 * 1 = .99.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet flwr==1.42.0 numpy==2.4.6
export FLWR_TELEMETRY_ENABLED=0
"$work/venv/bin/python" - <<'PYTHON'
import logging
import re
import sys
from importlib.metadata import version

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, QFedAvg
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


def client(node, sent):
    if node == 1:
        return {"w": sent["w"]}, {"num-examples": 1, "train_loss": 0.7}
    return {"w": sent["w"] + 1.0}, {"num-examples": 99, "train_loss": 0.7}


def model(strategy):
    start = ArrayRecord({"w": Array(np.zeros(1))})
    return float(strategy.start(Clients(2, client), start, num_rounds=1).arrays["w"].numpy()[0])


print("flwr", version("flwr"))
documented = re.search(r"When set to 0, .*", QFedAvg.__doc__)
print("documented:", documented.group() if documented else "(nothing about q = 0 any more)")
fedavg = model(FedAvg(fraction_evaluate=0.0))
qfedavg = model(QFedAvg(client_learning_rate=0.1, q=0.0, fraction_evaluate=0.0))
print(f"FedAvg: {fedavg:.4f}, q-FedAvg with q = 0: {qfedavg:.4f}")
if not documented or not np.isclose(fedavg, 0.99) or not np.isclose(qfedavg, 0.5):
    sys.exit("CHANGED: the documentation or the models aren't those described")
print("As described: q = 0 gives the plain mean, FedAvg the weighted one.")
PYTHON
