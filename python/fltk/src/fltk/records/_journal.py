"""Journals: what happened, in order, with a checksum for each line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from . import _files
from ._crc32c import crc32c
from ._errors import DamagedError
from ._fields import Fields, parse

_OPENING = b'{"crc":"'
_CLOSING = b'",'
# Where the bytes begin that the checksum is of.
_BODY_AT = len(_OPENING) + 8 + len(_CLOSING)
# The longest line, as in fltk itself: the clients of a round of a million, or a confusion matrix of 1000 classes.
LINE_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class Entry:
    """One event of a journal."""

    line: int
    """The number of its line, from 1."""
    time: datetime
    """The time at which it was recorded."""
    event: str
    """The kind of the event."""
    fields: Fields
    """The fields of the line."""


def read(path: str) -> tuple[list[Entry], bool]:
    """Return the events of the journal at ``path``, and whether it ends with a torn line.

    A torn last line is what an interrupted append leaves, and doesn't count. Any other damage is an error.

    :raises DamagedError: if a line isn't what was written; the message names it
    """
    data = _files.read(path, _files.JOURNAL_BYTES_MAX)
    *lines, rest = data.split(b"\n")
    return [_entry(line, number, path) for number, line in enumerate(lines, 1)], bool(rest)


def _entry(line: bytes, number: int, path: str) -> Entry:
    if len(line) > LINE_BYTES_MAX:
        raise DamagedError(path, f"it has {len(line)} bytes, more than the {LINE_BYTES_MAX} of a line", number)
    digits = line[len(_OPENING) : _BODY_AT - len(_CLOSING)]
    framed = line.startswith(_OPENING) and line[_BODY_AT - len(_CLOSING) : _BODY_AT] == _CLOSING
    if not framed or any(digit not in b"0123456789abcdef" for digit in digits):
        raise DamagedError(path, "it does not begin with a checksum", number)
    written, computed = digits.decode(), f"{crc32c(line[_BODY_AT:]):08x}"
    if written != computed:
        raise DamagedError(path, f"its checksum is {written} where its bytes give {computed}", number)
    fields = parse(line, path, number)
    if (seq := fields.whole("seq")) != number - 1:
        raise DamagedError(path, f"it is event {seq} where event {number - 1} was expected", number)
    return Entry(number, fields.time("time"), fields.text("event"), fields)
