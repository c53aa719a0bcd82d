"""All records of a place, and the tables of them."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from .. import _program
from . import _figures, _files, _run, _server, _stream
from ._errors import RecordsError
from ._figures import Group
from ._run import Run
from ._stream import Stream
from ._table import Cell, Table

# The longest wait for a copy of a claim, in seconds: as long as its pod may live.
_CLAIM_LIMIT = 3600
_OF_RUN = {
    "run": "text",
    "experiment": "text",
    "task": "text",
    "kind": "text",
    "network": "text",
    "dataset": "text",
    "seed": "seed",
    "replication": "whole",
}
_RUNS = {
    **_OF_RUN,
    "status": "text",
    "unit": "text",
    "step": "whole",
    "num_steps": "whole",
    "accuracy": "number",
    "loss": "number",
    "best_accuracy": "number",
    "best_step": "whole",
    "train_seconds": "number",
    "test_seconds": "number",
    "virtual_seconds": "number",
    "started_at": "time",
    "ended_at": "time",
    "num_resumptions": "whole",
    "parameters_sha256": "text",
    "failure": "text",
    "group": "text",
}
# The columns of `fltk runs export`.
_STEPS = {
    **_OF_RUN,
    "status": "text",
    "timestamp": "time",
    "unit": "text",
    "step": "whole",
    "num_selected_clients": "whole",
    "trained_items": "whole",
    "train_steps": "whole",
    "learning_rate": "number",
    "train_loss": "number",
    "test_loss": "number",
    "test_accuracy": "number",
    "train_seconds": "number",
    "test_seconds": "number",
    "tested_clients": "whole",
    "client_accuracy": "number",
    "client_accuracy_worst_decile": "number",
    "client_accuracy_variance": "number",
    "virtual_seconds": "number",
    "sent_bytes": "whole",
    "figures": "text",
}
_CLIENTS = {
    **_OF_RUN,
    "round": "whole",
    "client": "whole",
    "absence": "text",
    "malicious": "flag",
    "trained_items": "whole",
    "train_steps": "whole",
    "train_loss": "number",
    "seconds": "number",
    "virtual_seconds": "number",
    "staleness": "whole",
    "test_items": "whole",
    "test_loss": "number",
    "test_accuracy": "number",
}


class Records:
    """Runs and streams, as they were when they were read."""

    def __init__(self, runs: Iterable[Run], streams: Iterable[Stream] = (), damaged: Iterable[RecordsError] = ()) -> None:
        self.runs: list[Run] = list(runs)
        """The runs, in the order in which they began."""
        self.streams: list[Stream] = list(streams)
        """The streams, by name."""
        self.damaged: list[RecordsError] = list(damaged)
        """The errors of records that were left out."""

    def __repr__(self) -> str:
        left_out = f", {len(self.damaged)} left out" if self.damaged else ""
        return f"<records of {len(self.runs)} runs and {len(self.streams)} streams{left_out}>"

    def __getitem__(self, name: str) -> Run:
        """Return the run whose folder has this name."""
        for run in self.runs:
            if run.name == name:
                return run
        raise KeyError(f"there is no run `{name}`")

    def where(self, keep: Callable[[Run], bool]) -> Records:
        """Return the runs for which ``keep`` is true, such as ``where(lambda run: run.status == "finished")``, and all streams."""
        return Records((run for run in self.runs if keep(run)), self.streams, self.damaged)

    def table(self) -> Table:
        """Return a row for each run: what ``fltk runs list`` shows."""
        return Table(_RUNS, map(_run_row, self.runs))

    def steps(self) -> Table:
        """Return a row for each round or epoch of each run: what ``fltk runs export`` prints."""
        return Table(_STEPS, (row for run in self.runs for row in _step_rows(run)))

    def clients(self) -> Table:
        """Return a row for each client of each round that trained, was absent, or was tested."""
        return Table(_CLIENTS, (row for run in self.runs for row in _client_rows(run)))

    def jobs(self) -> Table:
        """Return a row for each job of each stream: what ``fltk runs jobs`` shows."""
        return _stream.table(self.streams)

    def groups(self) -> list[Group]:
        """Return the groups of runs that differ only in their seeds."""
        return _figures.groups(self.runs)

    def figures(self, confidence: float = 0.95) -> Table:
        """Return the final figures by seed: for each group of finished runs and each measure the mean, the sample standard deviation, and the interval
        in which the true mean lies with probability ``confidence``, by Student's t."""
        return _figures.final(self.runs, confidence)

    def figures_by_step(self, measure: str = "test_accuracy", confidence: float = 0.95) -> Table:
        """Return the same of one measure for each round or epoch, over all runs that have it, finished or not."""
        return _figures.by_step(self.runs, measure, confidence)


def _of_run(run: Run) -> tuple[Cell, ...]:
    return (run.name, run.experiment, run.task, run.kind, run.network, run.dataset, run.seed, run.replication)


def _run_row(run: Run) -> Sequence[Cell]:
    last, best = run.steps[-1].number if run.steps else None, run.best
    of_best = (best.accuracy if best else None, best.number if best else None)
    seconds = (run.train_seconds, run.test_seconds, run.virtual_seconds)
    end = (run.started_at, run.ended_at, run.num_resumptions, run.parameters_sha256, run.failure, run.group)
    return (*_of_run(run), run.status, run.unit, last, run.num_steps, run.accuracy, run.loss, *of_best, *seconds, *end)


