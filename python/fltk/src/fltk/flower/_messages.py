"""Orders as Flower's messages, and its replies as plain numbers: for apps whose functions are registered, and for those of a `client_fn`.

The names of records are those of Flower's own strategies, so that an app can't tell who asks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fltk.flower import _apps
from fltk.node.errors import SettingsError

EXAMPLES = ("num-examples", "num_examples")
"""The names under which apps say how many examples they used."""


@dataclass(frozen=True)
class Asked:
    """A question to a client."""

    client: int
    num_clients: int
    round: int
    run_config: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """The answer of a client."""

    num_examples: int
    metrics: dict[str, float]
    arrays: dict[str, Any] | None = None
    """The arrays of NumPy, by name and in order; `None` if it evaluated."""


class App:
    """A `ClientApp`, which is asked as Flower's own server asks it."""

    def __init__(self, app: Any, *, discards_state: bool) -> None:
        self._app = app
        self._has_client_fn = _apps.has_client_fn(app)
        self._discards_state = discards_state

    @property
    def has_client_fn(self) -> bool:
        """True if it gets messages of the older kind, whose arrays have no names."""
        return self._has_client_fn

    def parameters(self, asked: Asked) -> list[Any] | None:
        """Returns what `get_parameters` of a client returns; `None` if there is no such method."""
        if not self._has_client_fn:
            return None
        from flwr.common import Code, GetParametersIns, MessageTypeLegacy, parameters_to_ndarrays
        from flwr.compat.common import recorddict_compat as compat

        content = compat.getparametersins_to_recorddict(GetParametersIns(config=dict(asked.config)))
        reply = compat.recorddict_to_getparametersres(self._ask(content, MessageTypeLegacy.GET_PARAMETERS, asked), keep_input=True)
        if reply.status.code == Code.GET_PARAMETERS_NOT_IMPLEMENTED:
            return None
        _check_status("get_parameters", reply.status)
        return list(parameters_to_ndarrays(reply.parameters)) or None

    def train(self, arrays: Mapping[str, Any], asked: Asked) -> Reply:
        """Has a client train from these arrays."""
        if not self._has_client_fn:
            content = self._ask(_records(arrays, asked), "train", asked)
            returned = _only(content.array_records, "train", "ArrayRecord")
            named = {name: _numbers(name, array) for name, array in returned.items()}
            return _reply(content, "train", named)
        from flwr.common import FitIns, ndarrays_to_parameters, parameters_to_ndarrays
        from flwr.compat.common import recorddict_compat as compat

        fit = FitIns(parameters=ndarrays_to_parameters(list(arrays.values())), config=dict(asked.config))
        result = compat.recorddict_to_fitres(self._ask(compat.fitins_to_recorddict(fit, keep_input=True), "train", asked), keep_input=True)
        _check_status("fit", result.status)
        trained = parameters_to_ndarrays(result.parameters)
        if len(trained) != len(arrays):
            raise SettingsError(f"`fit` returned {len(trained)} arrays, and the model has {len(arrays)}")
        return Reply(_count("fit", result.num_examples), _figures(result.metrics), dict(zip(arrays, trained, strict=True)))

    def evaluate(self, arrays: Mapping[str, Any], asked: Asked) -> Reply:
        """Has a client evaluate these arrays. The loss of a `client_fn`'s is among the metrics, as `loss`."""
        hint = "hint: fltk evaluates each model: give the app one, or name Flower's function for the server by `fltk.flower.client(app, evaluate=...)`"
        if not self._has_client_fn:
            if not _apps.evaluates(self._app):
                raise SettingsError(f"the app has no function for `@app.evaluate()`; {hint}")
            return _reply(self._ask(_records(arrays, asked), "evaluate", asked), "evaluate", None)
        from flwr.common import Code, EvaluateIns, ndarrays_to_parameters
        from flwr.compat.common import recorddict_compat as compat

        question = EvaluateIns(parameters=ndarrays_to_parameters(list(arrays.values())), config=dict(asked.config))
        result = compat.recorddict_to_evaluateres(self._ask(compat.evaluateins_to_recorddict(question, keep_input=True), "evaluate", asked))
        if result.status.code == Code.EVALUATE_NOT_IMPLEMENTED:
            raise SettingsError(f"the client has no method `evaluate`; {hint}")
        _check_status("evaluate", result.status)
        return Reply(_count("evaluate", result.num_examples), {**_figures(result.metrics), "loss": float(result.loss)})

    def _ask(self, content: Any, kind: str, asked: Asked) -> Any:
        from flwr.app import Context, Message, RecordDict

        node = {"partition-id": asked.client, "num-partitions": asked.num_clients}
        context = Context(run_id=0, node_id=asked.client, node_config=node, state=RecordDict(), run_config=dict(asked.run_config))
        reply = self._app(_message(content, kind, asked), context)
        if not isinstance(reply, Message):
            raise SettingsError(f"the app's answer to `{kind}` is {type(reply).__name__}, and answers are a `Message`")
        if reply.has_error():
            raise SettingsError(f"the app's answer to `{kind}` is an error: {reply.error.reason}")
        if len(context.state) > 0 and not self._discards_state:
            names = ", ".join(f"`{name}`" for name in context.state)
            raise SettingsError(
                f"the app keeps {names} in `context.state`, which fltk doesn't keep from round to round; "
                "hint: `fltk.flower.client(app, discards_state=True)` if its results don't depend on it"
            )
        return reply.content


