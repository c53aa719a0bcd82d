"""Tables: named columns of one type each, which become frames of pandas or polars."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import polars

Cell = str | int | float | bool | datetime | None

# By type of a column: what pandas calls it, and what polars does. Whole numbers may be absent. Only seeds need the 64th bit: the difference of two numbers
# without a sign would wrap around.
_PANDAS = {"whole": "Int64", "seed": "UInt64", "number": "float64", "flag": "bool", "time": "datetime64[us, UTC]"}
_POLARS = {"text": "String", "whole": "Int64", "seed": "UInt64", "number": "Float64", "flag": "Boolean"}


class Table:
    """A table whose columns have names and types: ``text``, ``whole``, ``seed``, ``number``, ``flag`` or ``time``. What is absent is None."""

    def __init__(self, columns: Mapping[str, str], rows: Iterable[Sequence[Cell]]) -> None:
        self.columns = dict(columns)
        """The type of each column, in order."""
        self.rows = [tuple(row) for row in rows]
        """The rows, each with a value for every column."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Cell]]:
        """Iterate over the rows as dictionaries."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def __getitem__(self, column: str) -> list[Cell]:
        """Return a column."""
        index = list(self.columns).index(column) if column in self.columns else -1
        if index < 0:
            raise KeyError(f"there is no column `{column}`\nhint: there are {', '.join(f'`{name}`' for name in self.columns)}")
        return [row[index] for row in self.rows]

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a frame of pandas."""
        import pandas

        def column(name: str, kind: str) -> Any:
            values = self[name]
            if kind == "text":
                # The type that this version of pandas gives texts.
                return pandas.Series(values, dtype="str" if int(pandas.__version__.partition(".")[0]) >= 3 else "object")
            return pandas.Series(values, dtype=_PANDAS[kind])

        frame: pandas.DataFrame = pandas.DataFrame({name: column(name, kind) for name, kind in self.columns.items()})
        return frame

    def to_polars(self) -> polars.DataFrame:
        """Return the table as a frame of polars."""
        import polars

        schema = {name: polars.Datetime("us", "UTC") if kind == "time" else getattr(polars, _POLARS[kind]) for name, kind in self.columns.items()}
        return polars.DataFrame(self.rows, schema=schema, orient="row")

    def to_json(self) -> str:
        """Return the rows as JSON, a line for each; numbers for which JSON has no form are null."""

        def plain(value: Cell) -> object:
            if isinstance(value, float) and value - value != 0:
                return None
            return value.isoformat() if isinstance(value, datetime) else value

        return "".join(json.dumps({name: plain(value) for name, value in row.items()}) + "\n" for row in self)

    def __repr__(self) -> str:
        return f"<table of {len(self.rows)} rows: {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: at most 20 rows."""
        from html import escape

        def line(tag: str, cells: Iterable[object]) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

        shown = [line("td", ("" if cell is None else cell for cell in row)) for row in self.rows[:20]]
        more = f"<p>{len(self.rows)} rows</p>" if len(self.rows) > 20 else ""
        return f"<table>{line('th', self.columns)}{''.join(shown)}</table>{more}"
