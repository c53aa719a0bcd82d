#!/usr/bin/env bash
# FLGo's power-of-choice with d candidates only ever trains the first d clients.
#
# Expected: Cho, Wang and Joshi, "Towards Understanding Biased Client Selection in Federated Learning" (2022): sample d
#   candidates in proportion to their data, ask each for its loss, and take the m with the largest loss. Any client can be
#   a candidate, so in time all clients with large losses train.
# Seen: FLGo sorts the candidates' positions (0 to d - 1) by loss, and then looks these positions up in the list of all
#   available clients, not in the list of candidates. So clients d, d + 1, ... are never chosen, and which of the first d
#   are chosen depends on the losses of other clients. At its default, d = N, the two lists are the same and all is well.
# Where: flgo 0.4.4.
# What it means: with d < N, the "power-of-choice" run learns from d clients alone; the other N - d clients' data is unused.
# By hand: N = 30, d = 5, m = 3, 40 rounds. If each round's candidates are a random 5 of 30, the chance that a given client
#   is in no round a candidate is (25 / 30)^40 = .0007. Seen: 25 of the 30 clients never train.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 networkx==3.6.1 prettytable==3.18.0 \
    requests==2.34.2 matplotlib==3.11.2 tqdm==4.70.1 pyyaml==6.0.4
"$work/venv/bin/pip" install --quiet --no-deps flgo==0.4.4
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON' | tee "$work/output"
import io
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version

import flgo
import flgo.algorithm.powerofchoice as power_of_choice
import flgo.benchmark.synthetic_regression as synthetic

ROUNDS = 40
flgo.gen_task({"benchmark": synthetic}, task_path="task")  # the benchmark's own 30 clients


def chosen(candidates):
    options = {"num_rounds": ROUNDS, "proportion": 0.1, "num_epochs": 1, "batch_size": 32, "learning_rate": 0.05,
               "seed": 0, "eval_interval": ROUNDS, "algo_para": [candidates]}
    counts = Counter()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        runner = flgo.init("task", power_of_choice, option=options)
        choose = runner.sample

        def count():
            clients = choose()
            counts.update(clients)
            return clients

        runner.sample = count
        runner.run()
    assert runner.num_clients == 30 and counts.total() == 3 * ROUNDS
    return counts


print("flgo", version("flgo"))
same = True
for candidates in (5, 10, 30):
    counts = chosen(candidates)
    trained = len(counts) if candidates < 30 else "more than 15" if len(counts) > 15 else "15 or fewer"
    print(f"d = {candidates}: {trained} of 30 clients trained, none with a number of {candidates} or more: {max(counts) < candidates}")
    same &= max(counts) < candidates
    same &= candidates < 30 or len(counts) > 15
if not same:
    sys.exit("CHANGED: clients that aren't among the first d are chosen")
print("As described: no client from d on is ever chosen.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
Task task has been successfully generated.
flgo 0.4.4
d = 5: 5 of 30 clients trained, none with a number of 5 or more: True
d = 10: 10 of 30 clients trained, none with a number of 10 or more: True
d = 30: more than 15 of 30 clients trained, none with a number of 30 or more: True
As described: no client from d on is ever chosen.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
