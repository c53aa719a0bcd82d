"""Tests of journals that were cut off, changed, or are of other versions."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import FOLDERS

from fltk import records
from fltk.records._crc32c import crc32c

RUN = FOLDERS / "0.1.0/runs/grid-20261128-005016-662329c6"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUN, tmp_path / "run"))


def journal(*events: dict[str, object]) -> bytes:
    """Return the journal of these events, as fltk writes it."""
    lines = b""
    for seq, event in enumerate(events):
        body = json.dumps({"seq": seq, "time": f"2026-01-01T00:00:{seq:02}.5Z", **event}, separators=(",", ":"))[1:].encode()
        lines += b'{"crc":"%08x",' % crc32c(body) + body + b"\n"
    return lines


def ended(number: int, accuracy: object = 0.5) -> dict[str, object]:
    test = {"num_samples": 4, "loss": 1.0, "accuracy": accuracy, "confusion": [[1, 1], [1, 1]]}
    train = {"num_samples": 10, "num_steps": 2, "loss": 0.5}
    of_round = {"round": number, "clients": [3], "train": train, "learning_rate": 0.1, "test": test}
    return {"event": "round_ended", **of_round, "train_seconds": 1.0, "test_seconds": 0.5}


def started(at: object) -> dict[str, object]:
    return {"event": "started", "from": at, "version": "0.1.0"}


FINISHED = {"event": "finished", "parameters_sha256": "ff", "seconds": 1.0}


def test_the_checksum_is_that_of_the_standard_and_of_fltk() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    # The example of docs/records.md.
    body = b'"seq":7,"time":"1970-01-01T00:00:00Z","event":"checkpoint_saved","at":3,"parameters_sha256":"ab"}'
    assert f"{crc32c(body):08x}" == "0fb6d8c8"


def test_a_journal_that_is_cut_off_anywhere_loses_its_last_lines_alone(copy: Path) -> None:
    path = copy / "journal.jsonl"
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(ends[0], len(whole) + 1):
        path.write_bytes(whole[:length])
        run = records.read(copy).runs[0]
        num_lines = sum(end <= length for end in ends)
        assert run.torn == (length not in ends)
        assert len(run.steps) <= num_lines
    assert records.read(copy).runs[0].steps == records.read(RUN).runs[0].steps


def test_every_changed_byte_of_a_line_is_damage_that_names_the_line(copy: Path) -> None:
    path = copy / "journal.jsonl"
    whole = path.read_bytes()
    begin = whole.index(b"\n") + 1
    end = whole.index(b"\n", begin)
    for at in range(begin, end):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(records.DamagedError, match=r"journal\.jsonl`, line 2: damaged") as error:
            records.read(copy)
        assert error.value.line == 2


def test_damage_can_be_left_out_with_a_warning(copy: Path) -> None:
    shutil.copytree(FOLDERS / "0.1.0/runs/solo-20261128-005010-a69ad64c", copy.parent / "sound")
    (copy / "journal.jsonl").write_bytes(b"nothing\n")
    with pytest.warns(UserWarning, match="left out: .*line 1: damaged: it does not begin with a checksum"):
        read = records.read(copy.parent, damaged="skip")
    assert [run.name for run in read.runs] == ["sound"]
    assert len(read.damaged) == 1
    with pytest.raises(records.DamagedError, match="line 1"):
        records.read(copy.parent)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([ended(1)], "line 1: damaged: the run has not started"),
        ([started(0), FINISHED, ended(1)], "line 3: damaged: the run has ended"),
        ([started(0), {**ended(1), "clients": ["a"]}], "line 2: damaged: `clients`"),
        ([started(0), {**ended(1), "learning_rate": "fast"}], 'line 2: damaged: `learning_rate` is `"fast"`, and should be a number'),
        ([started(0), {**ended(1), "train": {"num_samples": -1}}], r"`train\.num_samples` is `-1`, and should be a whole number"),
        ([started(0), {**ended(1), "test": {"num_samples": 1, "loss": 1, "accuracy": 1, "confusion": [[1, 2]]}}], "not a square"),
        ([started(0), {"event": "round_ended"}], "`round` is missing"),
        ([started(0), ended(1), {**ended(1), "event": "epoch_ended", "epoch": 1}], "rounds, epochs or steps, and no two of them"),
        ([{**started(0), "time": "yesterday"}], '`time` is `"yesterday"`'),
    ],
)
def test_events_that_fltk_does_not_write_are_damage(events: list[dict[str, object]], message: str, copy: Path) -> None:
    (copy / "journal.jsonl").write_bytes(journal(*events))
    with pytest.raises(records.DamagedError, match=message):
        records.read(copy)


def test_a_field_that_is_there_twice_is_damage(copy: Path) -> None:
    body = b'"seq":1,"time":"2026-01-01T00:00:01Z","event":"failed","reason":"a","event":"finished","parameters_sha256":"ff","seconds":1}'
    (copy / "journal.jsonl").write_bytes(journal(started(0)) + b'{"crc":"%08x",' % crc32c(body) + body + b"\n")
    with pytest.raises(records.DamagedError, match=r"line 2: damaged: it can't be read as JSON: a field is there twice"):
        records.read(copy)


def test_an_event_of_a_later_version_says_so(copy: Path) -> None:
    (copy / "journal.jsonl").write_bytes(journal(started(0), {"event": "dreamed"}))
    with pytest.raises(records.NewerError, match="line 2: unknown event `dreamed`\nhint: it was written by a later version"):
        records.read(copy)
    description = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**description, "format": 2}))
    with pytest.raises(records.NewerError, match="has format 2, and this version knows 1"):
        records.read(copy)


def test_a_resumption_voids_what_came_after_its_checkpoint(copy: Path) -> None:
    failed = {"event": "failed", "reason": "no memory", "for_good": False}
    events = [started(0), ended(0, 0.1), ended(1, 0.2), ended(2, 0.3), failed, started(1), ended(2, 0.4)]
    (copy / "journal.jsonl").write_bytes(journal(*events))
    run = records.read(copy).runs[0]
    assert [(step.number, step.test.accuracy) for step in run.steps if step.test] == [(0, 0.1), (1, 0.2), (2, 0.4)]
    assert (run.status, run.failure, run.num_resumptions) == ("interrupted", None, 1)
    (copy / "journal.jsonl").write_bytes(journal(*events[:5]))
    run = records.read(copy).runs[0]
    assert (run.status, run.failure) == ("failed", "no memory")
    (copy / "journal.jsonl").write_bytes(journal(*events, started(0), ended(0, 0.9), FINISHED))
    run = records.read(copy).runs[0]
    assert ([step.number for step in run.steps], run.status, run.accuracy) == ([0], "finished", 0.9)


def test_numbers_that_json_lacks_are_read(copy: Path) -> None:
    (copy / "journal.jsonl").write_bytes(journal(started(0), ended(1, 0.5), ended(2, "NaN")))
    run = records.read(copy).runs[0]
    assert run.accuracy is None and run.best is not None and run.best.number == 1


def test_links_and_pipes_are_not_read(copy: Path) -> None:
    path = copy / "journal.jsonl"
    path.rename(copy / "elsewhere")
    path.symlink_to(copy / "elsewhere")
    with pytest.raises(records.DamagedError, match="it is a link, not a file"):
        records.read(copy)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(records.DamagedError, match="it is not a plain file"):
        records.read(copy)


def test_a_place_without_records_is_told_from_one_that_is_missing(tmp_path: Path) -> None:
    assert records.read(tmp_path).runs == []
    with pytest.raises(records.RecordsError, match=r"can't list .*nowhere"):
        records.read(tmp_path / "nowhere")
    with pytest.raises(records.RecordsError, match="takes no token"):
        records.read(tmp_path, token="a")  # noqa: S106


def test_figures_of_a_program_of_ones_own_are_read(copy: Path) -> None:
    def reported(step: int, **figures: object) -> dict[str, object]:
        return {"event": "reported", "unit": "epoch", "step": step, "figures": figures}

    first = [started(0), reported(1, accuracy=0.5, f1=0.25), reported(1, loss=1.5, learning_rate=0.1), reported(2, accuracy=0.625, f1=0.5)]
    (copy / "journal.jsonl").write_bytes(journal(*first, {"event": "program_ended", "seconds": 7.5}))
    read = records.read(copy)
    (run,) = read.runs
    assert (run.status, run.unit, run.accuracy, run.loss, run.train_seconds, run.parameters_sha256) == ("finished", "epoch", 0.625, None, 7.5, None)
    assert run.best is not None and run.best.number == 2
    # A step that is reported again is updated.
    assert run.steps[0].figures == {"accuracy": 0.5, "f1": 0.25, "loss": 1.5, "learning_rate": 0.1}
    rows = list(read.steps())
    assert [(row["step"], row["test_accuracy"], row["test_loss"], row["learning_rate"], row["figures"]) for row in rows] == [
        (1, 0.5, 1.5, 0.1, '{"f1":0.25}'),
        (2, 0.625, None, None, '{"f1":0.5}'),
    ]
    assert {row["measure"]: row["mean"] for row in read.figures()} == {"accuracy": 0.625, "train_seconds": 7.5, "f1": 0.5}
    assert read.figures_by_step("f1")["mean"] == [0.25, 0.5]
    (copy / "journal.jsonl").write_bytes(journal(*first, {**reported(3), "unit": "week"}))
    with pytest.raises(records.DamagedError, match="`unit` is `week`"):
        records.read(copy)
    (copy / "journal.jsonl").write_bytes(journal(*first, started(1), reported(2, accuracy=0.75)))
    assert [(step.number, step.accuracy) for step in records.read(copy).runs[0].steps] == [(1, 0.5), (2, 0.75)]
