"""Makes statistics.json, beside it: means, intervals and tests of made figures, by SciPy and statsmodels.

It needs scipy 1.17.1 and statsmodels 0.15.0: `python make_statistics.py`.
"""

import itertools
import json
import pathlib

import numpy
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

# Each group: its seeds, the mean of its accuracies and their spread.
CASES = {
    "same seeds": [(range(1, 6), 0.80, 0.01), (range(1, 6), 0.81, 0.02), (range(1, 6), 0.85, 0.01)],
    "other seeds": [(range(1, 3), 0.60, 0.05), (range(11, 16), 0.62, 0.01), (range(21, 31), 0.70, 0.001), (range(41, 44), 0.70, 0.03)],
    "some of the same seeds": [(range(1, 5), 0.90, 0.01), (range(1, 6), 0.91, 0.01), (range(1, 5), 0.90, 0.02)],
    "far apart": [(range(1, 11), 0.10, 0.0001), (range(1, 11), 0.99, 0.0001), (range(11, 21), 0.5, 0.0001)],
    "hardly apart": [(range(1, 4), 0.5, 1e-5), (range(1, 4), 0.5, 1e-5), (range(7, 11), 0.5, 0.1)],
    "one value among them": [(range(1, 2), 0.5, 0.1), (range(1, 4), 0.6, 0.1), (range(1, 4), 0.7, 0.1)],
}


def mean(values):
    return {"mean": float(numpy.mean(values)), "std": float(numpy.std(values, ddof=1)), "interval": ends(interval(values))} if len(values) > 1 else None


def interval(values):
    return stats.t.interval(0.95, len(values) - 1, loc=numpy.mean(values), scale=stats.sem(values))


def ends(interval):
    return [float(end) for end in interval]


def tests(figure, groups):
    found = []
    for (a, of_a), (b, of_b) in itertools.combinations(enumerate(groups), 2):
        if min(len(of_a), len(of_b)) < 2:
            continue
        is_paired = of_a.keys() == of_b.keys()
        x, y = list(of_a.values()), list(of_b.values())
        result = stats.ttest_rel(x, y) if is_paired else stats.ttest_ind(x, y, equal_var=False)
        found.append({
            "a": a,
            "b": b,
            "figure": figure,
            "method": "paired t" if is_paired else "Welch t",
            "count": [len(x), len(y)],
            "difference": float(numpy.mean(x) - numpy.mean(y)),
            "interval": ends(result.confidence_interval(0.95)),
            "t": float(result.statistic),
            "df": float(result.df),
            "p": float(result.pvalue),
        })
    corrected = multipletests([test["p"] for test in found], method="holm")[1]
    return [{**test, "p_holm": float(p)} for test, p in zip(found, corrected)]


generator = numpy.random.default_rng(1)
cases = []
for name, of_case in CASES.items():
    groups = [{seed: float(generator.normal(centre, spread)) for seed in seeds} for seeds, centre, spread in of_case]
    losses = [{seed: 1.0 - accuracy for seed, accuracy in group.items()} for group in groups]
    cases.append({
        "name": name,
        "groups": groups,
        "means": [mean(list(group.values())) for group in groups],
        "tests": tests("accuracy", groups) + tests("loss", losses),
    })
golden = {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "cases": cases}
pathlib.Path(__file__).with_name("statistics.json").write_text(json.dumps(golden, indent=1) + "\n")
