"""The process of a strategy: it asks the user's class what the program asks, and checks what that answers."""

from __future__ import annotations

import hashlib
import math
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from fltk.strategy import frames
from fltk.strategy.base import Array, Model, Strategy, Update

_TERMS = ("learning_rate", "proximal_mu", "epochs", "steps")
_NAME_CHARS_MAX = 256
_REASON_CHARS_MAX = 2000
# The largest amounts of local training, as in experiment files.
_MOST = {"epochs": 1e6, "steps": 10**9}

Read = Callable[[], tuple[dict[str, Any], dict[str, Array]]]
Write = Callable[..., None]


class AnswerError(Exception):
    """What the code answered can't be used."""


def serve(read: Read, write: Write) -> None:
    """Answers the program until it closes the connection. A failure is an answer too, and its traceback goes to standard error."""
    try:
        hello, _ = read()
        if hello.get("version") != frames.VERSION:
            reason = f"the program speaks version {hello.get('version')} of the protocol of strategies, and this package version {frames.VERSION}"
            write({"kind": "failed", "reason": f"{reason}; use the same version of both"})
            return
        file = Path(hello["file"])
        try:
            strategy = _load(file, hello["name"])
            strategy.seed, strategy.num_clients = hello["seed"], hello["num_clients"]
        except BaseException as error:
            write(_failed(error, file))
            return
        write({"kind": "ready", "version": frames.VERSION})
        while True:
            _round(strategy, file, read, write)
    except (frames.EndedError, BrokenPipeError, ConnectionResetError):
        return


def _round(strategy: Strategy, file: Path, read: Read, write: Write) -> None:
    """Answers what is asked in a round: first for the terms of its clients, then for the next model."""
    begun, arrays = read()
    model, kept = _split(begun, arrays)
    strategy.round = begun["round"]
    try:
        _seed(strategy.seed, strategy.round)
        state = {name: np.array(values) for name, values in kept.items()}
        if begun["is_first"]:
            state = _checked_state("initial_state", strategy.initial_state(model))
        # What is changed for one client isn't there for the next.
        copied = ({name: np.array(values) for name, values in state.items()} for _ in begun["clients"])
        terms = [_terms(strategy, client, own) for client, own in zip(begun["clients"], copied, strict=True)]
    except BaseException as error:
        write(_failed(error, file))
        return
    write({"kind": "terms", "terms": terms})
    updates = Updates(read, model.roles)
    try:
        answer = strategy.combine(model, updates, state)
        following = [(name, _checked(name, answer, model)) for name in _names(answer, model)]
        after = _checked_state("combine", state)
    except (frames.EndedError, BrokenPipeError, ConnectionResetError):
        raise
    except BaseException as error:
        failed = _failed(error, file)
        updates.drain()
        write(failed)
        return
    updates.drain()
    write({"kind": "combined", "num_state": len(after)}, [*following, *after.items()])


def _load(file: Path, name: str) -> Strategy:
    # Compiled from the file itself: compiled code that Python keeps beside it may be another's.
    code = compile(file.read_bytes(), str(file), "exec")
    module = ModuleType(file.stem if file.stem.isidentifier() and file.stem not in sys.modules else f"strategy_{abs(hash(str(file)))}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)  # noqa: S102 (it is what the experiment names)
    found = getattr(module, name, None)
    if found is None:
        raise AnswerError(f"`{file.name}` has no `{name}`")
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise AnswerError(f"`{name}` of `{file.name}` is no subclass of `fltk.strategy.Strategy`")
    return found()


def _split(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[Model, dict[str, Array]]:
    """Returns the model and the state in a message: its names begin with `m.` and `s.`."""
    model = {name[2:]: values for name, values in arrays.items() if name.startswith("m.")}
    return Model(model, dict(zip(model, header["roles"], strict=True))), {name[2:]: values for name, values in arrays.items() if name.startswith("s.")}


class Updates(Iterator[Update]):
    """The updates of a round, as they come, until the program says that there are no more."""

    def __init__(self, read: Read, roles: Mapping[str, str]) -> None:
        self._read, self._roles, self._are_over = read, roles, False

    def __next__(self) -> Update:
        if self._are_over:
            raise StopIteration
        header, arrays = self._read()
        if header["kind"] == "end":
            self._are_over = True
            raise StopIteration
        model = Model({name[2:]: values for name, values in arrays.items()}, self._roles)
        return Update(header["client"], header["num_samples"], header["num_steps"], header["learning_rate"], model)

    def drain(self) -> None:
        """Reads what the code didn't."""
        for _ in self:
            pass


def _seed(seed: int, at_round: int) -> None:
    digest = hashlib.sha256(f"fltk strategy {seed} {at_round}".encode()).digest()
    random.seed(digest)
    np.random.seed(int.from_bytes(digest[:4], "little"))


def _terms(strategy: Strategy, client: Mapping[str, Any], state: dict[str, Array]) -> dict[str, float]:
    number = client["client"]
    usual = {key: client[key] for key in _TERMS if key in client}
    own = strategy.client_terms(number, dict(usual), state)
    if not isinstance(own, Mapping):
        raise AnswerError(f"`client_terms` of client {number} returned {_kind(own)}, and terms are a dict")
    for key, value in own.items():
        if key not in _TERMS:
            raise AnswerError(f"`client_terms` of client {number} has `{key}`, and terms are {', '.join(_TERMS)}")
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)) or not math.isfinite(value):
            raise AnswerError(f"`{key}` of the terms of client {number} is {value!r}, and no finite number")
        if value < 0 or (value == 0 and key != "proximal_mu") or (key == "steps" and value != int(value)) or value > _MOST.get(key, math.inf):
            raise AnswerError(f"`{key}` of the terms of client {number} can't be {value!r}")
    if "epochs" in own and "steps" in own:
        raise AnswerError(f"the terms of client {number} have both `epochs` and `steps`")
    work = {key: own[key] for key in ("epochs", "steps") if key in own} or {key: usual[key] for key in ("epochs", "steps") if key in usual}
    terms = {"learning_rate": float(own.get("learning_rate", usual["learning_rate"])), "proximal_mu": float(own.get("proximal_mu", usual["proximal_mu"]))}
    return {**terms, **{key: int(value) if key == "steps" else float(value) for key, value in work.items()}}


