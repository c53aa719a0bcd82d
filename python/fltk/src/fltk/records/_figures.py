"""Figures by seed: runs that differ only in their seeds, with means and intervals.

Runs are grouped as ``fltk runs compare`` does: by experiment, task, settings, and the files that these name. Of several runs of one seed the last started
counts, of those that finished, if any did.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from . import _settings, _student
from ._history import Step, finite
from ._run import Run
from ._table import Cell, Table

_MEASURES: dict[str, Callable[[Run], float | None]] = {
    "accuracy": lambda run: run.accuracy,
    "loss": lambda run: run.loss,
    "client_accuracy": lambda run: finite(run.client_test.accuracy) if run.client_test else None,
    "client_worst_decile": lambda run: finite(run.client_test.worst_decile) if run.client_test else None,
    "train_seconds": lambda run: run.train_seconds,
    "virtual_seconds": lambda run: run.virtual_seconds,
}
STEP_MEASURES: dict[str, Callable[[Step], float | None]] = {
    "test_accuracy": lambda step: step.accuracy,
    "test_loss": lambda step: step.loss,
    "train_loss": lambda step: step.train_loss,
    "client_accuracy": lambda step: step.client_test.accuracy if step.client_test else None,
    "client_accuracy_worst_decile": lambda step: step.client_test.worst_decile if step.client_test else None,
    "train_seconds": lambda step: step.train_seconds if step.train else None,
    "virtual_seconds": lambda step: step.virtual_seconds,
    "sent_bytes": lambda step: step.sent_bytes,
}
_OF_GROUP = {"experiment": "text", "task": "text", "settings": "text"}
_OF_FIGURE = {"num_seeds": "whole", "mean": "number", "std": "number", "low": "number", "high": "number"}


@dataclass(frozen=True)
class Figure:
    """A mean over seeds."""

    count: int
    """The number of values."""
    mean: float
    std: float | None
    """The sample standard deviation; None for a single value, which has no interval either."""
    low: float | None
    """The lower end of the interval of confidence, by Student's t."""
    high: float | None


def figure(values: Sequence[float], confidence: float = 0.95) -> Figure | None:
    """Return the mean of ``values`` and its interval; None without values."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Figure(1, mean, None, None, None)
    std = statistics.stdev(values)
    reach = _student.quantile(confidence, len(values) - 1) * std / math.sqrt(len(values))
    return Figure(len(values), mean, std, mean - reach, mean + reach)


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seeds."""

    experiment: str
    task: str
    settings: str
    """The settings in which it differs from other groups of its experiment and task, as JSON."""
    runs: tuple[Run, ...]
    """The runs that count, one for each seed."""
    repeated: tuple[Run, ...]
    """The runs that don't, since another run of the same seed replaces them."""


def groups(runs: Iterable[Run]) -> list[Group]:
    """Return the groups of these runs, in the order of their first run."""
    members: dict[tuple[str, str, str, str], list[Run]] = {}
    for run in runs:
        files = json.dumps([run.network_sha256, run.files_sha256], sort_keys=True)
        members.setdefault((run.experiment, run.task, _settings.key(run.settings), files), []).append(run)
    found: list[Group] = []
    for (experiment, task, *_), of_group in members.items():
        others = [of[0] for at, of in members.items() if at[:2] == (experiment, task)]
        last: dict[int, tuple[tuple[bool, str, int], Run]] = {}
        for index, run in enumerate(of_group):
            rank = (run.status == "finished", run.started_at.isoformat(), index)
            if run.seed not in last or rank > last[run.seed][0]:
                last[run.seed] = (rank, run)
        counting = [run for run in of_group if last[run.seed][1] is run]
        repeated = [run for run in of_group if last[run.seed][1] is not run]
        found.append(Group(experiment, task, _differences(of_group[0], others), tuple(counting), tuple(repeated)))
    return found


def _differences(run: Run, others: Sequence[Run]) -> str:
    """Return the settings of ``run`` that aren't the same in all of ``others``, as JSON; an empty text if there are none."""
    names = sorted({name for other in others for name in other.settings})
    of = [_settings.without_defaults(other.settings) for other in others]
    varying = [name for name in names if any(settings.get(name) != of[0].get(name) for settings in of)]
    return json.dumps({name: run.settings.get(name) for name in varying}) if varying else ""


def final(runs: Iterable[Run], confidence: float) -> Table:
    """Return the final figures of the finished runs: a row for each group and measure that was measured."""
    rows: list[Sequence[Cell]] = []
    for group in groups(runs):
        for name, measure in _MEASURES.items():
            values = [measure(run) for run in group.runs if run.status == "finished"]
            rows += _row(group, (name,), [value for value in values if value is not None], confidence)
        # What programs of one's own reported last.
        last = [_last_figures(run) for run in group.runs if run.status == "finished"]
        for name in sorted({name for figures in last for name in figures}):
            rows += _row(group, (name,), [figures[name] for figures in last if name in figures], confidence)
    return Table({**_OF_GROUP, "measure": "text", **_OF_FIGURE}, rows)


def _last_figures(run: Run) -> dict[str, float]:
    """Return the last value of each reported figure that no other measure has."""
    return {name: value for step in run.steps for name, value in step.other_figures.items()}


def by_step(runs: Iterable[Run], measure: str, confidence: float) -> Table:
    """Return a measure by round or epoch over the runs that count, finished or not: a row for each group and step."""
    runs = list(runs)
    reported = sorted({name for run in runs for step in run.steps for name in step.other_figures})
    if measure not in STEP_MEASURES and measure not in reported:
        raise ValueError(f"there is no measure `{measure}`\nhint: there are {', '.join(f'`{name}`' for name in [*STEP_MEASURES, *reported])}")

    def of_step(step: Step) -> float | None:
        known = STEP_MEASURES.get(measure)
        return known(step) if known is not None else step.figures.get(measure)

    rows: list[Sequence[Cell]] = []
    for group in groups(runs):
        steps = [{step.number: finite(of_step(step)) for step in run.steps} for run in group.runs]
        units = sorted({run.unit for run in group.runs if run.unit})
        for number in sorted({number for of_run in steps for number in of_run}):
            values = [value for of_run in steps if (value := of_run.get(number)) is not None]
            rows += _row(group, (units[0], number), values, confidence)
    return Table({**_OF_GROUP, "unit": "text", "step": "whole", **_OF_FIGURE}, rows)


def _row(group: Group, at: tuple[Cell, ...], values: Sequence[float], confidence: float) -> list[Sequence[Cell]]:
    of = figure(values, confidence)
    if of is None:
        return []
    return [(group.experiment, group.task, group.settings, *at, of.count, of.mean, of.std, of.low, of.high)]
