"""Tests that compare what the package reads with what the program prints of the same folders."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import FOLDERS, ROOT

from fltk import records
from fltk.records import _settings

ERAS = sorted(path / "runs" for path in FOLDERS.iterdir() if (path / "runs").is_dir())


def printed(program: str, *arguments: object) -> Any:
    command = [program, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def plain(table: records.Table, columns: list[str]) -> list[dict[str, object]]:
    """Return rows as the program has them: without times, whose form is compared elsewhere, and numbers that aren't finite are absent."""
    rows = [json.loads(line) for line in table.to_json().splitlines()]
    return [{name: row[name] for name in columns} for row in rows]


def test_there_are_folders_of_earlier_versions() -> None:
    assert len(ERAS) >= 2


@pytest.mark.parametrize("folder", [*ERAS, None], ids=lambda folder: folder.parent.name if folder else "new")
def test_tables_are_what_the_program_prints(folder: Path | None, program: str, request: pytest.FixtureRequest) -> None:
    folder = folder or request.getfixturevalue("runs")
    read = records.read(folder)

    by_name = lambda row: row["run"]  # noqa: E731
    summaries = sorted(printed(program, "runs", "list", "--runs", folder, "--output", "json"), key=by_name)
    columns = [name for name in read.table().columns if name not in ("replication", "started_at", "ended_at")]
    expected = [{name: summary.get(name) for name in columns} for summary in summaries]
    for row, summary in zip(sorted(plain(read.table(), columns), key=by_name), expected, strict=True):
        for sum_of_steps in ("train_seconds", "test_seconds"):
            # Python adds more exactly, in some versions.
            assert row.pop(sum_of_steps) == pytest.approx(summary.pop(sum_of_steps), rel=1e-12)
        assert row == summary

    exported = printed(program, "runs", "export", "--format", "json", "--runs", folder)
    columns = [name for name in read.steps().columns if name != "timestamp"]
    expected = [{name: step.get(name) for name in columns} for step in exported]
    in_order = lambda row: (row["run"], row["step"])  # noqa: E731
    assert sorted(plain(read.steps(), columns), key=in_order) == sorted(expected, key=in_order)
    times = {(row["run"], row["step"]): row["timestamp"][:26].rstrip("Z") for row in exported}
    for step in read.steps():
        assert str(step["timestamp"]).replace(" ", "T")[:26] == times[step["run"], step["step"]].ljust(26, "0")

    tests = printed(program, "runs", "export", "--clients", "--format", "json", "--runs", folder)
    columns = ["run", "round", "client", "test_items", "test_loss", "test_accuracy"]
    tested = [row for row in plain(read.clients(), columns) if row["test_accuracy"] is not None]
    assert sorted(tested, key=str) == sorted(({name: row[name] for name in columns} for row in tests), key=str)

    for stream in read.streams:
        jobs = printed(program, "runs", "jobs", stream.path, "--output", "json")
        columns = [name for name in stream.jobs.columns if name not in ("stream", "nodes")]
        assert plain(stream.jobs, columns) == [{name: job.get(name) for name in columns} for job in jobs]


def test_runs_and_clients_are_there(runs: Path) -> None:
    read = records.read(runs)
    assert repr(read) == "<records of 6 runs and 0 streams>"
    run = read.where(lambda run: run.task == "plain" and run.seed == 2).runs[0]
    assert (run.status, run.kind, run.dataset, run.unit, len(run.steps)) == ("finished", "federated", "fashion-mnist-mini", "round", 4)
    assert run.client_test is not None and run.client_test.num_clients == 10
    assert run.settings["federated.clients"] == 10.0
    assert len(run.steps[1].clients) == 3
    assert [part.client for part in run.clients if part.round == 2 and part.train] == list(run.steps[2].clients)
    assert read[run.name] is run
    assert records.read(run.path).runs[0] == run
    with pytest.raises(KeyError, match="no run `nothing`"):
        _ = read["nothing"]