def _names(answer: Any, model: Model) -> list[str]:
    if not isinstance(answer, Mapping):
        raise AnswerError(f"`combine` returned {_kind(answer)}, and a model is a dict of arrays")
    missing = [name for name in model if name not in answer]
    if missing:
        raise AnswerError(f"`combine` returned no `{missing[0]}`")
    unknown = [name for name in answer if name not in model]
    if unknown:
        raise AnswerError(f"`combine` returned `{unknown[0]}`, which the model doesn't have")
    return list(model)


def _checked(name: str, answer: Mapping[str, Array], model: Model) -> Array:
    """Returns an array of the next model, in the type that the model has."""
    values, expected = np.asarray(answer[name]), model[name]
    if values.shape != expected.shape:
        raise AnswerError(f"`{name}` of what `combine` returned has shape {_shape(values)} instead of {_shape(expected)}")
    kinds = "iu" if expected.dtype.kind == "i" else "f"
    if values.dtype.kind not in kinds:
        raise AnswerError(f"`{name}` of what `combine` returned is {values.dtype}, and not {expected.dtype}")
    with np.errstate(over="ignore"):
        values = values.astype(expected.dtype)
    if not np.isfinite(values).all():
        raise AnswerError(f"`{name}` of what `combine` returned has a number that isn't finite")
    return values


def _checked_state(method: str, state: Any) -> dict[str, Array]:
    """Returns a state as it will come back: in float64."""
    if not isinstance(state, Mapping):
        raise AnswerError(f"`{method}` returned {_kind(state)}, and a state is a dict of arrays")
    checked = {}
    for name, given in state.items():
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_CHARS_MAX or not name.isprintable():
            raise AnswerError(f"{name!r} can't be the name of an array of the state")
        values = np.asarray(given)
        if values.dtype.kind not in "fiub":
            raise AnswerError(f"`{name}` of the state is {values.dtype}, and not an array of numbers")
        # A copy of its own: what the code keeps elsewhere may change.
        checked[name] = np.array(values, dtype=np.float64, order="C")
        if values.dtype.kind in "iu" and not (checked[name].astype(values.dtype) == values).all():
            raise AnswerError(f"`{name}` of the state has a whole number beyond 2^53, which float64 can't hold")
    return checked


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _shape(values: Array) -> str:
    return "x".join(map(str, values.shape)) or "of a single number"


def _failed(error: BaseException, file: Path) -> dict[str, Any]:
    """Returns the answer that says an error. What may be the machine's fault alone is tried again when the run is resumed."""
    reason = _reason(error, file)[:_REASON_CHARS_MAX].encode(errors="replace").decode()
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = f"; hint: install `{error.name}` there; modules beside `{file.name}` aren't looked for, since only that file is compared when a run goes on"
    return {"kind": "failed", "reason": reason + hint, "is_of_machine": isinstance(error, OSError | MemoryError)}


def _reason(error: BaseException, file: Path) -> str:
    """Returns an error in one line, with its place in the user's file, and prints its traceback unless the fault is in an answer alone."""
    if isinstance(error, AnswerError):
        return str(error)
    # The frames before the user's code are this package's.
    traceback.print_exception(type(error), error, _in_code(error.__traceback__, file))
    sys.stderr.flush()
    last = traceback.format_exception_only(type(error), error)[-1].strip()
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.abspath(frame.filename) == os.path.abspath(file)]
    return f"{last} (`{file.name}`, line {places[-1].lineno}, in `{places[-1].name}`)" if places else last


def _in_code(trace: TracebackType | None, file: Path) -> TracebackType | None:
    """Returns the part of a traceback that begins in the user's file; all of it if nothing of it is there."""
    found = trace
    while found is not None:
        if os.path.abspath(found.tb_frame.f_code.co_filename) == os.path.abspath(file):
            return found
        found = found.tb_next
    return trace
