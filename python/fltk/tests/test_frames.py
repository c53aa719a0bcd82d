"""Tests of frames: their types, and that nothing is lost on the way."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from pathlib import Path

import pytest
from conftest import FOLDERS

from fltk import records

TABLE = records.Table(
    {"name": "text", "seed": "seed", "count": "whole", "value": "number", "on": "flag", "at": "time"},
    [
        ("a", 2**64 - 1, None, math.nan, True, datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)),
        (None, 0, 5, None, False, None),
    ],
)


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = TABLE.to_pandas()
    assert list(frame["seed"]) == [2**64 - 1, 0]
    assert frame["count"].isna().tolist() == [True, False]
    # Differences of counts don't wrap around.
    assert (frame["count"] - 10)[1] == -5
    assert frame["value"].isna().all()
    assert frame["name"].isna().tolist() == [False, True]
    assert frame["at"][0] == pandas.Timestamp("2026-01-02T03:04:05.678901Z") and pandas.isna(frame["at"][1])
    assert [str(kind) for kind in frame.dtypes[1:]] == ["UInt64", "Int64", "float64", "bool", "datetime64[us, UTC]"]
    empty = records.Table(TABLE.columns, []).to_pandas()
    assert list(empty.dtypes) == list(frame.dtypes)


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = TABLE.to_polars()
    assert frame["seed"].to_list() == [2**64 - 1, 0]
    assert frame["count"].to_list() == [None, 5]
    assert math.isnan(frame["value"][0]) and frame["value"][1] is None
    assert frame["at"].to_list() == TABLE["at"]
    assert records.Table(TABLE.columns, []).to_polars().schema == frame.schema
    assert frame.schema["at"] == polars.Datetime("us", "UTC")


def test_every_table_of_every_version_becomes_a_frame(program: str, runs: Path) -> None:
    del program
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    for folder in (FOLDERS / "0.1.0/runs", FOLDERS / "0.1.0-virtual-time/runs", runs):
        read = records.read(folder)
        for table in (read.table(), read.steps(), read.clients(), read.jobs(), read.figures(), read.figures_by_step()):
            pandas, polars = table.to_pandas(), table.to_polars()
            assert len(pandas) == len(polars) == len(table)
            assert list(pandas.columns) == polars.columns == list(table.columns)


def test_a_table_needs_no_library() -> None:
    assert [row["count"] for row in TABLE] == [None, 5]
    with pytest.raises(KeyError, match="no column `nothing`"):
        TABLE["nothing"]
    shown = records.Table({"name": "text"}, [("<b>",)] * 30)._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown and "30 rows" in shown


def test_figures_by_step(runs: Path) -> None:
    read = records.read(runs)
    table = read.figures_by_step("test_loss", confidence=0.9)
    assert [(row["task"], row["step"]) for row in table if row["num_seeds"] == 3] == [(task, step) for task in ("plain", "adam") for step in range(4)]
    narrow, wide = read.figures(0.5), read.figures(0.99)
    for one, other in zip(narrow, wide, strict=True):
        assert other["low"] < one["low"] <= one["mean"] <= one["high"] < other["high"]  # type: ignore[operator]
    with pytest.raises(ValueError, match="no measure `nothing`\nhint: there are `test_accuracy`"):
        read.figures_by_step("nothing")
