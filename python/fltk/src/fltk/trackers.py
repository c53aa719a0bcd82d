"""Copies of runs for trackers: MLflow, and Weights & Biases offline.

The records stay what decides: a copy has the settings, the figures of each step, and the names by which the run is found again.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from .records import Records, Run, Step
from .records._figures import STEP_MEASURES

# MLflow takes no more in one request.
_METRICS_MAX = 1000
_PARAMETERS_MAX = 100
# MLflow's limit on the characters of a setting, which is below that on a tag.
_TEXT_MAX = 6000
# The name under which a copy has that of the run's folder.
_NAME = "fltk.run"
# The name under which a copy has what tells whether the run has changed since.
_STATE = "fltk.state"
# MLflow's words for how a run ended.
_MLFLOW_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "running": "RUNNING"}


def to_mlflow(records: Records, uri: str, experiment: str | None = None) -> list[str]:
    """Copy runs to MLflow, and return the ids that they have there. Needs ``mlflow`` or ``mlflow-skinny``.

    Each run is in an experiment of its own experiment's name, unless ``experiment`` is given. A run that is there already is left as it is; one that has
    changed since, as after a resumption, is replaced.

    :param uri: where MLflow keeps its runs, such as ``sqlite:///mlflow.db`` or the address of a server
    """
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    ids: list[str] = []
    for run in records.runs:
        name = experiment or run.experiment
        known = client.get_experiment_by_name(name)
        there = known.experiment_id if known is not None else client.create_experiment(name)
        # Names of folders have no quotes.
        before = client.search_runs([there], f"tags.`{_NAME}` = '{run.name}'")
        tags = _tags(run)
        state = tags.pop(_STATE)
        same = [copy.info.run_id for copy in before if copy.data.tags.get(_STATE) == state]
        if same:
            ids.append(same[0])
            continue
        for copy in before:
            client.delete_run(copy.info.run_id)
        run_id = client.create_run(there, _milliseconds(run.started_at), tags=tags, run_name=run.name).info.run_id
        parameters = [Param(key, _shortened(str(value))) for key, value in run.settings.items()]
        for some in _batches(parameters, _PARAMETERS_MAX):
            client.log_batch(run_id, params=some)
        metrics = [Metric(_plain(measure), value, _milliseconds(step.time), step.number) for step in run.steps for measure, value in _measured(step).items()]
        for some in _batches(metrics, _METRICS_MAX):
            client.log_batch(run_id, metrics=some)
        if run.status != "running":
            ended = run.ended_at or (run.steps[-1].time if run.steps else run.started_at)
            client.set_terminated(run_id, _MLFLOW_STATUS[run.status], _milliseconds(ended))
        # A copy that broke off is begun anew: the state comes last.
        client.log_batch(run_id, tags=[RunTag("fltk.status", run.status), RunTag(_STATE, state)])
        ids.append(run_id)
    return ids


def to_wandb(records: Records, folder: str | os.PathLike[str], project: str = "fltk") -> list[str]:
    """Copy runs to Weights & Biases' files in ``folder``, without a connection, and return the ids that they have there. Needs ``wandb``.

    ``wandb sync FOLDER/wandb/offline-run-*`` sends them to a server. The id of a run follows from its name, so a run that is copied again is the same there.
    The files are complete once this process has ended, or after ``wandb.teardown()``.
    """
    import wandb

    os.makedirs(folder, exist_ok=True)
    ids: list[str] = []
    # Nothing of this process, this machine or the code that calls this is part of the run.
    quiet: dict[str, Any] = {
        "silent": True,
        "console": "off",
        "disable_git": True,
        "save_code": False,
        "x_disable_stats": True,
        "x_disable_meta": True,
        "x_save_requirements": False,
    }
    for run in records.runs:
        run_id = hashlib.sha256(run.name.encode()).hexdigest()[:16]
        settings = wandb.Settings(mode="offline", **quiet)
        config = {**run.settings, "experiment": run.experiment, "task": run.task, "seed": run.seed}
        copy = wandb.init(
            project=project, dir=os.fspath(folder), id=run_id, name=run.name, group=run.group, job_type=run.task, config=config, settings=settings
        )
        for step in run.steps:
            copy.log({**_measured(step), step.unit: step.number}, step=step.number)
        copy.summary.update({key: value for key, value in _tags(run).items() if key != _STATE})
        copy.finish(exit_code=1 if run.status == "failed" else 0)
        ids.append(run_id)
    return ids


def _tags(run: Run) -> dict[str, str]:
    state = f"{run.status} {len(run.steps)} {run.num_resumptions} {run.parameters_sha256 or ''}".strip()
    tags = {_NAME: run.name, _STATE: state, "fltk.task": run.task, "fltk.seed": str(run.seed), "fltk.group": run.group, "fltk.version": run.version}
    if run.parameters_sha256 is not None:
        tags["fltk.parameters_sha256"] = run.parameters_sha256
    if run.failure is not None:
        tags["fltk.failure"] = _shortened(run.failure)
    return tags


def _measured(step: Step) -> dict[str, float]:
    """Return the figures of a step that are finite: trackers disagree about others."""
    measured = {name: measure(step) for name, measure in STEP_MEASURES.items()} | step.other_figures
    return {name: float(value) for name, value in measured.items() if value is not None and math.isfinite(value)}


def _plain(name: str) -> str:
    """Return a name of a figure that MLflow takes: it refuses those that aren't paths in their shortest form, and a program may report any."""
    return "/".join("_" + part[1:] if part in {"", "."} or part.startswith("..") else part for part in name.split("/"))


def _shortened(text: str) -> str:
    """Return a text as far as MLflow takes it."""
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 3] + "..."


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
