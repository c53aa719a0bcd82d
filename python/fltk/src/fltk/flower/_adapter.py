"""The class of clients that puts an app of Flower's in the place of a training loop: the arrays, the figures, and what an app is told of the experiment."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fltk.flower import _apps, _messages
from fltk.flower._apps import is_of_flower
from fltk.node.client import Client, Evaluation, Order, Trained
from fltk.node.errors import SettingsError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["client", "is_of_flower", "with_names"]

LOSS, ACCURACY = ("loss",), ("accuracy", "acc")
"""The words in the names of figures by which they are found, unless they are named."""

ROUNDING = 1e-9
"""The most by which a mean of fractions is too large for its rounding alone."""

BY_PARTITION = re.compile(r"^ +weights: samples$", re.MULTILINE)
"""The line of an experiment whose strategy weights clients by the samples of its partition."""

SHORT = {"learning-rate": "lr"}
"""Another name that Flower's own examples use."""


@dataclass(frozen=True)
class _Options:
    """What `client` was called with."""

    app: Any
    initial: Callable[[], Any] | None = None
    evaluate: Callable[..., Any] | None = None
    run_config: Mapping[str, Any] = field(default_factory=dict)
    loss: str | None = None
    accuracy: str | None = None
    discards_state: bool = False
    beside: Mapping[str, Any] = field(default_factory=dict)
    """The names of the app's file."""


def client(
    app: Any,
    *,
    initial: Callable[[], Any] | None = None,
    evaluate: Callable[..., Any] | None = None,
    run_config: Mapping[str, Any] | None = None,
    loss: str | None = None,
    accuracy: str | None = None,
    discards_state: bool = False,
    beside: Mapping[str, Any] | None = None,
) -> type[Client]:
    """Returns the class of clients that ask an app of Flower's, to be named in the experiment file.

    Args:
        app: a `ClientApp`, a `client_fn`, a `NumPyClient` or its class.
        initial: makes the initial model: a module of PyTorch, an `ArrayRecord`, a state dict, or a list of arrays. By default `get_parameters` of the first
            client, or the only class of modules among the names in `beside`.
        evaluate: evaluates the global model in place of all clients: a function as Flower's strategies take it, `evaluate_fn`.
        run_config: what the app's `context.run_config` has in any case.
        loss: the name of the metric that is the loss, if there are several.
        accuracy: the name of the metric that is the accuracy, if there are several.
        discards_state: says that the app's results don't depend on what it leaves in `context.state`.
        beside: the names of the file that the app is in, among which a model is looked for.
    """
    options = _Options(app, initial, evaluate, dict(run_config or {}), loss, accuracy, discards_state, dict(beside or {}))
    return type("FlowerClient", (FlowerClient,), {"options": options})


def with_names(kind: type[Client], names: Mapping[str, Any]) -> type[Client]:
    """Returns a class of clients that looks for a model among these names of its file, if it is an app of Flower's and was told of no others."""
    if not issubclass(kind, FlowerClient) or kind.options.beside:
        return kind
    return type(kind.__name__, (kind,), {"options": replace(kind.options, beside=dict(names))})


