"""Arrays of an app in the form of a module of PyTorch, which a node trains: it has nothing but its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from fltk.node.errors import SettingsError


class Arrays(nn.Module):
    """Arrays by name, in order. All floats count as parameters, as for Flower's strategies, which know no buffers."""

    def __init__(self, arrays: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self._arrays = dict(arrays)

    def state_dict(self, *_: Any, **__: Any) -> Any:
        """Returns the tensors themselves."""
        return self._arrays

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, Any]]:
        """Yields the arrays of floats."""
        return ((name, array) for name, array in self._arrays.items() if array.is_floating_point())


def module_of(initial: Any) -> nn.Module:
    """Returns the arrays of a module, a record, a state dict or a list of arrays.

    Raises:
        SettingsError: if it is something else.
    """
    if isinstance(initial, nn.Module):
        initial = initial.state_dict()
    if isinstance(initial, Mapping):
        named = dict(initial)
    elif isinstance(initial, Sequence) and not isinstance(initial, (str, bytes)):
        named = {str(number): array for number, array in enumerate(initial)}
    else:
        raise SettingsError(f"the initial model is {type(initial).__name__}; hint: a module of PyTorch, an `ArrayRecord`, a state dict, or a list of arrays")
    if not named:
        raise SettingsError("the initial model has no arrays")
    return Arrays({name: _tensor(name, array) for name, array in named.items()})


def numbers_of(model: nn.Module) -> dict[str, Any]:
    """Returns copies of a model's arrays, which an app may change."""
    return {name: tensor.detach().numpy().copy() for name, tensor in model.state_dict().items()}


def set_numbers(model: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Sets a model's numbers to those that an app returned.

    Raises:
        SettingsError: if there are others than the model's.
    """
    tensors = model.state_dict()
    if arrays.keys() != tensors.keys():
        differing = ", ".join(f"`{name}`" for name in sorted(arrays.keys() ^ tensors.keys()))
        raise SettingsError(f"the app returned other arrays than it was given: {differing} are in one alone")
    for name, tensor in tensors.items():
        array = np.asarray(arrays[name])
        wanted = np.dtype(np.int64 if tensor.dtype == torch.int64 else np.float32)
        if array.dtype != wanted or array.shape != tuple(tensor.shape):
            raise SettingsError(f"the app returned `{name}` as {array.dtype} of shape {list(array.shape)}, and it is {wanted} of shape {list(tensor.shape)}")
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(array.copy()))


def _tensor(name: str, array: Any) -> torch.Tensor:
    if not isinstance(array, torch.Tensor):
        # An array of Flower's, or of NumPy.
        numbers = np.asarray(array.numpy() if hasattr(array, "numpy") else array)
        if numbers.dtype not in (np.float32, np.int64):
            raise SettingsError(f"`{name}` of the initial model is {numbers.dtype}, and models have float32 and int64 numbers; hint: convert it")
        array = torch.from_numpy(numbers.copy())
    tensor: torch.Tensor = array.detach().cpu().clone()
    return tensor
