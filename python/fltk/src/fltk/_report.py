"""Figures that a program reports to the fltk that started it."""

from __future__ import annotations

import json
import math
import numbers
import os
import re
import sys

# Lines begin with this, so that they are told from whatever else a program prints.
PREFIX = "fltk: "
# The names that count something.
_COUNTS = ("epoch", "round", "step")
# What names a figure.
_NAME = re.compile(r"[A-Za-z0-9_./-]{1,64}")
# The largest count: what a reader with unsigned 32-bit numbers takes.
_COUNT_MAX = 2**32 - 1
# The longest line in bytes: the least that POSIX has a pipe take in one piece (on Linux), so that lines of several processes are never mixed.
LINE_BYTES_MAX = 4096


class ReportError(ValueError):
    """A figure can't be reported."""


def report(**figures: float) -> None:
    """Report figures, such as ``report(epoch=3, accuracy=0.91)``.

    Writes one line to standard output, ``fltk: {"epoch": 3, "accuracy": 0.91}``, in one piece and at once. ``epoch``, ``round`` and ``step`` are whole
    numbers, all other figures finite numbers: Python's, or those of numpy and PyTorch that hold one value.

    :raises ReportError: if there is no figure, or one of them isn't such a number
    """
    if not figures:
        raise ReportError("there is nothing to report\nhint: `fltk.report(epoch=3, accuracy=0.91)`")
    for name in figures:
        if not _NAME.fullmatch(name):
            raise ReportError(f"`{name}` can't be the name of a figure\nhint: letters of ASCII, digits, `_`, `-`, `.` and `/`, at most 64")
    values = {name: _count(name, value) if name in _COUNTS else _number(name, value) for name, value in figures.items()}
    line = (PREFIX + json.dumps(values) + "\n").encode("ascii")
    if len(line) > LINE_BYTES_MAX:
        raise ReportError(f"{len(values)} figures make a line of {len(line)} bytes, more than {LINE_BYTES_MAX}")
    _write(line)


def _count(name: str, value: object) -> int:
    number = _number(name, value)
    if number != int(number) or not 0 <= number <= _COUNT_MAX:
        raise ReportError(f"`{name}` is {value!r}, which is no whole number from 0 to {_COUNT_MAX}")
    return int(number)


def _number(name: str, value: object) -> int | float:
    # Arrays and tensors of one value.
    item = getattr(value, "item", None)
    if not isinstance(value, numbers.Real) and callable(item):
        try:
            value = item()
        except (RuntimeError, ValueError, TypeError) as error:
            raise ReportError(f"`{name}` is no single number: {error}") from None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ReportError(f"`{name}` is a `{type(value).__name__}`, not a number")
    try:
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        # A whole number that no float holds is none that a reader takes.
        if math.isfinite(number):
            return number
    except OverflowError:
        pass
    raise ReportError(f"`{name}` is {value!r}, which is not a finite number")


def _write(line: bytes) -> None:
    # What was printed before comes before.
    sys.stdout.flush()
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        # A notebook, or a test that captures the output.
        sys.stdout.write(line.decode("ascii"))
        sys.stdout.flush()
        return
    while line:
        line = line[os.write(descriptor, line) :]
