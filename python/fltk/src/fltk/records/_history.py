"""The journal of a run, folded: the rounds or epochs that count, and how it ended.

A run that is resumed goes on from its last checkpoint and repeats what came after: a ``started`` with ``from: k`` voids whatever was recorded of later
rounds or epochs, and any end. The rules are those of fltk itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ._errors import NewerError, printable
from ._fields import Fields
from ._journal import Entry


@dataclass(frozen=True, order=True)
class Milestone:
    """A point of a run: after whole rounds or epochs, and optimizer steps of the next epoch."""

    completed: int
    steps: int = 0


@dataclass(frozen=True)
class Train:
    """The training of a step, or of a client in a round."""

    num_samples: int
    num_steps: int
    loss: float | None
    """The mean per sample; None if there were none."""


@dataclass(frozen=True)
class Test:
    """An evaluation over the whole test set."""

    # Pytest would take the name for that of a test.
    __test__ = False

    num_samples: int
    loss: float
    """The mean per prediction."""
    accuracy: float
    """The fraction of right predictions."""
    confusion: list[list[int]] | None
    """The counts by true and predicted class; None if there are too many classes."""


@dataclass(frozen=True)
class ClientTest:
    """The figures over all clients that were tested on samples of their own."""

    num_clients: int
    num_samples: int
    accuracy: float
    worst_decile: float
    variance: float


# The names of reported figures that stand for what other runs measure.
STANDING = ("accuracy", "loss", "train_loss", "learning_rate")


@dataclass(frozen=True)
class Step:
    """A round or an epoch."""

    unit: str
    """``round`` or ``epoch``, or ``step`` of a program of one's own."""
    number: int
    """Its number from 1; 0 is the initial model."""
    time: datetime
    """The time at which it was recorded."""
    clients: tuple[int, ...]
    """The clients that took part; none in an epoch."""
    train: Train | None
    learning_rate: float | None
    test: Test | None
    client_test: ClientTest | None
    train_seconds: float
    test_seconds: float
    virtual_seconds: float | None
    """The simulated time at which the model was complete; None on the wall clock."""
    sent_bytes: int | None
    figures: Mapping[str, float] = field(default_factory=dict[str, float])
    """What a program of one's own reported, by name; empty for any other run."""

    @property
    def accuracy(self) -> float | None:
        """The accuracy on the test set, or what was reported under that name."""
        return self.test.accuracy if self.test else self.figures.get("accuracy")

    @property
    def loss(self) -> float | None:
        """The loss on the test set, or what was reported under that name."""
        return self.test.loss if self.test else self.figures.get("loss")

    @property
    def train_loss(self) -> float | None:
        """The loss of training, or what was reported under that name."""
        loss = self.train.loss if self.train else None
        return loss if loss is not None else self.figures.get("train_loss")

    @property
    def other_figures(self) -> dict[str, float]:
        """The reported figures that stand for nothing that other runs measure, by name."""
        return {name: value for name, value in sorted(self.figures.items()) if name not in STANDING}


@dataclass(frozen=True)
class ClientStep:
    """A client's part in a round."""

    round: int
    client: int
    train: Train | None
    """What it trained; None if its update doesn't count."""
    seconds: float | None
    virtual_seconds: float | None
    staleness: int | None
    malicious: bool
    absence: str | None
    """The reason why its update doesn't count."""
    test_items: int | None
    """The predictions of its test on samples of its own, as far as they were recorded, as the next two."""
    test_loss: float | None
    test_accuracy: float | None


_NO_PART = ClientStep(0, 0, None, None, None, None, False, None, None, None, None)


@dataclass
class History:
    """The state of a run after its last event."""

    steps: dict[int, Step] = field(default_factory=dict[int, Step])
    clients: dict[tuple[int, int], ClientStep] = field(default_factory=dict[tuple[int, int], ClientStep])
    checkpoints: dict[Milestone, str] = field(default_factory=dict[Milestone, str])
    """The digest of the parameters of each checkpoint that was recorded."""
    unit: str | None = None
    num_starts: int = 0
    ended_at: datetime | None = None
    finished: bool = False
    program_seconds: float | None = None
    """The seconds of a program of one's own since its last start, if it ended well."""
    parameters_sha256: str | None = None
    failure: str | None = None


