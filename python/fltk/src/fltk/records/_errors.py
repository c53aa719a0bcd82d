"""The errors of records."""

from __future__ import annotations

import os


class RecordsError(Exception):
    """Records can't be read."""


class DamagedError(RecordsError):
    """A file differs from what fltk wrote. The message names the file, and the line if it has lines."""

    def __init__(self, path: str | os.PathLike[str], problem: str, line: int | None = None) -> None:
        where = f"`{printable(os.fspath(path))}`" + (f", line {line}" if line is not None else "")
        super().__init__(f"{where}: damaged: {printable(problem)}")
        self.path = os.fspath(path)
        self.line = line


class NewerError(RecordsError):
    """A file is of a later version of fltk than this package knows."""


# The longest text of others that a message contains, in characters: a few lines.
_TEXT_MAX = 1000


def printable(text: str) -> str:
    """Return a text without control characters and marks that change the direction of a line, and of limited length."""
    return "".join(c if c.isprintable() else " " for c in text[:_TEXT_MAX])