class FlowerClient(Client):
    """Clients that are an app of Flower's."""

    options: ClassVar[_Options]

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self._app = _messages.App(_apps.client_app(self.options.app), discards_state=self.options.discards_state)
        self._project = _apps.project_config(Path.cwd())

    def make_model(self) -> nn.Module:
        """Returns the initial arrays in the form of a module."""
        from fltk.flower import _arrays

        self._warn_of_weights()
        return _arrays.module_of(self._initial())

    def train(self, model: nn.Module, order: Order) -> Trained:
        """Has the app train, and puts what it returns into the model."""
        from fltk.flower import _arrays

        work: dict[str, Any] = {"learning-rate": order.learning_rate}
        if order.epochs is not None:
            work["local-epochs"] = int(order.epochs) if order.epochs == int(order.epochs) else order.epochs
        if order.steps is not None:
            work["local-steps"] = order.steps
        if order.proximal_mu > 0.0:
            work["proximal-mu"] = order.proximal_mu
        reply = self._app.train(_arrays.numbers_of(model), self._asked(order.client, order.round, work))
        _arrays.set_numbers(model, reply.arrays or {})
        # Apps say how many examples they have, and not how many steps they made.
        trained = Trained(num_steps=reply.num_examples)
        loss = _messages.figure(reply.metrics, None, LOSS)
        if loss is not None and reply.num_examples > 0:
            trained.num_samples, trained.loss_sum = reply.num_examples, float(loss) * reply.num_examples
        return trained

    def evaluate(self, model: nn.Module, at_round: int) -> Evaluation:
        """Returns the mean figures of all clients, each weighted by its examples, as Flower's strategies do; or those of the function for the server."""
        from fltk.flower import _arrays

        arrays = _arrays.numbers_of(model)
        if self.options.evaluate is not None:
            return self._evaluate_at_server(self.options.evaluate, arrays, at_round)
        num_examples, loss, accuracy = 0, 0.0, 0.0
        for number in range(self.job.num_clients):
            if self._place.seed is not None:
                self._place.seed(number, at_round)
            reply = self._app.evaluate(arrays, self._asked(number, at_round))
            if reply.num_examples == 0:
                continue
            of_loss, of_accuracy = self._figures(reply.metrics)
            num_examples += reply.num_examples
            loss += of_loss * reply.num_examples
            accuracy += of_accuracy * reply.num_examples
        if num_examples == 0:
            raise SettingsError("no client of the app has examples to evaluate on")
        mean = accuracy / num_examples
        # That of fractions which are all 1 may be a rounding above it.
        return Evaluation(num_examples, loss / num_examples, 1.0 if 1.0 < mean < 1.0 + ROUNDING else mean)

    def measure(self, model: nn.Module, client: int, num_samples: int) -> float:
        """Returns the loss of the model by the client's own evaluation, whose samples the app chooses."""
        from fltk.flower import _arrays

        reply = self._app.evaluate(_arrays.numbers_of(model), self._asked(client, self._place.last["round"]))
        return self._figures(reply.metrics)[0]

    def _warn_of_weights(self) -> None:
        """Says once in a node that the mean isn't weighted as Flower's is, if it is so."""
        folder = self._place.folder
        try:
            # The program writes it with all settings, each on its line.
            if folder is None or not BY_PARTITION.search((folder / "experiment.yaml").read_text()):
                return
            (folder / "weights-warned").touch(exist_ok=False)
        except OSError:
            return
        print(
            "warning: the mean is weighted by the experiment's partition, which the app doesn't use; "
            "hint: `strategy: { ..., weights: steps }` weights it by the examples that clients return, as Flower does",
            file=sys.stderr,
            flush=True,
        )

    def _initial(self) -> Any:
        options = self.options
        make = options.initial or options.beside.get("make_model")
        if make is not None:
            return make()
        parameters = self._app.parameters(self._asked(0, 0))
        if parameters is not None:
            return parameters
        modules = list(_modules_in(options.beside))
        if len(modules) == 1:
            return modules[0]()
        found = f"has {len(modules)} classes of models, {', '.join(f'`{kind.__name__}`' for kind in modules)}" if modules else "has no class of models"
        raise SettingsError(
            f"the initial arrays are unknown: the app has no `get_parameters`, and its file {found}; "
            "hint: a function `make_model` in the file, or `client = fltk.flower.client(app, initial=...)`"
        )

    def _asked(self, client: int, at_round: int, work: Mapping[str, Any] | None = None) -> _messages.Asked:
        job = self.job
        optimizer = {name.replace("_", "-"): value for name, value in job.optimizer.items() if name != "type" and isinstance(value, (int, float))}
        said = {**optimizer, "batch-size": job.batch_size, "seed": job.seed, **(work or {})}
        run_config = {"local-epochs": 1, **self._project, **_spelled(said), **_spelled(self.options.run_config)}
        config = _spelled({"server-round": at_round, **(work or {})})
        return _messages.Asked(client, job.num_clients, at_round, run_config, config)

    def _figures(self, metrics: Mapping[str, float]) -> tuple[float, float]:
        return self._figure(metrics, "loss", self.options.loss, LOSS), self._figure(metrics, "accuracy", self.options.accuracy, ACCURACY)

    def _figure(self, metrics: Mapping[str, float], what: str, named: str | None, words: Sequence[str]) -> float:
        found = _messages.figure(metrics, named, words)
        if found is None:
            raise SettingsError(
                f"the evaluation of the app has {_messages.listed(metrics)}, of which none, or not one alone, is the {what}; "
                f'hint: `fltk.flower.client(app, {what}="...")` names it'
            )
        return float(found)

    def _evaluate_at_server(self, evaluate: Callable[..., Any], arrays: Mapping[str, Any], at_round: int) -> Evaluation:
        if self._app.has_client_fn:
            answer = evaluate(at_round, list(arrays.values()), {})
            metrics = None if answer is None else {**answer[1], "loss": answer[0]}
        else:
            metrics = evaluate(at_round, _messages.array_record(arrays))
        if metrics is None:
            raise SettingsError(f"`evaluate` returned nothing for round `{at_round}`; hint: `evaluate_every` in the experiment file says which are evaluated")
        # Other metrics, such as lists, are none of ours.
        plain = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float) or getattr(value, "ndim", None) == 0}
        num_examples = next((int(plain[name]) for name in _messages.EXAMPLES if name in plain), 1)
        return Evaluation(num_examples, *self._figures(plain))


def _spelled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings under the names that apps use: with dashes, with underscores as older apps have them, and short."""
    short = {SHORT[name]: value for name, value in settings.items() if name in SHORT}
    return {**settings, **{name.replace("-", "_"): value for name, value in settings.items()}, **short}


def _modules_in(names: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the classes of models among names, each once, without those of PyTorch itself."""
    from torch import nn

    found: Sequence[Any] = list(dict.fromkeys(value for value in names.values() if inspect.isclass(value)))
    yield from (kind for kind in found if issubclass(kind, nn.Module) and kind.__module__.partition(".")[0] not in {"torch", "torchvision"})
