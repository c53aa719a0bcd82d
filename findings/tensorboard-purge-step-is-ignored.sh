#!/usr/bin/env bash
# TensorBoard's two loaders draw different curves of a run that was resumed, and one of them ignores `purge_step`.
#
# Expected: the documentation of SummaryWriter's `purge_step` (the same in PyTorch and in tensorboardX): "When logging
#   crashes at step T+X and restarts at step T, any events whose global_step larger or equal to T will be purged and hidden
#   from TensorBoard." `purge_step` is for the resumed writer; nothing says that the first writer needs one. And a run looks
#   the same with --load_fast=true (the default where it's available) and --load_fast=false.
# Seen: `purge_step` writes a SessionLog START. The older loader takes the first START that it meets in a run for the
#   run's beginning and purges nothing. So unless the first writer had a `purge_step` too, both the old and the new points
#   stay, and the curve jumps back. The fast loader goes by the steps: a point at an earlier step
#   than the last one's hides the points from that step on, with a START or without one.
# Where: tensorboard 2.21.0 with tensorboard-data-server 0.7.2; events written by tensorboardX 2.6.5. Events written by
#   PyTorch 2.13.0's torch.utils.tensorboard gave the same.
# What it means: after a resume, what one reads off a curve depends on which loader ran (the fast one doesn't run on every
#   platform, nor with every kind of log folder). Passing purge_step=0 to the very first writer makes the two agree. And
#   whoever logs several clients' losses under one tag, each from step 0, sees all of them in the older loader, and only
#   the last client's in the fast one.
# By hand: steps 0 to 9, then resumed at 5 with steps 5 to 7: 8 points (0 to 4, 5 to 7) if purged, 13 if not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet tensorboard==2.21.0 tensorboard-data-server==0.7.2 tensorboardX==2.6.5 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work/logs" <<'PYTHON' | tee "$work/output"
import json
import os
import sys
import time
from importlib.metadata import version
from urllib.request import urlopen

from tensorboard import program
from tensorboardX import SummaryWriter

logs = sys.argv[1]
RUNS = {"no purge_step": (None, None), "purge_step on resuming": (None, 5), "purge_step in both writers": (0, 5)}
for number, purge_steps in enumerate(RUNS.values()):
    for purge_step, steps, plus in zip(purge_steps, (range(10), range(5, 8)), (0, 100)):
        with SummaryWriter(f"{logs}/{number}", purge_step=purge_step) as writer:
            for step in steps:
                writer.add_scalar("loss", step + plus, step)
        time.sleep(1.1)  # event files are told apart by the second


def curves(fast):
    server = program.TensorBoard()
    server.configure(argv=["", "--logdir", logs, "--host", "127.0.0.1", "--port", "0", "--load_fast", fast])
    url = server.launch() + "data/plugin/scalars/"
    for _ in range(60):
        if len(json.load(urlopen(url + "tags"))) == len(RUNS):
            break
        time.sleep(0.5)
    time.sleep(2)
    return [[step for _, step, _ in json.load(urlopen(f"{url}scalars?run={run}&tag=loss"))] for run in range(len(RUNS))]


print("tensorboard", version("tensorboard"), "tensorboard-data-server", version("tensorboard-data-server"))
found = {fast: curves(fast) for fast in ("false", "true")}
for run, name in enumerate(RUNS):
    for fast in found:
        print(f"{name}, --load_fast={fast}: {len(found[fast][run])} points, steps {found[fast][run]}")
counts = {fast: [len(steps) for steps in found[fast]] for fast in found}
if counts == {"false": [13, 13, 8], "true": [8, 8, 8]}:
    print("As described: the older loader purges only if the first writer had a purge_step, the fast one always.")
else:
    print("CHANGED: other points are purged", file=sys.stderr)
sys.stdout.flush()
os._exit(0 if counts == {"false": [13, 13, 8], "true": [8, 8, 8]} else 1)
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
tensorboard 2.21.0 tensorboard-data-server 0.7.2
no purge_step, --load_fast=false: 13 points, steps [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 6, 7]
no purge_step, --load_fast=true: 8 points, steps [0, 1, 2, 3, 4, 5, 6, 7]
purge_step on resuming, --load_fast=false: 13 points, steps [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 6, 7]
purge_step on resuming, --load_fast=true: 8 points, steps [0, 1, 2, 3, 4, 5, 6, 7]
purge_step in both writers, --load_fast=false: 8 points, steps [0, 1, 2, 3, 4, 5, 6, 7]
purge_step in both writers, --load_fast=true: 8 points, steps [0, 1, 2, 3, 4, 5, 6, 7]
As described: the older loader purges only if the first writer had a purge_step, the fast one always.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