def _message(content: Any, kind: str, asked: Asked) -> Any:
    """Returns a message as it comes to a client: there is no server of Flower's, whose numbers it would have."""
    from flwr.app import DEFAULT_TTL, Message, Metadata

    metadata = Metadata(
        run_id=0,
        message_id="",
        src_node_id=0,
        dst_node_id=asked.client,
        reply_to_message_id="",
        group_id=str(asked.round),
        created_at=time.time(),
        ttl=DEFAULT_TTL,
        message_type=kind,
    )
    return Message(content=content, metadata=metadata)


def array_record(arrays: Mapping[str, Any]) -> Any:
    """Returns arrays as a record of Flower's."""
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def _records(arrays: Mapping[str, Any], asked: Asked) -> Any:
    from flwr.app import ConfigRecord, RecordDict

    return RecordDict({"arrays": array_record(arrays), "config": ConfigRecord(dict(asked.config))})


def _reply(content: Any, kind: str, arrays: dict[str, Any] | None) -> Reply:
    metrics = _figures(_only(content.metric_records, kind, "MetricRecord"))
    for name in EXAMPLES:
        if name in metrics:
            return Reply(_count(kind, metrics[name]), metrics, arrays)
    raise SettingsError(f"the app's answer to `{kind}` doesn't say how many examples it used; hint: its `MetricRecord` has `{EXAMPLES[0]}`, as Flower asks")


def _only(records: Mapping[str, Any], kind: str, wanted: str) -> Any:
    if len(records) != 1:
        raise SettingsError(f"the app's answer to `{kind}` has {len(records)} of `{wanted}`, and it takes one")
    return next(iter(records.values()))


def _numbers(name: str, array: Any) -> Any:
    try:
        return array.numpy()
    except Exception as error:
        raise SettingsError(f"the array `{name}` that the app returned can't be read: {error}") from error


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns those figures that are one number."""
    return {str(name): value for name, value in metrics.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}


def _count(kind: str, num: float) -> int:
    if num < 0 or num != int(num):
        raise SettingsError(f"the app's answer to `{kind}` says {num} examples, and it is a whole number of at least 0")
    return int(num)


def _check_status(what: str, status: Any) -> None:
    from flwr.common import Code

    if status.code != Code.OK:
        raise SettingsError(f"`{what}` of the client answered with {status.code.name}: {status.message}")


def figure(metrics: Mapping[str, float], named: str | None, words: Sequence[str]) -> float | None:
    """Returns the figure of this name; without a name, that whose name has one of these words, if there is one alone, or one that is nothing but the word.

    Raises:
        SettingsError: if it is named, and isn't there.
    """
    if named is not None:
        if named not in metrics:
            raise SettingsError(f"the app returned no `{named}`, but {listed(metrics)}")
        return metrics[named]
    found = [name for name in metrics if set(name.lower().replace("-", "_").split("_")) & set(words)]
    exact = [name for name in found if name.lower() in words]
    chosen = found if len(found) == 1 else exact
    return metrics[chosen[0]] if len(chosen) == 1 else None


def listed(metrics: Mapping[str, float]) -> str:
    """Returns the names of metrics, for an error."""
    return ", ".join(f"`{name}`" for name in metrics if name not in EXAMPLES) or "no metric"
