"""The arithmetic of the program's own strategies: sums in float64, in the order of clients, rounded to float32 once.

`crates/fltk-fed/src/strategy/fedavg.rs` and `pseudo_gradient.rs` are the originals; a test of the program compares digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from fltk.strategy.base import Array, Model, Update

_LEAST = np.iinfo(np.int64).min


def weighted_mean(model: Model, updates: Iterable[Update], weights: str = "samples") -> dict[str, Array]:
    """Returns the mean of the clients' models, as `FedAvg` makes it.

    Args:
        model: the model that the clients started from
        updates: their updates
        weights: `samples`, `uniform` or `steps`, for parameters; buffers are weighted by samples, and of counters the largest counts
    """
    sums, total, num_samples = _sums(model), 0.0, 0.0
    for update in updates:
        weight, samples = _weight(update, weights), float(update.num_samples)
        total, num_samples = total + weight, num_samples + samples
        for name, values in update.model.items():
            _add(sums, model, name, weight if model.roles[name] == "parameter" else samples, values)
    return {name: _divided(model, name, sums[name], total if model.roles[name] == "parameter" else num_samples) for name in model}


def mean_changes(model: Model, updates: Iterable[Update], weights: str = "samples") -> tuple[dict[str, Array], dict[str, Array]]:
    """Returns the mean change of each parameter in float64, which server optimizers take for a gradient, and the next buffers and counters.

    The arguments are those of `weighted_mean`.
    """
    sums, total, num_samples = _sums(model), 0.0, 0.0
    for update in updates:
        weight, samples = _weight(update, weights), float(update.num_samples)
        total, num_samples = total + weight, num_samples + samples
        for name, values in update.model.items():
            if model.roles[name] == "parameter":
                sums[name] += weight * (values.astype(np.float64) - model[name].astype(np.float64))
            else:
                _add(sums, model, name, samples, values)
    changes = {name: sums[name] / total if total > 0.0 else np.zeros(sums[name].shape) for name in model.parameters}
    return changes, {name: _divided(model, name, sums[name], num_samples) for name in model if name not in changes}


def moved(model: Model, steps: Mapping[str, Array], others: Mapping[str, Array]) -> dict[str, Array]:
    """Returns the model whose parameters are those of `model` plus `steps`, summed in float64, and whose buffers and counters are `others`."""
    return {name: _rounded(model[name].astype(np.float64) + steps[name]) if name in steps else others[name] for name in model}


def _weight(update: Update, weights: str) -> float:
    if weights == "samples":
        return float(update.num_samples)
    if weights == "steps":
        return float(update.num_steps)
    if weights == "uniform":
        return 1.0
    raise ValueError(f"`weights` is `{weights}`, and not samples, uniform or steps")


def _sums(model: Model) -> dict[str, Array]:
    # -0 is the only number that changes no summand: +0 would turn -0 into +0.
    return {name: np.full(model[name].shape, _LEAST) if role == "counter" else np.full(model[name].shape, -0.0) for name, role in model.roles.items()}


def _add(sums: dict[str, Array], model: Model, name: str, weight: float, values: Array) -> None:
    if model.roles[name] == "counter":
        np.maximum(sums[name], values, out=sums[name])
    else:
        sums[name] += weight * values.astype(np.float64)


def _divided(model: Model, name: str, sums: Array, total: float) -> Array:
    if model.roles[name] == "counter":
        # Without an update there is nothing that is the largest.
        return np.where(sums == _LEAST, model[name], sums)
    return _rounded(sums / total) if total > 0.0 else model[name]


def _rounded(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
