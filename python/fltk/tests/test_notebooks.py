"""Execution of the notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
# What each shows, and how often at least.
SHOWN = {
    "compare-strategies": [("<records of 12 runs and 0 streams>", 1), (", from ", 3), ("FedAvg", 1)],
    "my-own-model": [("<records of 4 runs and 0 streams>", 1), ("image/png", 2), ("dirichlet", 2), ("<Figure size 800x200", 1)],
}
# The limit on one cell, in seconds: the longest takes a quarter of a minute on two idle cores.
CELL_LIMIT = 600


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_from_top_to_bottom(notebook: Path, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del program
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    for library in ("blake3", "grpc", "ipykernel", "matplotlib", "pandas", "safetensors", "torch"):
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
    assert "image/png" in shown, "the curves are drawn"
    for text, num in SHOWN[notebook.stem]:
        assert shown.count(text) >= num, text
