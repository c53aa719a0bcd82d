#!/usr/bin/env bash
# On a machine without a GPU, each torch.manual_seed writes out the call stack three times.
#
# Expected: to seed the processor's generator is to set a number: about a microsecond, as torch.default_generator.manual_seed takes.
# Seen: torch.manual_seed also seeds CUDA, XPU and MTIA. A device that isn't initialized gets its seed when it is, and for the case that this fails, the
#   stack of the call is formatted as text and kept. Where there is no such device it never is, and each call formats the stack once more for each of
#   the three, lines of source included. The numbers drawn on the processor are the same with both functions.
# Where: torch 2.13.0, PyPI's package for Linux.
# What it means: federated simulators seed a generator for each client in each round, so that results don't depend on which process trains it. With
#   1000 clients a round and small nets, this costs as much as several of a client's steps; the deeper the stack, the more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
# As on a machine without a GPU, if this one has some.
export CUDA_VISIBLE_DEVICES=
"$work/venv/bin/python" - <<'PYTHON' | tee "$work/output"
import statistics
import sys
import time
import traceback
from importlib.metadata import version

import torch

print("torch", version("torch").split("+")[0])
format_stack, count = traceback.format_stack, 0


def counted(*args, **kwargs):
    global count
    count += 1
    return format_stack(*args, **kwargs)


def stacks(seed):
    """Returns how often the stack is written out while a function seeds, and what is drawn afterwards."""
    global count
    count = 0
    seed(7)
    return count, torch.randn(1000)


traceback.format_stack = counted
both, drawn = stacks(torch.manual_seed)
alone, same = stacks(torch.default_generator.manual_seed)
traceback.format_stack = format_stack
print(f"stacks written out by torch.manual_seed: {both}, by torch.default_generator.manual_seed: {alone}")
print("the numbers drawn are the same:", torch.equal(drawn, same))


def seconds(seed):
    began = time.perf_counter()
    for number in range(200):
        seed(number)
    return time.perf_counter() - began


ratio = statistics.median(seconds(torch.manual_seed) / seconds(torch.default_generator.manual_seed) for _ in range(9))
print("it takes more than 20 times as long:", ratio > 20)
print(f"about {ratio:.0f} times here", file=sys.stderr)
if (both, alone) != (3, 0) or not torch.equal(drawn, same):
    sys.exit("CHANGED: seeding doesn't write out the stack as described")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
torch 2.13.0
stacks written out by torch.manual_seed: 3, by torch.default_generator.manual_seed: 0
the numbers drawn are the same: True
it takes more than 20 times as long: True
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
