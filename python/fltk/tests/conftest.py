"""What the tests share: the program, the committed folders of all versions, and runs of the real program."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# Tests reach no server.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
ROOT = Path(__file__).parents[3]
FOLDERS = ROOT / "crates/fltk-records/tests/data"
# Small enough for a test, and real images: a sixth of a second each.
EXPERIMENT = """
name: small
seeds: [1, 2, 3]
tasks:
  - name: plain
    kind: federated
    network: LogisticRegression
    dataset: fashion-mnist-mini
    train: { batch_size: 32, optimizer: { type: SGD, learning_rate: 0.05 } }
    federated: { clients: 10, clients_per_round: 3, rounds: 3, client_test_fraction: 0.2 }
  - name: adam
    kind: federated
    network: LogisticRegression
    dataset: fashion-mnist-mini
    train: { batch_size: 32, optimizer: { type: SGD, learning_rate: 0.05 } }
    federated: { clients: 10, clients_per_round: 3, rounds: 3, strategy: { type: FedAdam, learning_rate: 0.01 } }
"""


@pytest.fixture(scope="session")
def program() -> str:
    """The path of the program: the one that the variable FLTK_PROGRAM names."""
    named = os.environ.get("FLTK_PROGRAM")
    found = shutil.which(named or "fltk")
    if found is None:
        pytest.skip("there is no program `fltk`: name it in the variable FLTK_PROGRAM")
    os.environ["FLTK_PROGRAM"] = found
    return found


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A small experiment's file, in a folder of its own."""
    (tmp_path / "small.yaml").write_text(EXPERIMENT)
    return tmp_path / "small.yaml"


@pytest.fixture(scope="session")
def runs(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six runs of the real program."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(EXPERIMENT)
    subprocess.run([program, "run", "small.yaml", "--runs", "runs"], cwd=folder, check=True, capture_output=True)
    return folder / "runs"
