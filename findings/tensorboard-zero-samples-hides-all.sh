#!/usr/bin/env bash
# TensorBoard's `--samples_per_plugin=scalars=0` keeps all points in memory, and shows none of them.
#
# Expected: 0 stands for "all" in both of TensorBoard's loaders. The documentation of the older loader's size_guidance says:
#   "If the size is 0, all events are stored." For the fast one, TensorBoard turns a 0 into that server's word `all`. The
#   pull request that brought the flag (tensorflow/tensorboard 1138) describes `images=0` as keeping all images.
# Seen: both loaders keep all points, but the dashboards take the same number for how many points to draw at most, and
#   there 0 means none. Scalars and Time Series are empty, with no message. The data server's own help documents
#   `scalars=all`, and TensorBoard refuses that word.
# Where: tensorboard 2.21.0 with tensorboard-data-server 0.7.2.
# What it means: there is no number for "all"; one has to give a number above the longest series. At the default, curves
#   of more than 1000 points are thinned at random, so a short spike of the loss may not be drawn.
# By hand: 3000 points: 1000 by default, 3000 with scalars=0 (seen: 0), 2000 with scalars=2000, 3000 with scalars=10000.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet tensorboard==2.21.0 tensorboard-data-server==0.7.2 tensorboardX==2.6.5 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work/logs" <<'PYTHON' | tee "$work/output"
import inspect
import json
import os
import re
import sys
import time
from importlib.metadata import version
from urllib.parse import urlencode
from urllib.request import urlopen

from tensorboard import program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

logs = sys.argv[1]
with SummaryWriter(f"{logs}/run") as writer:
    for step in range(3000):
        writer.add_scalar("loss", step, step)


def points(fast, samples):
    """How many points the dashboards Scalars and Time Series are given."""
    server = program.TensorBoard()
    flags = ["--samples_per_plugin", f"scalars={samples}"] if samples is not None else []
    server.configure(argv=["", "--logdir", logs, "--host", "127.0.0.1", "--port", "0", "--load_fast", fast, *flags])
    url = server.launch() + "data/plugin/"
    for _ in range(60):
        if json.load(urlopen(url + "scalars/tags")):
            break
        time.sleep(0.5)
    time.sleep(2)
    scalars = json.load(urlopen(url + "scalars/scalars?run=run&tag=loss"))
    request = urlencode({"requests": json.dumps([{"plugin": "scalars", "tag": "loss"}])}).encode()
    series = json.load(urlopen(url + "timeseries/timeSeries", request))[0]["runToSeries"]
    return len(scalars), len(series.get("run", []))


print("tensorboard", version("tensorboard"), "tensorboard-data-server", version("tensorboard-data-server"))
documented = re.search(r"If the size is 0,\s+all events are stored", inspect.getdoc(EventAccumulator.__init__))
print("documented for the older loader:", " ".join(documented.group().split()) if documented else "(no longer)")
found = {}
for fast in ("false", "true"):
    for samples in (None, 0, 2000, 10000):
        found[fast, samples] = points(fast, samples)
        print(f"--load_fast={fast}, scalars={'(default)' if samples is None else samples}:"
              f" {found[fast, samples][0]} points in Scalars, {found[fast, samples][1]} in Time Series")
expected = {None: 1000, 0: 0, 2000: 2000, 10000: 3000}
same = bool(documented) and all(counts == (expected[samples],) * 2 for (_, samples), counts in found.items())
if same:
    print("As described: with scalars=0, no point of 3000 is shown.")
else:
    print("CHANGED: other numbers of points are shown", file=sys.stderr)
sys.stdout.flush()
os._exit(0 if same else 1)
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
tensorboard 2.21.0 tensorboard-data-server 0.7.2
documented for the older loader: If the size is 0, all events are stored
--load_fast=false, scalars=(default): 1000 points in Scalars, 1000 in Time Series
--load_fast=false, scalars=0: 0 points in Scalars, 0 in Time Series
--load_fast=false, scalars=2000: 2000 points in Scalars, 2000 in Time Series
--load_fast=false, scalars=10000: 3000 points in Scalars, 3000 in Time Series
--load_fast=true, scalars=(default): 1000 points in Scalars, 1000 in Time Series
--load_fast=true, scalars=0: 0 points in Scalars, 0 in Time Series
--load_fast=true, scalars=2000: 2000 points in Scalars, 2000 in Time Series
--load_fast=true, scalars=10000: 3000 points in Scalars, 3000 in Time Series
As described: with scalars=0, no point of 3000 is shown.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
