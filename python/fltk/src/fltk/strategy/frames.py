"""The messages between the program and a strategy: a header in JSON, and the numbers that it describes, as raw little-endian arrays.

A message is two lengths (u32 of the header, u64 of the numbers), the header and the numbers. `crates/fltk-torch/src/run/federated/own_strategy/frames.rs`
is the other side.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from fltk.strategy.base import Array

VERSION = 1
"""The version of the protocol, which both sides say at first."""

_LENGTHS = struct.Struct("<IQ")
_HEADER_BYTES_MAX = 1 << 27
_DTYPES = {"f32": np.dtype("<f4"), "f64": np.dtype("<f8"), "i64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class EndedError(Exception):
    """The program has closed the connection: it is over."""


def write(send: Callable[[Any], Any], header: Mapping[str, Any], arrays: Iterable[tuple[str, Array]] = ()) -> None:
    """Sends a message. Arrays are of float32, float64 or int64."""
    listed = [(name, np.asarray(values, order="C")) for name, values in arrays]
    described = [{"name": name, "dtype": _NAMES[values.dtype.newbyteorder("<")], "shape": list(values.shape)} for name, values in listed]
    text = json.dumps({**header, "arrays": described}).encode()
    send(_LENGTHS.pack(len(text), sum(values.nbytes for _, values in listed)) + text)
    for _, values in listed:
        if values.nbytes:
            send(values.astype(values.dtype.newbyteorder("<"), copy=False).reshape(-1).data)


def read(receive: Callable[[Any], int]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Returns the next message. The arrays can't be written to.

    Raises:
        EndedError: if there is none
    """
    lengths = bytearray(_LENGTHS.size)
    _fill(receive, lengths)
    of_header, of_numbers = _LENGTHS.unpack(lengths)
    if of_header > _HEADER_BYTES_MAX:
        raise ValueError(f"a header of {of_header} bytes")
    text, numbers = bytearray(of_header), bytearray(of_numbers)
    _fill(receive, text)
    _fill(receive, numbers)
    header: dict[str, Any] = json.loads(text)
    arrays, at = {}, 0
    for spec in header["arrays"]:
        dtype, shape = _DTYPES[spec["dtype"]], tuple(spec["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        values = np.frombuffer(numbers, dtype, count, at).reshape(shape)
        values.flags.writeable = False
        arrays[spec["name"]] = values
        at += values.nbytes
    if at != of_numbers:
        raise ValueError("a message with more numbers than its header says")
    return header, arrays


def _fill(receive: Callable[[Any], int], buffer: bytearray) -> None:
    view = memoryview(buffer)
    while view:
        length = receive(view)
        if length == 0:
            raise EndedError
        view = view[length:]
