"""A run: one task with one seed, from its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from . import _checkpoint, _files, _history, _journal, _settings
from ._checkpoint import Checkpoint
from ._errors import NewerError, RecordsError
from ._fields import Fields, parse
from ._history import ClientStep, ClientTest, History, Step
from ._settings import Setting

_DESCRIPTION = "run.json"
_FORMAT = 1


@dataclass(frozen=True)
class Run:
    """One run, as its journal has it. Measurements that aren't finite are None here, and as they are in ``steps``."""

    path: str
    """Its folder."""
    experiment: str
    task: str
    seed: int
    replication: int
    """The index of the seed in the experiment."""
    group: str
    """The same for all runs of one invocation."""
    group_name: str | None
    """The name that they were begun with; None if they were given none."""
    settings: Mapping[str, Setting]
    """The settings of the task, flat, such as ``federated.clients``."""
    files_sha256: Mapping[str, str]
    """The digests of files that settings name."""
    network_sha256: str | None
    """The digest of the file of a net of one's own; ``None`` for the program's own nets."""
    status: str
    """``running``, ``finished``, ``failed`` or ``interrupted``."""
    started_at: datetime
    version: str
    """The version of fltk that began it."""
    host: Mapping[str, object]
    """The machine, as recorded: same bits are promised on the same kind alone."""
    torn: bool
    """True if the journal ends with a line that was being written when the run was interrupted."""
    _history: History = field(repr=False)
    _keep: object = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return os.path.basename(self.path)

    @property
    def kind(self) -> str:
        """``federated``, ``distributed`` or ``command``."""
        return _settings.text(self.settings, "kind")

    @property
    def network(self) -> str:
        """The net."""
        return _settings.network(self.settings)

    @property
    def dataset(self) -> str:
        """The data set."""
        return _settings.dataset(self.settings)

    @property
    def num_steps(self) -> int | None:
        """The number of rounds or epochs that the task asks for."""
        return _settings.num_steps(self.settings)

    @property
    def unit(self) -> str | None:
        """``round``, ``epoch`` or ``step``; None before the first."""
        return self._history.unit

    @property
    def steps(self) -> list[Step]:
        """The rounds or epochs that count, ascending."""
        return list(self._history.steps.values())

    @property
    def clients(self) -> list[ClientStep]:
        """The clients' parts in rounds, by round and client."""
        return list(self._history.clients.values())

    @property
    def accuracy(self) -> float | None:
        """The accuracy of the last evaluation."""
        return _history.finite(last.accuracy) if (last := self._last()) else None

    @property
    def loss(self) -> float | None:
        """The test loss of the last evaluation."""
        return _history.finite(last.loss) if (last := self._last()) else None

    def _last(self) -> Step | None:
        return next((step for step in reversed(self.steps) if step.accuracy is not None or step.loss is not None), None)

    @property
    def best(self) -> Step | None:
        """The first step with the best accuracy."""
        best: Step | None = None
        for step in self.steps:
            accuracy = _history.finite(step.accuracy)
            if accuracy is not None and (best is None or best.accuracy is None or accuracy > best.accuracy):
                best = step
        return best

    @property
    def client_test(self) -> ClientTest | None:
        """The figures of the last test of the clients."""
        return next((step.client_test for step in reversed(self.steps) if step.client_test), None)

    @property
    def train_seconds(self) -> float:
        """The seconds of training, summed over the steps; of a program of one's own those since its last start."""
        if self._history.program_seconds is not None:
            return self._history.program_seconds
        return _history.finite(sum(step.train_seconds for step in self.steps)) or 0.0

    @property
    def test_seconds(self) -> float:
        """The seconds of evaluation, summed over the steps."""
        return _history.finite(sum(step.test_seconds for step in self.steps)) or 0.0

    @property
    def virtual_seconds(self) -> float | None:
        """The simulated time of the last round; None on the wall clock."""
        return _history.finite(self.steps[-1].virtual_seconds) if self.steps else None

    @property
    def num_resumptions(self) -> int:
        """The number of times it was resumed."""
        return max(self._history.num_starts - 1, 0)

    @property
    def ended_at(self) -> datetime | None:
        """The time at which it ended."""
        return self._history.ended_at

    @property
    def parameters_sha256(self) -> str | None:
        """The digest of the final parameters, if it finished."""
        return self._history.parameters_sha256

    @property
    def failure(self) -> str | None:
        """The reason why it failed, if it did."""
        return self._history.failure

    def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints on disk that the journal has, ascending; the last is the newest.

        :raises DamagedError: if the manifest of one isn't what fltk writes
        """
        unit = self.unit or ("epoch" if self.kind == "distributed" else "round")
        recorded = sorted(self._history.checkpoints.items())
        found = (_checkpoint.read(self.path, unit, at, digest, self._keep) for at, digest in recorded)
        return [checkpoint for checkpoint in found if checkpoint is not None]

    def state_dict(self) -> dict[str, object]:
        """Return the model of the newest checkpoint: what PyTorch's ``Module.load_state_dict`` takes.

        :raises RecordsError: if there is none, or it can't be read
        """
        checkpoints = self.checkpoints()
        if not checkpoints:
            raise RecordsError(f"`{self.path}` has no checkpoint")
        return dict(checkpoints[-1].state_dict())


def is_run(folder: str) -> bool:
    """Return whether ``folder`` is that of a run, damaged or not."""
    return os.path.lexists(os.path.join(folder, _DESCRIPTION))


def read(folder: str, keep: object = None, running: bool = False) -> Run:
    """Return the run in ``folder``. ``running`` says that a process elsewhere is writing it.

    :raises DamagedError: if a file of it isn't what fltk wrote
    :raises NewerError: if it is of a later version of fltk
    :raises RecordsError: if a file can't be read
    """
    path = os.path.join(folder, _DESCRIPTION)
    description = parse(_files.read(path, _files.DESCRIPTION_BYTES_MAX), path)
    if (number := description.whole("format")) > _FORMAT:
        raise NewerError(f"`{path}` has format {number}, and this version knows {_FORMAT}\nhint: install the package of a later version of fltk")
    # The lock is looked at before the journal: a run that ends in between has an end.
    running = running or _files.is_locked(folder)
    entries, torn = _journal.read(os.path.join(folder, "journal.jsonl"))
    history = _history.fold(entries)
    return Run(
        path=folder,
        experiment=description.text("experiment"),
        task=description.text("task"),
        seed=description.whole("seed"),
        replication=description.whole("replication"),
        group=description.text("group"),
        group_name=description.text("group_name") if description.has("group_name") else None,
        settings=_settings.of(description.inner("hyperparameters")),
        files_sha256=_texts(description.inner("files_sha256")) if description.has("files_sha256") else {},
        network_sha256=description.text("network_sha256") if description.has("network_sha256") else None,
        status=_status(history, running),
        started_at=description.time("started_at"),
        version=description.text("fltk_version"),
        host=dict(description.inner("host").values),
        torn=torn,
        _history=history,
        _keep=keep,
    )


def _texts(fields: Fields) -> dict[str, str]:
    return {name: fields.text(name) for name in sorted(fields.values)}


def _status(history: History, running: bool) -> str:
    if history.finished:
        return "finished"
    if history.failure is not None:
        return "failed"
    return "running" if running else "interrupted"
