"""The settings of a task, as a run records them, flat: ``{"federated.clients": 100.0, ...}``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ._fields import Fields

Setting = bool | float | str

# Settings that were added after the first folders were written, with the value that matches the earlier behavior: folders of earlier versions don't have
# them. The list is that of fltk itself, and a test compares both.
LATER: Mapping[str, Setting] = {
    "federated.partition.version": 1.0,
    "federated.feature_noise": 0.0,
    "federated.strategy.weights": "samples",
    "federated.partition.self_balancing": False,
    "federated.selection.losses": "reported",
    "federated.selection.loss_samples": 0.0,
}
# The limit on settings, as in fltk itself.
_SETTINGS_MAX = 1000


def of(fields: Fields) -> dict[str, Setting]:
    """Return the settings in these fields of a ``run.json``."""
    if len(fields.values) > _SETTINGS_MAX:
        raise fields.error(f"{len(fields.values)} settings, more than {_SETTINGS_MAX}")
    settings: dict[str, Setting] = {}
    for name in sorted(fields.values):
        value = fields.values[name]
        settings[name] = value if isinstance(value, (bool, str)) else fields.number(name)
    return settings


def without_defaults(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Return all settings but those that were added later and have the value of before: runs of all versions can be compared by these."""
    return {name: value for name, value in settings.items() if not (name in LATER and value == LATER[name])}


def key(settings: Mapping[str, Setting]) -> str:
    """Return a text that is the same for runs with the same settings, whatever versions recorded them."""
    return json.dumps(without_defaults(settings), sort_keys=True)


def network(settings: Mapping[str, Setting]) -> str:
    """Return the name of the net."""
    for name in ("network", "network.torchscript", "network.python"):
        if isinstance(settings.get(name), str):
            return str(settings[name])
    return "lstm" if any(name.startswith("network.lstm.") for name in settings) else ""


def text(settings: Mapping[str, Setting], name: str) -> str:
    """Return a setting that is a text; an empty one if there is none."""
    value = settings.get(name)
    return value if isinstance(value, str) else ""


def dataset(settings: Mapping[str, Setting]) -> str:
    """Return the name of the data set; of data of one's own, the last part of its path."""
    parts = [part for part in re.split(r"[/\\]", text(settings, "dataset.path")) if part]
    return text(settings, "dataset.name") or (parts[-1] if parts else text(settings, "dataset.format"))


def num_steps(settings: Mapping[str, Setting]) -> int | None:
    """Return the number of rounds or epochs that the task asks for."""
    value = settings.get("federated.rounds", settings.get("distributed.epochs"))
    return int(value) if isinstance(value, float) and 0 <= value < 2**32 else None
