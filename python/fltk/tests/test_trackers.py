"""Tests of copies for trackers, which the real packages read."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from fltk import records, trackers


def test_mlflow_has_what_the_records_have(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow.tracking import MlflowClient

    read = records.read(runs)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    ids = trackers.to_mlflow(read, uri)
    client = MlflowClient(tracking_uri=uri)
    assert len(set(ids)) == 6
    for run, run_id in zip(read.runs, ids, strict=True):
        copy = client.get_run(run_id)
        assert (copy.info.run_name, copy.info.status) == (run.name, "FINISHED")
        assert copy.data.tags["fltk.parameters_sha256"] == run.parameters_sha256
        assert copy.data.params["federated.clients"] == "10.0"
        assert copy.data.metrics["test_accuracy"] == run.accuracy
        history = client.get_metric_history(run_id, "test_loss")
        assert [(metric.step, metric.value) for metric in history] == [(step.number, step.test.loss) for step in run.steps if step.test]
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None

    # Again: nothing is doubled. A run that has changed is replaced.
    assert trackers.to_mlflow(read, uri) == ids
    copy_of_runs = Path(shutil.copytree(runs, tmp_path / "runs"))
    journal = Path(records.read(copy_of_runs).runs[0].path) / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    changed = trackers.to_mlflow(records.read(copy_of_runs), uri)
    assert changed[0] != ids[0] and changed[1:] == ids[1:]
    assert client.get_run(changed[0]).info.status == "KILLED"
    assert len(client.search_runs([experiment.experiment_id])) == 6


def test_mlflow_takes_figures_of_any_name(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow.tracking import MlflowClient

    copied = Path(shutil.copytree(next(path for path in sorted(runs.iterdir()) if (path / "run.json").is_file()), tmp_path / "runs" / "a"))
    read = records.read(copied.parent)
    names = ["/begin", "end/", "two//three", "./here", "up/../down", "plain/name", "..."]
    figures = read.runs[0].steps[-1].figures
    assert isinstance(figures, dict)
    figures.update(dict.fromkeys(names, 0.5))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    [run_id] = trackers.to_mlflow(read, uri)
    metrics = MlflowClient(tracking_uri=uri).get_run(run_id).data.metrics
    expected = {"_/begin", "end/_", "two/_/three", "_/here", "up/_./down", "plain/name", "_.."}
    assert expected <= set(metrics) and all(metrics[name] == 0.5 for name in expected)


def log(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file of wandb: after seven bytes LevelDB's log, blocks of 32 KiB with parts of records."""
    assert content.startswith(b":W&B")
    record, at = b"", 7
    while at < len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        # Whole records, and the last parts of others.
        if kind in (1, 4):
            yield record
            record = b""


def test_wandb_has_what_the_records_have(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    # Nothing is to be reached.
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    read = records.read(runs)
    read = read.where(lambda run: run.seed == 1)
    ids = trackers.to_wandb(read, tmp_path)
    wandb.teardown()
    for run, run_id in zip(read.runs, ids, strict=True):
        (file,) = tmp_path.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
        losses: dict[int, float] = {}
        names: set[str] = set()
        config: dict[str, object] = {}
        for data in log(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                names.add(record.run.display_name)
                config.update({item.key: json.loads(item.value_json) for item in record.run.config.update})
            if record.HasField("history"):
                items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
                losses[items["round"]] = items["test_loss"]
        assert names == {run.name}
        assert config["federated.clients"] == 10.0 and config["seed"] == 1
        assert losses == {step.number: step.test.loss for step in run.steps if step.test}
