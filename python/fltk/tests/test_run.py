"""Tests of runs that Python starts, with the real program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fltk
from fltk import _run

STREAM = """
stream: { orchestrator: batch }
"""


def test_a_run_returns_its_records(program: str, experiment: Path, capfd: pytest.CaptureFixture[str]) -> None:
    del program
    out = experiment.parent / "runs"
    read = fltk.run(experiment, seed=5, out=out, set={"tasks.0.federated.rounds": 2, "tasks.1.federated.strategy": {"type": "FedAvgM", "momentum": 0.5}})
    assert [(run.task, run.seed, run.status, run.num_steps) for run in read.runs] == [("plain", 5, "finished", 2), ("adam", 5, "finished", 3)]
    assert read.runs[1].settings["federated.strategy.type"] == "FedAvgM"
    assert {Path(run.path).parent for run in read.runs} == {out}
    captured = capfd.readouterr()
    assert captured.out == "", "results are returned, not printed"
    assert "round   2/2  accuracy" in captured.err
    fltk.run(experiment, seed=5, out=out, progress=False)
    assert capfd.readouterr().err == ""


def test_the_folder_of_runs_may_be_in_the_environment(program: str, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del program
    monkeypatch.setenv("FLTK_RUNS", str(experiment.parent / "named"))
    (run, _) = fltk.run(experiment, seed=1, progress=False).runs
    assert Path(run.path).parent == experiment.parent / "named"


def test_the_same_id_finds_the_same_runs(program: str, experiment: Path) -> None:
    del program
    once = fltk.run(experiment, id="mine", out=experiment.parent / "runs", progress=False)
    again = fltk.run(experiment, id="mine", out=experiment.parent / "runs", progress=False)
    assert len(once.runs) == 6
    assert [run.name for run in again.runs] == [run.name for run in once.runs]
    # A resumption of what is finished changes nothing.
    resumed = fltk.run(resume=once.runs[0].path, out=experiment.parent / "runs", progress=False)
    assert {run.name for run in resumed.runs} <= {run.name for run in once.runs}


def test_a_stream_returns_its_jobs(program: str, experiment: Path) -> None:
    del program
    experiment.write_text(experiment.read_text().replace("[1, 2, 3]", "[1]") + STREAM)
    read = fltk.run(experiment, out=experiment.parent / "runs", progress=False)
    assert len(read.runs) == 2 and len(read.streams) == 1
    jobs = read.jobs()
    assert sorted(jobs["class"], key=str) == ["adam", "plain"]
    assert set(jobs["state"]) == {"succeeded"}


def test_errors_are_the_programs(program: str, experiment: Path) -> None:
    del program
    out = experiment.parent / "runs"
    with pytest.raises(fltk.RunError, match=r"can't read `nowhere\.yaml`: No such file") as error:
        fltk.run("nowhere.yaml", out=out, progress=False)
    assert error.value.exit_code == 3
    with pytest.raises(fltk.RunError) as error:
        fltk.run(experiment, out=out, set={"tasks.0.network": "Nothing", "tasks.1.federated.rounds": "many"}, progress=False)
    # Every error of the file.
    assert "`Nothing`" in str(error.value) and "`many`" in str(error.value)
    assert not str(error.value).startswith("error")
    with pytest.raises(fltk.RunError, match="the loss became") as error:
        fltk.run(experiment, out=out, seed=1, set={"tasks.1.train.optimizer.learning_rate": 1e38}, progress=False)
    assert error.value.exit_code == 5
    assert [run.task for run in error.value.records.runs] == ["plain"], "the other run ended well"
    with pytest.raises(TypeError, match="one of `file` and `resume`"):
        fltk.run()
    with pytest.raises(ValueError, match="not JSON compliant"):
        fltk.run(experiment, set={"tasks.0.train.optimizer.learning_rate": float("nan")})


def test_a_missing_program_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLTK_PROGRAM", str(tmp_path / "nothing"))
    with pytest.raises(fltk.RunError, match=r"the variable FLTK_PROGRAM names .*which is no program") as error:
        fltk.run("small.yaml")
    assert error.value.exit_code is None
    monkeypatch.delenv("FLTK_PROGRAM")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "fltk_program", None)
    with pytest.raises(fltk.RunError, match=r"there is no program `fltk`.*\nhint: install the wheel `fltk-program`"):
        fltk.run("small.yaml")


def test_ctrl_c_ends_the_program_and_the_run_can_be_resumed(program: str, experiment: Path) -> None:
    del program
    script = f"import fltk; fltk.run({str(experiment)!r}, seed=1, out='runs', set={{'tasks.0.federated.rounds': 100000}})"
    child = subprocess.Popen([sys.executable, "-c", script], cwd=experiment.parent, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    # It trains.
    for line in child.stderr:
        if line.startswith("round   2/100000"):
            break
    child.send_signal(signal.SIGINT)
    rest = child.stderr.read()
    child.wait(60)
    assert "KeyboardInterrupt" in rest
    (run,) = fltk.records.read(experiment.parent / "runs").runs
    assert run.status == "interrupted", "no process writes it any more"
    assert run.checkpoints(), "it ended as after Ctrl-C, with a checkpoint"


@pytest.mark.parametrize("tqdm", [False, True])
def test_progress_in_a_terminal_is_one_line(tqdm: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(_run, "_in_notebook", lambda: True)
    with _run._shower() as shower:
        for line in ("plain, seed 1: 2 rounds", "round   1/2  accuracy 0.5000", "round   2/2  accuracy 0.6000  loss 1.0", "a message"):
            shower.line(line)
    shown = capfd.readouterr().err
    assert "plain, seed 1: 2 rounds" in shown and "a message" in shown
    assert "accuracy 0.6000" in shown and "\r" in shown
    if not tqdm:
        assert "round 1/2 [##########..........] accuracy 0.5000" in shown


def test_a_program_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    stubborn = tmp_path / "fltk"
    stubborn.write_text(f"#!/bin/sh\ntrap '' INT\necho $$ > {pid}\necho started >&2\nwhile :; do sleep 0.1; done\n")
    stubborn.chmod(0o755)
    monkeypatch.setenv("FLTK_PROGRAM", str(stubborn))
    monkeypatch.setattr(_run, "_END_LIMIT", 0.5)

    def interrupt(_: object, text: str) -> None:
        assert text == "started"
        raise KeyboardInterrupt

    monkeypatch.setattr(_run._Lines, "line", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fltk.run("small.yaml")
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid.read_text().strip()}").exists():
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)
    assert os.path.exists(pid)