def test_a_run_that_is_being_written_is_running(tmp_path: Path) -> None:
    copy = shutil.copytree(FOLDERS / "0.1.0/runs/grid-20261128-005016-662329c6", tmp_path / "run")
    assert records.read(copy).runs[0].status == "interrupted"
    with (copy / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert records.read(copy).runs[0].status == "running"


def test_settings_of_later_versions_are_those_of_fltk() -> None:
    source = (ROOT / "crates/fltk-records/src/run_folder/description.rs").read_text()
    listed = re.search(r"const LATER: [^=]*= &\[(.*?)\];", source, re.DOTALL)
    assert listed is not None
    pairs = re.findall(r'\(\s*"([^"]+)",\s*("(?:[^"\\]|\\.)*")\s*,?\s*\)', listed[1])
    # A text in Rust is one in JSON, and contains JSON.
    assert {name: json.loads(json.loads(value)) for name, value in pairs} == dict(_settings.LATER)


def test_groups_are_those_of_the_program(runs: Path, program: str) -> None:
    read = records.read(runs)
    comparison = printed(program, "runs", "compare", *(run.path for run in read.runs), "--output", "json")
    groups = read.groups()
    assert [(group.task, len(group.runs), len(group.repeated)) for group in groups] == [
        (group["task"], len(group["runs"]), len(group["repeated"])) for group in comparison["groups"]
    ]
    figures = {(row["task"], row["measure"]): row for row in read.figures()}
    for group in comparison["groups"]:
        for measure in ("accuracy", "loss", "client_accuracy", "client_worst_decile", "train_seconds"):
            ours = figures.get((group["task"], measure))
            if group.get(measure) is None:
                assert ours is None
                continue
            assert ours is not None
            theirs = group[measure]
            assert (ours["num_seeds"], ours["mean"], ours["std"]) == pytest.approx((theirs["count"], theirs["mean"], theirs["std"]), rel=1e-9)
            # A single seed has no interval.
            assert (ours["low"], ours["high"]) == pytest.approx(tuple(theirs.get("interval", (None, None))), rel=1e-9)
    assert ("plain", "client_accuracy") in figures


def test_of_several_runs_of_a_seed_the_last_finished_counts(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    read = records.read(tmp_path / "runs")
    first = next(run for run in read.runs if run.task == "plain" and run.seed == 1)
    copy = shutil.copytree(first.path, tmp_path / "runs/later")
    description = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**description, "started_at": "2099-01-01T00:00:00Z"}))
    group = next(group for group in records.read(tmp_path / "runs").groups() if group.task == "plain")
    assert "later" in [run.name for run in group.runs] and [run.name for run in group.repeated] == [first.name]
    # It doesn't finish, so the first counts again.
    journal = copy / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    group = next(group for group in records.read(tmp_path / "runs").groups() if group.task == "plain")
    assert [run.name for run in group.repeated] == ["later"]


def test_groups_say_in_which_settings_they_differ(runs: Path, program: str, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    small = runs.parent / "small.yaml"
    subprocess.run([program, "run", small, "--runs", tmp_path / "runs", "--seed", "1", "--set", "tasks.0.train.batch_size=16"], check=True, capture_output=True)
    settings = {(group.task, group.settings) for group in records.read(tmp_path / "runs").groups()}
    assert settings == {("adam", ""), ("plain", '{"train.batch_size": 32.0}'), ("plain", '{"train.batch_size": 16.0}')}


def test_checkpoints_are_state_dicts(runs: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    run = records.read(runs).runs[0]
    checkpoints = run.checkpoints()
    assert [checkpoint.at.completed for checkpoint in checkpoints] == [2, 3]
    assert checkpoints[-1].parameters_sha256 == run.parameters_sha256
    net = torch.nn.Sequential()
    net.add_module("linear", torch.nn.Linear(784, 10))
    state = run.state_dict()
    names = list(state)
    net.linear.load_state_dict({name.rpartition(".")[2]: tensor for name, tensor in state.items()})
    assert {name.rpartition(".")[2] for name in names} == {"weight", "bias"}
    arrays = checkpoints[-1].arrays()
    assert all((arrays[name] == state[name].numpy()).all() for name in names)  # type: ignore[attr-defined]
    with pytest.raises(records.RecordsError, match=r"has no `nothing`\nhint: it has `model\.safetensors`"):
        checkpoints[0].read("nothing")


def test_a_damaged_checkpoint_is_an_error(runs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(records.read(runs).runs[0].path, tmp_path / "run"))
    model = run / "checkpoints/round-000003/model.safetensors"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    newest = records.read(run).runs[0].checkpoints()[-1]
    with pytest.raises(records.DamagedError, match=r"model\.safetensors`: damaged: its size or digest"):
        newest.read()
    manifest = run / "checkpoints/round-000003/manifest.json"
    manifest.write_text(manifest.read_text().replace("model.safetensors", "../model.safetensors"))
    with pytest.raises(records.DamagedError, match=r"it names a file `\.\./model\.safetensors`"):
        records.read(run).runs[0].checkpoints()
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(records.RecordsError, match="has no checkpoint"):
        records.read(run).runs[0].state_dict()


def test_data_of_ones_own_has_the_name_of_its_folder() -> None:
    assert _settings.dataset({"dataset.name": "mnist", "dataset.path": "/srv/x"}) == "mnist"
    assert _settings.dataset({"dataset.path": "/srv/scans/", "dataset.format": "images"}) == "scans"
    assert _settings.dataset({"dataset.format": "images"}) == "images"
    assert _settings.dataset({}) == ""
