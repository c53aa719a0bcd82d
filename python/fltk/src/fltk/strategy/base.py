"""What a strategy of one's own is made of: the class to subclass, and what its methods are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Array: TypeAlias = Any
"""A NumPy array, or what NumPy makes one of."""

State: TypeAlias = MutableMapping[str, Array]
"""What a strategy keeps between rounds: arrays of any shape, by name. They are float64 when they come back."""


class Model(Mapping[str, Array]):
    """A model: arrays by name, in the model's order. They can't be written to: a strategy makes new ones."""

    def __init__(self, arrays: Mapping[str, Array], roles: Mapping[str, str]) -> None:
        self._arrays = dict(arrays)
        self.roles = dict(roles)
        """`parameter`, `buffer` (float32, such as batch norm's statistics) or `counter` (int64), by name."""

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters: what optimizers train."""
        return [name for name, role in self.roles.items() if role == "parameter"]


@dataclass(frozen=True)
class Update:
    """One client's answer."""

    client: int
    """The client, counted from 0."""
    num_samples: int
    """The samples that it holds, by the partition."""
    num_steps: int
    """The optimizer steps that it took."""
    learning_rate: float
    """The step size of these."""
    model: Model
    """Its model."""


class Strategy:
    """A strategy. One value serves a whole run; what has to survive an interruption is in `state`, and in nothing else."""

    round: int = 0
    """The round, counted from 1, while a method runs."""
    seed: int = 0
    """The run's seed. Before each round, `random` and NumPy's global generator are seeded by it and the round."""
    num_clients: int = 0
    """All clients, of which some take part in a round."""

    def initial_state(self, model: Model) -> State:
        """Returns the state before the first round, given the initial model."""
        return {}

    def client_terms(self, client: int, terms: Mapping[str, float], state: State) -> Mapping[str, float]:
        """Returns what is different for a client that is about to train: any of `learning_rate`, `proximal_mu`, and `epochs` or `steps`.

        `terms` are those that it has otherwise. `state` is that after the round before; changes of it are forgotten.
        """
        return {}

    def combine(self, model: Model, updates: Iterator[Update], state: State) -> Mapping[str, Array]:
        """Returns the next model: an array for each of `model`'s, of its shape. Changes `state`.

        `updates` come in the order of clients, one at a time: memory need not hold more than one of them.
        """
        raise NotImplementedError(f"`{type(self).__name__}` has no `combine`")
