#!/usr/bin/env bash
# Flower's FedAdam takes steps of half the paper's size for the first rounds; its FedYogi takes larger ones.
#
# Expected: Reddi et al., "Adaptive Federated Optimization" (2021), Algorithm 2, which Flower names as what it implements:
#   m_t = b1 m + (1 - b1) D,  v_t = b2 v + (1 - b2) D^2 (Yogi: v - (1 - b2) D^2 sign(v - D^2)),
#   x += eta m_t / (sqrt(v_t) + tau), with v_{-1} >= tau^2 and no correction of the bias.
# Seen: v starts at 0 in place of tau^2, in all of Flower's adaptive strategies. FedAdam (and only it) also multiplies eta
#   by Adam's correction, for which its source cites Kingma and Ba, but with the exponent round + 1, while its rounds count
#   from 1: Kingma and Ba's factor is sqrt(1 - b2^t) / (1 - b1^t) at step t, which is 1 at t = 1. Flower's is .742 there.
# Where: flwr 1.42.0.
# What it means: an eta tuned with the paper's algorithm, or with Flower's FedYogi, isn't the eta that FedAdam uses. For
#   updates of 0.01 with the defaults b1 = .9, b2 = .99, tau = .001, FedAdam's steps in rounds 2 to 10 are between .49 and
#   .72 of the paper's, and FedYogi's are between 1.04 and 1.13 of it.
# By hand, D = .01 in each round, steps in units of eta:
#   round 1, paper:  m = .001, v = .99e-6 + 1e-6 = 1.99e-6, step = .001 / (.0014107 + .001) = .4148
#            FedYogi: v = 1e-6, step = .001 / (.001 + .001) = .5
#            FedAdam: .5 * sqrt(1 - .99^2) / (1 - .9^2) = .5 * .14107 / .19 = .3712
#   round 2, paper:  m = .0019, v = .99 * 1.99e-6 + 1e-6 = 2.9701e-6, step = .0019 / .0027234 = .6977
#            FedAdam: v = 1.99e-6, step = .0019 / .0024107 * sqrt(1 - .99^3) / (1 - .9^3) = .7882 * .63594 = .5012
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
from flwr.serverapp.strategy import FedAdam, FedYogi
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


def client(_node, sent):
    return {"w": sent["w"] + 0.01}, {"num-examples": 1}


def steps(strategy):
    """The steps that the global model takes in ten rounds."""
    models = []
    start = ArrayRecord({"w": Array(np.zeros(1))})
    strategy.start(Clients(2, client), start, num_rounds=10,
                   evaluate_fn=lambda _round, arrays: models.append(arrays["w"].numpy()[0]))
    return np.diff(models)


def by_formula(v, yogi=False, exponent=None):
    m, update, found = 0.0, 0.01, []
    for round in range(1, 11):
        m = 0.9 * m + 0.1 * update
        v = v - 0.01 * update**2 * np.sign(v - update**2) if yogi else 0.99 * v + 0.01 * update**2
        factor = 1.0
        if exponent is not None:
            t = round + exponent
            factor = np.sqrt(1 - 0.99**t) / (1 - 0.9**t)
        found.append(factor * m / (np.sqrt(v) + 1e-3))
    return np.array(found)


adam = steps(FedAdam(fraction_evaluate=0.0, eta=1.0))
yogi = steps(FedYogi(fraction_evaluate=0.0, eta=1.0))
paper_adam, paper_yogi = by_formula(1e-6), by_formula(1e-6, yogi=True)
kingma = by_formula(0.0, exponent=0)
print("flwr", version("flwr"))
print("steps in units of eta, for updates of 0.01 in each round:")
print("round  FedAdam: paper  Flower  (as Kingma and Ba's from v = 0)   FedYogi: paper  Flower")
for i in range(10):
    print(f"{i + 1:5}  {paper_adam[i]:14.4f}  {adam[i]:6.4f}  {kingma[i]:33.4f}   {paper_yogi[i]:14.4f}  {yogi[i]:6.4f}")
print("FedAdam / paper, rounds 2 to 10: {:.2f} to {:.2f}".format(*(f((adam / paper_adam)[1:]) for f in (min, max))))
print("FedYogi / paper, rounds 2 to 10: {:.2f} to {:.2f}".format(*(f((yogi / paper_yogi)[1:]) for f in (min, max))))
same = np.allclose(adam, by_formula(0.0, exponent=1)) and np.allclose(yogi, by_formula(0.0, yogi=True))
if not same or np.allclose(adam, paper_adam) or np.allclose(adam, kingma):
    sys.exit("CHANGED: the steps aren't those described")
print("As described: v starts at 0, FedAdam corrects with round + 1, and FedYogi doesn't correct.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
flwr 1.42.0
steps in units of eta, for updates of 0.01 in each round:
round  FedAdam: paper  Flower  (as Kingma and Ba's from v = 0)   FedYogi: paper  Flower
    1          0.4148  0.3712                             0.5000           0.4142  0.5000
    2          0.6977  0.5012                             0.5852           0.6954  0.7870
    3          0.9079  0.5744                             0.6328           0.9033  0.9919
    4          1.0701  0.6228                             0.6650           1.0627  1.1463
    5          1.1977  0.6579                             0.6888           1.1872  1.2655
    6          1.2992  0.6847                             0.7075           1.2852  1.3583
    7          1.3804  0.7060                             0.7227           1.3627  1.4310
    8          1.4452  0.7234                             0.7354           1.4238  1.4876
    9          1.4969  0.7380                             0.7462           1.4717  1.5314
   10          1.5379  0.7504                             0.7556           1.5089  1.5648
FedAdam / paper, rounds 2 to 10: 0.49 to 0.72
FedYogi / paper, rounds 2 to 10: 1.04 to 1.13
As described: v starts at 0, FedAdam corrects with round + 1, and FedYogi doesn't correct.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
