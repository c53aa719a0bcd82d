"""Execution of the notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
# The limit on one cell, in seconds: the longest takes a quarter of a minute on two idle cores.
CELL_LIMIT = 600


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_from_top_to_bottom(notebook: Path, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del program
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    for library in ("ipykernel", "matplotlib", "pandas", "safetensors", "torch"):
        pytest.importorskip(library)
    for example in (ROOT / "examples").glob("*.yaml"):
        shutil.copy(example, tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    content = nbformat.read(notebook, as_version=4)
    assert all(not cell.get("outputs") for cell in content.cells), "it is committed without outputs"
    nbclient.NotebookClient(content, timeout=CELL_LIMIT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    shown = "\n".join(str(cell.get("outputs")) for cell in content.cells)
    assert "<records of 12 runs and 0 streams>" in shown
    assert "image/png" in shown, "the curves are drawn"
    assert shown.count(", from ") == 3, "three strategies are compared with FedAvg"
    assert "FedAvg" in shown or "fedavg" in shown
