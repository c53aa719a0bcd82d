"""Strategies of one's own: `strategy: { python: "mine.py:Mine" }` in an experiment file names a subclass of `Strategy`.

`weighted_mean`, `mean_changes` and `moved` have the arithmetic of the program's own strategies, bit for bit. Only NumPy is needed.
"""

from fltk.strategy.base import Model, Strategy, Update
from fltk.strategy.sums import mean_changes, moved, weighted_mean

__all__ = ["Model", "Strategy", "Update", "mean_changes", "moved", "weighted_mean"]
