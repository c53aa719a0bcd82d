"""Tests of what a program reports to fltk."""

import json
import math
import subprocess
import sys

import pytest

import fltk


def test_a_report_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    fltk.report(epoch=3, accuracy=0.91)
    fltk.report(step=7.0, loss=1, best=1e-300)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == 'fltk: {"epoch": 3, "accuracy": 0.91}'
    assert lines[1] == 'fltk: {"step": 7, "loss": 1, "best": 1e-300}'


def test_a_report_comes_after_what_was_printed_before_and_needs_no_flush() -> None:
    script = "import os, fltk; print('before'); fltk.report(loss=0.1 + 0.2); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True)
    before, line = done.stdout.splitlines()
    assert before == "before"
    assert json.loads(line.removeprefix("fltk: ")) == {"loss": 0.1 + 0.2}


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, fltk; fltk.records; fltk.run; print(sorted({'numpy', 'pandas', 'polars', 'torch', 'grpc'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute `nothing`"):
        _ = fltk.nothing


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({}, "nothing to report"),
        ({"loss": math.nan}, "`loss` is nan"),
        ({"loss": math.inf}, "`loss` is inf"),
        ({"loss": 10**400}, "`loss` is 1000"),
        ({"accuracy": "0.9"}, "`accuracy` is a `str`"),
        ({"accuracy": True}, "`accuracy` is a `bool`"),
        ({"accuracy": None}, "`accuracy` is a `NoneType`"),
        ({"epoch": 1.5}, "`epoch` is 1.5"),
        ({"round": -1}, "`round` is -1"),
        ({"step": 2**32}, "`step` is 4294967296"),
        ({"größe": 1.0}, "`größe` can't be the name of a figure"),
        ({"f" * 65: 1.0}, "at most 64"),
        ({f"figure_{i}": 0.1 + i for i in range(1000)}, "more than 4096"),
    ],
)
def test_what_is_no_figure_is_refused(figures: dict[str, float], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(fltk.ReportError, match=message):
        fltk.report(**figures)
    assert capfd.readouterr().out == ""


def test_numbers_of_numpy_and_pytorch_are_taken(capfd: pytest.CaptureFixture[str]) -> None:
    numpy = pytest.importorskip("numpy")
    fltk.report(epoch=numpy.int64(2), loss=numpy.float32(0.5), accuracy=numpy.array([0.25]))
    assert capfd.readouterr().out == 'fltk: {"epoch": 2, "loss": 0.5, "accuracy": 0.25}\n'
    with pytest.raises(fltk.ReportError, match="`loss` is no single number"):
        fltk.report(loss=numpy.array([1.0, 2.0]))
    torch = pytest.importorskip("torch")
    fltk.report(round=torch.tensor(3), loss=torch.tensor(0.5, requires_grad=True))
    assert capfd.readouterr().out == 'fltk: {"round": 3, "loss": 0.5}\n'
