"""Nodes that train a module in Python: `python -m fltk.node`, which `fltk run` starts by itself.

`Client` is what to subclass for a loss, an optimizer, samples or a training loop of one's own. Nothing here imports PyTorch before a model is made.
"""

from fltk.node.client import Client, Evaluation, Order, Trained

__all__ = ["Client", "Evaluation", "Order", "Trained"]
