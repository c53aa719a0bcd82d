"""Python's side of fltk. `fltk.node` has the nodes that train a net of your own."""

__version__ = "0.1.0"
