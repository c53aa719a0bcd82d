"""Which objects are apps of Flower, and the one form that all are brought into: a `ClientApp`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fltk.node.errors import SettingsError

PROJECT = "pyproject.toml"
"""The file in which an app of Flower has its configuration."""

TESTED = "1.42.0"
"""The version of Flower that the tests use."""


def is_of_flower(found: object) -> bool:
    """True if an object is an app or a client of Flower's, a class of clients, or a function that makes a client of a context."""
    kinds = found.__mro__ if inspect.isclass(found) else type(found).__mro__
    return any(str(kind.__module__).partition(".")[0] == "flwr" for kind in kinds) or _takes_context(found)


def client_app(found: Any) -> Any:
    """Returns the `ClientApp` that an object is, or that its clients make.

    Raises:
        SettingsError: if it is something else of Flower's, or a class whose constructor needs more than a context.
    """
    from flwr.client import Client, NumPyClient
    from flwr.clientapp import ClientApp

    if isinstance(found, ClientApp):
        return found
    if inspect.isclass(found) and issubclass(found, (Client, NumPyClient)):
        return ClientApp(_maker(found))
    if isinstance(found, (Client, NumPyClient)):
        return ClientApp(lambda context: found.to_client())
    if not inspect.isclass(found) and callable(found) and _takes_context(found):
        return ClientApp(found)
    kind = found.__name__ if inspect.isclass(found) else type(found).__name__
    raise SettingsError(f"`{kind}` is no client of Flower; hint: name a `ClientApp`, a function `client_fn(context)`, or a `NumPyClient`")


def has_client_fn(app: Any) -> bool:
    """True if a `ClientApp` makes clients by a `client_fn`, which gets messages of the older kind; false if its functions are registered with it."""
    try:
        return app._call is not None
    except AttributeError:
        raise SettingsError(f"this version of Flower has another `ClientApp`; hint: `pip install flwr=={TESTED}`, with which fltk is tested") from None


def evaluates(app: Any) -> bool:
    """True if an app without a `client_fn` has a function that evaluates."""
    return "evaluate.default" in getattr(app, "_registered_funcs", {"evaluate.default": None})


def project_config(folder: Path) -> dict[str, Any]:
    """Returns what the file `pyproject.toml` of a folder says in `[tool.flwr.app.config]`, with dotted names for tables; nothing if there is none."""
    try:
        text = (folder / PROJECT).read_text()
    except OSError:
        return {}
    try:
        # Python has it since 3.11, which Flower needs too.
        tomllib: Any = importlib.import_module("tomllib")
        value: Any = tomllib.loads(text)
    except ModuleNotFoundError:
        return {}
    except ValueError as error:
        raise SettingsError(f"`{PROJECT}` can't be read: {error}") from None
    for name in ("tool", "flwr", "app", "config"):
        value = value.get(name, {})
        if not isinstance(value, dict):
            return {}
    return dict(_flat(value, ""))


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in table.items():
        pairs += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return pairs


def _required(made: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return []
    counted = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [parameter for parameter in parameters if parameter.default is inspect.Parameter.empty and parameter.kind in counted]


def _takes_context(found: object) -> bool:
    """True for a function of one argument that is a context, or the number of a client as Flower called it before."""
    if not inspect.isfunction(found):
        return False
    required = _required(found)
    return len(required) == 1 and (required[0].name in {"context", "cid"} or "Context" in str(required[0].annotation))


def _maker(kind: Any) -> Callable[[Any], Any]:
    required = _required(kind)
    if len(required) > 1:
        names = ", ".join(f"`{parameter.name}`" for parameter in required)
        raise SettingsError(f"`{kind.__name__}` is made of {names}, and only its app knows them; hint: name the `client_fn` or the `ClientApp` that makes it")

    def client_fn(context: Any) -> Any:
        return (kind(context) if required else kind()).to_client()

    return client_fn
