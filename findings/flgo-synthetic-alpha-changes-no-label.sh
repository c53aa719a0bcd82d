#!/usr/bin/env bash
# In FLGo's Synthetic(alpha, beta), alpha changes no sample and no label: clients differ as much at 0 as at 1.
#
# Expected: Li et al., "Federated Optimization in Heterogeneous Networks" (2020), section 5.1: alpha is to say by how much
#   the models of clients differ. FLGo's documentation names the paper, and its task generator takes alpha and beta.
# Seen: with one seed, the samples and the labels of all clients are the same for alpha 0, 0.5 and 1; only the models, which
#   nothing but a picture shows, differ. With another beta, samples and labels differ.
# Where: flgo.benchmark.synthetic_regression in flgo 0.4.4, with torch 2.13.0 and numpy 2.4.6.
# What it means: results "for several alpha" on this data set differ by chance alone. The law is at fault, not a slip of FLGo:
#   a client's model is drawn as W ~ N(u, 1) and b ~ N(u, 1) with one number u ~ N(0, alpha) for all classes, as in the paper.
# By hand: for a sample x, u adds u * (sum(x) + 1) to the logit of every class alike, and neither softmax nor argmax changes
#   if all logits move by the same number.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet flgo==0.4.4 torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON' | tee "$work/output"
import sys
from importlib.metadata import version

import numpy as np
from flgo.benchmark.synthetic_regression.core import TaskGenerator

print("flgo", version("flgo"), "torch", version("torch"), "numpy", version("numpy"))


def made(alpha, beta):
    np.random.seed(1)
    return TaskGenerator(alpha=alpha, beta=beta, num_clients=5).load_data()


samples, labels, models = made(0.0, 1.0)
as_described = True
for alpha, beta in [(1.0, 1.0), (0.5, 1.0), (0.0, 0.5)]:
    x, y, w = made(alpha, beta)
    differ = sum(own != other for ys, others in zip(y, labels) for own, other in zip(ys, others))
    total = sum(map(len, y))
    print(f"alpha {alpha}, beta {beta}: samples {'the same' if x == samples else 'differ'}, "
          f"models {'the same' if w == models else 'differ'}, {differ} of {total} labels differ")
    changes_data = beta != 1.0
    as_described &= (x != samples) == changes_data and (differ > 0) == changes_data and (w != models) != changes_data
if not as_described:
    sys.exit("CHANGED: alpha has an effect on samples or labels now, or beta has none")
print("As described: alpha changes the models of clients, and no sample or label.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
flgo 0.4.4 torch 2.13.0 numpy 2.4.6
alpha 1.0, beta 1.0: samples the same, models differ, 0 of 2000 labels differ
alpha 0.5, beta 1.0: samples the same, models differ, 0 of 2000 labels differ
alpha 0.0, beta 0.5: samples differ, models the same, 431 of 2000 labels differ
As described: alpha changes the models of clients, and no sample or label.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
