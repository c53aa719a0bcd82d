#!/usr/bin/env bash
# Flower Datasets' IidPartitioner cuts a data set in its order: sorted data gives one class to each client.
#
# Expected: its documentation: "Partitioner creates each partition sampled randomly from the dataset." DirichletPartitioner,
#   which also promises random partitions, shuffles by itself.
# Seen: each partition is a contiguous piece. Nothing is sampled, and there is no seed to give. FederatedDataset hides this,
#   as it shuffles by default before it partitions; a partitioner that is given one's own data with
#   `partitioner.dataset = ...` (the documented way for local data) doesn't.
# Where: flwr-datasets 0.6.1.
# What it means: an "IID" experiment on data in the order of a class-per-folder data set is the most heterogeneous one
#   possible. SizePartitioner, LinearPartitioner and the others that only set sizes keep the order as well.
# By hand: 1000 samples, 100 of each of 10 classes, sorted. 10 random partitions of 100 have about 10 of each class; the
#   chance that the first holds a single class is 10 / C(1000, 100), below 1e-138.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet flwr-datasets==0.6.1 datasets==4.8.5 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON' | tee "$work/output"
import sys
from collections import Counter
from importlib.metadata import version

from datasets import Dataset
from flwr_datasets.partitioner import DirichletPartitioner, IidPartitioner

data = Dataset.from_dict({"label": [sample // 100 for sample in range(1000)]})


def classes(partitioner):
    partitioner.dataset = data
    return [dict(sorted(Counter(partitioner.load_partition(i)["label"]).items())) for i in range(10)]


print("flwr-datasets", version("flwr-datasets"))
documented = IidPartitioner.__doc__.split("\n")[0]
print("documented:", documented)
iid = classes(IidPartitioner(10))
even = classes(DirichletPartitioner(10, partition_by="label", alpha=1e6))
print("samples of each class in the first three partitions:")
for i in range(3):
    print(f"  IidPartitioner {iid[i]}, DirichletPartitioner with alpha 1e6 {even[i]}")
if "sampled randomly" not in documented or iid != [{label: 100} for label in range(10)] or min(map(len, even)) < 10:
    sys.exit("CHANGED: the documentation or the partitions aren't those described")
print("As described: each of the 10 partitions has a single class.")
PYTHON

# Output seen. It is the one above, or the behavior has changed:
if ! diff - "$work/output" <<'SEEN'
flwr-datasets 0.6.1
documented: Partitioner creates each partition sampled randomly from the dataset.
samples of each class in the first three partitions:
  IidPartitioner {0: 100}, DirichletPartitioner with alpha 1e6 {0: 10, 1: 9, 2: 10, 3: 9, 4: 10, 5: 10, 6: 10, 7: 10, 8: 9, 9: 9}
  IidPartitioner {1: 100}, DirichletPartitioner with alpha 1e6 {0: 10, 1: 11, 2: 9, 3: 10, 4: 10, 5: 10, 6: 10, 7: 10, 8: 10, 9: 11}
  IidPartitioner {2: 100}, DirichletPartitioner with alpha 1e6 {0: 9, 1: 9, 2: 10, 3: 10, 4: 10, 5: 10, 6: 10, 7: 10, 8: 11, 9: 10}
As described: each of the 10 partitions has a single class.
SEEN
then
    echo "CHANGED: the output is no longer the one that was seen" >&2
    exit 1
fi
