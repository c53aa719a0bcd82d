"""Runs of fltk from Python.

``fltk.run`` starts the program and returns what it recorded, ``fltk.records`` reads the records of runs and streams, and ``fltk.report`` is for programs
that fltk starts; ``fltk.node`` has the nodes that train a net of one's own, and ``fltk.flower`` apps of Flower. What
isn't used isn't imported: this module alone needs neither pandas nor PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._report import ReportError, report

if TYPE_CHECKING:
    from . import records, trackers
    from ._run import RunError, run

__all__ = ["ReportError", "RunError", "records", "report", "run", "trackers"]
__version__ = "0.1.0"

# The module of each name that is imported when it is first used.
_LATER = {"records": "records", "run": "_run", "trackers": "trackers", "RunError": "_run"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module `fltk` has no attribute `{name}`")
    module = importlib.import_module(f".{_LATER[name]}", __name__)
    value = module if _LATER[name] == name else getattr(module, name)
    globals()[name] = value
    return value