def _step_rows(run: Run) -> Iterable[Sequence[Cell]]:
    for step in run.steps:
        train, test, clients = step.train, step.test, step.client_test
        yield (
            *_of_run(run),
            run.status,
            step.time,
            step.unit,
            step.number,
            len(step.clients) if step.unit == "round" else None,
            train.num_samples if train else None,
            train.num_steps if train else None,
            step.learning_rate,
            step.train_loss,
            step.loss,
            step.accuracy,
            step.train_seconds if train else None,
            step.test_seconds if test or clients else None,
            clients.num_clients if clients else None,
            clients.accuracy if clients else None,
            clients.worst_decile if clients else None,
            clients.variance if clients else None,
            step.virtual_seconds,
            step.sent_bytes,
            json.dumps(figures, separators=(",", ":")) if (figures := step.other_figures) else None,
        )


def _client_rows(run: Run) -> Iterable[Sequence[Cell]]:
    for part in run.clients:
        train = part.train
        trained = (train.num_samples, train.num_steps, train.loss) if train else (None, None, None)
        times = (part.seconds, part.virtual_seconds, part.staleness)
        tested = (part.test_items, part.test_loss, part.test_accuracy)
        yield (*_of_run(run), part.round, part.client, part.absence, part.malicious, *trained, *times, *tested)


def read(
    where: str | os.PathLike[str] = "runs",
    *,
    token: str | None = None,
    cafile: str | None = None,
    checkpoints: bool = False,
    namespace: str | None = None,
    damaged: Literal["error", "skip"] = "error",
) -> Records:
    """Read all records of a place.

    :param where: a folder of runs and streams, or the folder of one of them; the address of a ``fltk serve``, such as ``http://localhost:8080``; or a
        claim of a Kubernetes cluster, ``pvc/CLAIM`` or ``pvc/CLAIM/DIR``, which needs the program of fltk
    :param token: the token of the server, by default that in the variable FLTK_TOKEN
    :param cafile: the certificates to trust with ``https://``, in PEM, instead of those that this machine trusts
    :param checkpoints: of a server, also fetch checkpoints, into a temporary folder that is removed with the last run of these records
    :param namespace: the namespace of the claim
    :param damaged: with ``skip``, records that are damaged are left out, with a warning
    :raises RecordsError: if the place can't be read, or, unless they are to be left out, a record is damaged
    """
    place = os.fspath(where)
    if place.startswith(("http://", "https://")):
        server = _server.Server(place, token if token is not None else os.environ.get("FLTK_TOKEN") or None, cafile)
        return _from_server(server, checkpoints, damaged)
    if token is not None or cafile is not None:
        raise RecordsError(f"`{place}` is no address of a server, so it takes no token and no certificates")
    if place.startswith("pvc/"):
        copy = tempfile.TemporaryDirectory(prefix="fltk-records-")
        try:
            in_namespace = ("--namespace", namespace) if namespace is not None else ()
            _program.output("extract", "--from", place, "--into", copy.name, *in_namespace, limit=_CLAIM_LIMIT)
        except _program.ProgramError as error:
            raise RecordsError(str(error)) from error
        return _from_folder(copy.name, copy, damaged)
    return _from_folder(os.path.abspath(place), None, damaged)


def _from_folder(folder: str, keep: object, damaged: str) -> Records:
    folders = [folder] if _run.is_run(folder) or _stream.is_stream(folder) else [os.path.join(folder, name) for name in _files.names(folder)]
    reading = _Reading(damaged)
    for path in folders:
        if _run.is_run(path):
            reading.run(partial(_run.read, path, keep))
        elif _stream.is_stream(path):
            reading.stream(partial(_stream.read, path))
    return reading.records()


def _from_server(server: _server.Server, checkpoints: bool, damaged: str) -> Records:
    copy = tempfile.TemporaryDirectory(prefix="fltk-records-")
    reading = _Reading(damaged)
    running = server.running()
    for kind, name in server.names():
        if kind == "run":
            reading.run(partial(_run_at, server, name, copy, checkpoints, name in running))
        else:
            reading.stream(partial(_stream_at, server, name, copy.name))
    return reading.records()


def _run_at(server: _server.Server, name: str, copy: tempfile.TemporaryDirectory[str], checkpoints: bool, running: bool) -> Run:
    return _run.read(server.fetch("run", name, copy.name, checkpoints), copy, running)


def _stream_at(server: _server.Server, name: str, into: str) -> Stream:
    description = os.path.join(server.fetch("stream", name, into, False), "stream.json")
    jobs = f"/api/v1/streams/{name}/jobs?format=json"
    return _stream.of(f"{server.address}/api/v1/streams/{name}", description, lambda: server.json(jobs))


class _Reading:
    """Records while they are read, and the errors of those that are left out."""

    def __init__(self, damaged: str) -> None:
        if damaged not in ("error", "skip"):
            raise ValueError(f"`damaged` is `{damaged}`, neither `error` nor `skip`")
        self._skip = damaged == "skip"
        self._runs: list[Run] = []
        self._streams: list[Stream] = []
        self._errors: list[RecordsError] = []

    def run(self, read: Callable[[], Run]) -> None:
        try:
            self._runs.append(read())
        except RecordsError as error:
            self._left_out(error)

    def stream(self, read: Callable[[], Stream]) -> None:
        try:
            self._streams.append(read())
        except RecordsError as error:
            self._left_out(error)

    def _left_out(self, error: RecordsError) -> None:
        if not self._skip:
            raise error
        self._errors.append(error)
        warnings.warn(f"left out: {error}", stacklevel=5)

    def records(self) -> Records:
        return Records(sorted(self._runs, key=lambda run: (run.started_at, run.name)), self._streams, self._errors)