def fold(entries: Sequence[Entry]) -> History:
    """Return what the events of a journal come to.

    :raises DamagedError: if they can't have happened in this order, or lack fields
    :raises NewerError: if there is one that this version doesn't know
    """
    history = History()
    for entry in entries:
        _apply(history, entry)
    history.steps = dict(sorted(history.steps.items()))
    history.clients = dict(sorted(history.clients.items()))
    return history


def _apply(history: History, entry: Entry) -> None:
    apply = _EVENTS.get(entry.event)
    if apply is None:
        raise NewerError(
            f"{entry.fields.place}: unknown event `{printable(entry.event)}`\n"
            "hint: it was written by a later version of fltk; install the package of that version"
        )
    if entry.event != "started":
        if history.num_starts == 0:
            raise entry.fields.error("the run has not started")
        if history.ended_at is not None:
            raise entry.fields.error("the run has ended")
    unit = _reported_unit(entry.fields) if entry.event == "reported" else _UNITS.get(entry.event)
    if unit is not None:
        if history.unit not in (None, unit):
            raise entry.fields.error("a run has rounds, epochs or steps, and no two of them")
        history.unit = unit
    apply(history, entry)


def _started(history: History, entry: Entry) -> None:
    start = _milestone(entry.fields, "from")
    history.num_starts += 1
    history.ended_at, history.finished, history.parameters_sha256, history.failure = None, False, None, None
    history.program_seconds = None
    if any(step.figures for step in history.steps.values()):
        # A program goes on from wherever it likes: what it reported stays, until it reports the same step again.
        return
    if start == Milestone(0):
        # A fresh start also evaluates the initial model again.
        history.steps, history.clients, history.checkpoints = {}, {}, {}
    else:
        completed = start.completed
        history.steps = {number: step for number, step in history.steps.items() if number <= completed}
        history.clients = {at: client for at, client in history.clients.items() if at[0] <= completed}
        history.checkpoints = {at: digest for at, digest in history.checkpoints.items() if at <= start}
    if not history.steps and not history.clients:
        history.unit = None


def _step(unit: str) -> Callable[[History, Entry], None]:
    def apply(history: History, entry: Entry) -> None:
        of = entry.fields
        number = of.whole(unit)
        parallel = of.inner("parallel") if of.has("parallel") else None
        clients = of.list("clients") if unit == "round" else []
        if not all(isinstance(client, int) and client >= 0 for client in clients):
            raise of.error("`clients` should be the numbers of clients")
        sent = parallel.whole("sent_bytes") if parallel else of.whole("sent_bytes") if of.has("sent_bytes") else None
        history.steps[number] = Step(
            unit=unit,
            number=number,
            time=entry.time,
            clients=tuple(clients),
            train=_train(of.inner("train")) if of.has("train") else None,
            learning_rate=of.number("learning_rate"),
            test=_test(of.inner("test")) if of.has("test") else None,
            client_test=_client_test(of.inner("client_test")) if of.has("client_test") else None,
            train_seconds=of.number("train_seconds"),
            test_seconds=of.number("test_seconds"),
            virtual_seconds=of.number("virtual_seconds") if of.has("virtual_seconds") else None,
            sent_bytes=sent,
        )

    return apply


def _train(of: Fields) -> Train:
    num_samples = of.whole("num_samples")
    # Earlier versions recorded a loss of 0 where there was nothing to measure.
    loss = of.number("loss") if of.has("loss") and num_samples > 0 else None
    return Train(num_samples, of.whole("num_steps"), loss)


def _test(of: Fields) -> Test:
    confusion = of.list("confusion") if of.has("confusion") else None
    if confusion is not None:
        square = all(isinstance(row, list) and len(row) == len(confusion) for row in confusion)
        if not square or not all(isinstance(count, int) and count >= 0 for row in confusion for count in row):
            raise of.error("the confusion matrix is not a square of counts")
    return Test(of.whole("num_samples"), of.number("loss"), of.number("accuracy"), confusion)


