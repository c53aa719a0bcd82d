"""Apps of Flower as clients of a federated run: the experiment file names a `ClientApp`, a `client_fn` or a `NumPyClient`, as it is.

`network: { python: "my_app/client_app.py:app" }` needs nothing from here. `client` is for what can't be found in the app: the initial arrays, figures under
names of its own, or an evaluation at the server. Nothing here imports Flower before an app is used, and nothing of Flower that calls its makers' servers.
"""

from fltk.flower._adapter import client, is_of_flower, with_names

__all__ = ["client", "is_of_flower", "with_names"]
