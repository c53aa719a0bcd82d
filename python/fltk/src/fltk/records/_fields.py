"""Objects of JSON from files, whose fields are of the types that they should be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, cast

from ._errors import DamagedError, printable

# Numbers for which JSON has no form.
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# The largest whole number: seeds have 64 bits.
_WHOLE_MAX = 2**64 - 1


def parse(data: bytes, path: str, line: int | None = None) -> Fields:
    """Parse an object of JSON."""

    def refuse(constant: str) -> float:
        raise ValueError(f"`{constant}` is not JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            raise ValueError("a field is there twice")
        return values

    try:
        value = json.loads(data.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, f"it can't be read as JSON: {error}", line) from None
    if not isinstance(value, dict):
        raise DamagedError(path, "it is not an object of JSON", line)
    return Fields(cast("dict[str, Any]", value), path, line)


class Fields:
    """The fields of an object, and the place of the object for errors."""

    def __init__(self, values: Mapping[str, Any], path: str, line: int | None, within: str = "") -> None:
        self.values = values
        self._path, self._line, self._within = path, line, within

    @property
    def place(self) -> str:
        """The file and the line of the object."""
        return f"`{printable(self._path)}`" + (f", line {self._line}" if self._line is not None else "")

    def error(self, problem: str) -> DamagedError:
        """Return the error that this object isn't what fltk writes."""
        return DamagedError(self._path, problem, self._line)

    def _wrong(self, name: str, wanted: str) -> DamagedError:
        what = "is missing" if name not in self.values else f"is `{printable(json.dumps(self.values[name]))[:80]}`"
        return self.error(f"`{self._within}{name}` {what}, and should be {wanted}")

    def has(self, name: str) -> bool:
        """Return whether the field is there and not null."""
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """Return a text."""
        value = self.values.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def whole(self, name: str) -> int:
        """Return a whole number, not below 0."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _WHOLE_MAX:
            raise self._wrong(name, "a whole number")
        return value

    def number(self, name: str) -> float:
        """Return a number, which may be one for which JSON has no form."""
        value = self.values.get(name)
        if isinstance(value, str) and value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(name, "a number")
        try:
            return float(value)
        except OverflowError:
            raise self._wrong(name, "a number of 64 bits") from None

    def flag(self, name: str) -> bool:
        """Return a switch, which is off unless it is there."""
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def time(self, name: str) -> datetime:
        """Return a time in UTC, to the microsecond."""
        text = self.text(name)
        try:
            whole, _, fraction = text.removesuffix("Z").partition(".")
            if not text.endswith("Z") or (fraction and not (fraction.isascii() and fraction.isdigit())):
                raise ValueError
            time = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        except ValueError:
            raise self._wrong(name, "a time in UTC, such as `2026-01-02T03:04:05.678Z`") from None
        return time.replace(microsecond=int(fraction[:6].ljust(6, "0")))

    def list(self, name: str) -> list[Any]:
        """Return a list."""
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def inner(self, name: str) -> Fields:
        """Return an object within this one."""
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return Fields(cast("dict[str, Any]", value), self._path, self._line, f"{self._within}{name}.")