def _client_test(of: Fields) -> ClientTest:
    figures = (of.number(name) for name in ("accuracy", "worst_decile", "variance"))
    return ClientTest(of.whole("num_clients"), of.whole("num_samples"), *figures)


def _part(history: History, of: Fields) -> ClientStep:
    at = (of.whole("round"), of.whole("client"))
    return history.clients.get(at, replace(_NO_PART, round=at[0], client=at[1]))


def _note(history: History, part: ClientStep) -> None:
    history.clients[part.round, part.client] = part


def _client_trained(history: History, entry: Entry) -> None:
    of = entry.fields
    part = replace(
        _part(history, of),
        train=_train(of.inner("train")),
        seconds=of.number("seconds"),
        virtual_seconds=of.number("virtual_seconds") if of.has("virtual_seconds") else None,
        staleness=of.whole("staleness") if of.has("staleness") else None,
        malicious=of.flag("malicious"),
    )
    _note(history, part)


def _client_absent(history: History, entry: Entry) -> None:
    _note(history, replace(_part(history, entry.fields), absence=entry.fields.text("absence")))


def _client_tested(history: History, entry: Entry) -> None:
    test = entry.fields.inner("test")
    part = replace(
        _part(history, entry.fields),
        test_items=test.whole("num_samples") if test.has("num_samples") else None,
        test_loss=test.number("loss") if test.has("loss") else None,
        test_accuracy=test.number("accuracy") if test.has("accuracy") else None,
    )
    _note(history, part)


def _checkpoint_saved(history: History, entry: Entry) -> None:
    history.checkpoints[_milestone(entry.fields, "at")] = entry.fields.text("parameters_sha256")


def _finished(history: History, entry: Entry) -> None:
    history.ended_at, history.finished = entry.time, True
    history.parameters_sha256 = entry.fields.text("parameters_sha256")


def _reported_unit(of: Fields) -> str:
    unit = of.text("unit")
    if unit not in ("round", "epoch", "step"):
        raise of.error(f"`unit` is `{printable(unit)}`, and should be `round`, `epoch` or `step`")
    return unit


def _reported(history: History, entry: Entry) -> None:
    of = entry.fields
    number, reported = of.whole("step"), of.inner("figures")
    earlier = history.steps.get(number)
    # A step that is reported again is updated.
    figures = {**(earlier.figures if earlier else {}), **{printable(name): reported.number(name) for name in sorted(reported.values)}}
    history.steps[number] = Step(
        unit=_reported_unit(of),
        number=number,
        time=entry.time,
        clients=(),
        train=None,
        learning_rate=figures.get("learning_rate"),
        test=None,
        client_test=None,
        train_seconds=0.0,
        test_seconds=0.0,
        virtual_seconds=None,
        sent_bytes=None,
        figures=figures,
    )


def _program_ended(history: History, entry: Entry) -> None:
    history.ended_at, history.finished = entry.time, True
    history.program_seconds = entry.fields.number("seconds")


def _failed(history: History, entry: Entry) -> None:
    history.ended_at, history.failure = entry.time, entry.fields.text("reason")


def _nothing(_history: History, _entry: Entry) -> None:
    """Nodes come and go without a change of what is computed."""


def _milestone(of: Fields, name: str) -> Milestone:
    if isinstance(of.values.get(name), dict):
        return Milestone(of.inner(name).whole("completed"), of.inner(name).whole("steps"))
    return Milestone(of.whole(name))


_EVENTS: dict[str, Callable[[History, Entry], None]] = {
    "started": _started,
    "epoch_ended": _step("epoch"),
    "round_ended": _step("round"),
    "client_trained": _client_trained,
    "client_absent": _client_absent,
    "client_tested": _client_tested,
    "reported": _reported,
    "program_ended": _program_ended,
    "model_initialized": _nothing,
    "node_joined": _nothing,
    "node_left": _nothing,
    "checkpoint_saved": _checkpoint_saved,
    "finished": _finished,
    "failed": _failed,
}
_UNITS = {
    "epoch_ended": "epoch",
    "round_ended": "round",
    "client_trained": "round",
    "client_absent": "round",
    "client_tested": "round",
}


def finite(number: float | None) -> float | None:
    """Return the number if it is finite."""
    return number if number is not None and math.isfinite(number) else None
