//! Tests that a running TensorBoard shows what is recorded later: runs that are resumed, streams, and copies. The tests use the real
//! process, with both of its loaders.
//!
//! They run the Python that `FLTK_PYTHON` names, which has TensorBoard; `cargo xtask test` sets it.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "../src/samples.rs"]
mod samples;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use fltk_core::{
    event::RunEvent,
    ids::Round,
    metrics::{Evaluation, TrainSummary},
    milestone::Milestone,
};
use fltk_records::{
    Record, RecordKind, RunDescription, RunFolder, RunRecorder, StreamDescription, StreamFolder, StreamTexts, archive,
    stream_folder::derived::{self, JobRow},
};
use serde_json::{Value, json};

use samples::{at, bare, stream_description};

/// A TensorBoard that shows a folder.
struct TensorBoard {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl TensorBoard {
    /// Starts one; `None` if there is no TensorBoard and that is allowed.
    fn start(folder: &Path, fast: bool) -> Option<Self> {
        let Some(python) = std::env::var_os("FLTK_PYTHON") else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "FLTK_PYTHON is not set, and with CI=true this test may not be skipped");
            eprintln!("skipped: FLTK_PYTHON is not set; `cargo xtask test` sets it to a Python with TensorBoard");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/watch_tensorboard.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder).arg(fast.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (ask, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, ask, answers })
    }

    fn answer(&mut self, question: &str) -> Value {
        writeln!(self.ask.as_ref().unwrap(), "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Waits until it shows exactly these steps of `tag`.
    fn shows(&mut self, what: &str, run: &str, tag: &str, points: &[(u32, f64)]) {
        let shown = self.answer(&json!([[run, tag, points]]).to_string());
        assert_eq!(shown[format!("{run}/{tag}")], json!(points), "{what}");
    }

    fn status(&mut self, run: &str) -> Value {
        self.answer("hparams")[run].clone()
    }
}

impl Drop for TensorBoard {
    fn drop(&mut self) {
        // Closing its input ends the script, and TensorBoard with it.
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}

fn round(round: u32, accuracy: f64) -> RunEvent {
    RunEvent::RoundEnded {
        round: Round(round),
        clients: Vec::new(),
        train: Some(TrainSummary { num_samples: 6, num_steps: 1, loss: Some(0.75) }),
        learning_rate: 0.125,
        test: Some(Evaluation { num_samples: 4, loss: 1.5, accuracy, confusion: None }),
        client_test: None,
        train_seconds: 2.5,
        virtual_seconds: None,
        test_seconds: 0.5,
        sent_bytes: None,
    }
}

fn started(from: u32) -> RunEvent {
    RunEvent::Started { from: Milestone::from(from), version: "0".into() }
}

fn new_run(root: &Path) -> RunFolder {
    let description = RunDescription { fltk_version: "0".into(), started_at: at(0), ..bare(1) };
    RunFolder::create(root, &description.experiment, at(0), "01", "", &description).unwrap()
}

/// Records `events` like a separate process that then ends.
fn record(run: &RunFolder, seconds: i64, events: &[RunEvent]) {
    let (mut recorder, _) = RunRecorder::open(run.clone(), "a test").unwrap();
    if matches!(events.last(), Some(RunEvent::Failed { reason, .. }) if reason == "a rank is lost") {
        recorder.expect_another_start();
    }
    events.iter().for_each(|event| recorder.record(event, at(seconds)).unwrap());
}

fn event_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("events.out.tfevents.")).collect();
    names.sort();
    names
}

const LOADERS: [bool; 2] = [true, false];
const ACCURACY: &str = "accuracy/test";

#[test]
fn tensorboard_shows_a_resumed_run() {
    let root = tempfile::tempdir().unwrap();
    let run = new_run(root.path());
    let name = run.name();
    record(&run, 1, &[started(0), round(0, 0.125), round(1, 0.25), round(2, 0.5), round(3, 0.625)]);
    let mut boards: Vec<TensorBoard> = LOADERS.iter().filter_map(|fast| TensorBoard::start(root.path(), *fast)).collect();
    let mut show = |what: &str, points: &[(u32, f64)]| {
        boards.iter_mut().for_each(|board| board.shows(what, &name, ACCURACY, points));
    };
    show("begun", &[(0, 0.125), (1, 0.25), (2, 0.5), (3, 0.625)]);
    // Killed, and resumed from the checkpoint after round 1, with other values; within the second in which it was started.
    record(&run, 0, &[started(1), round(2, 0.75)]);
    // Everything after round 2 is void. A loader that only looks at steps notices this once round 3 is there.
    record(&run, 0, &[started(2), round(3, 0.875), RunEvent::Failed { reason: "a rank is lost".into(), for_good: false }]);
    show("taken up twice within a second", &[(0, 0.125), (1, 0.25), (2, 0.75), (3, 0.875)]);
    // The clock is set back by an hour.
    record(&run, -3600, &[started(3), round(4, 0.9375), RunEvent::Finished { parameters_sha256: "00".into(), seconds: 9.0 }]);
    show("finished", &[(0, 0.125), (1, 0.25), (2, 0.75), (3, 0.875), (4, 0.9375)]);
    for board in &mut boards {
        assert_eq!(board.status(&name), "STATUS_SUCCESS", "the failure that was gone on from is no end");
    }
    drop(boards);
    let seconds = [0, 1, 2, 3].map(|seconds| format!("events.out.tfevents.{}.fltk", at(seconds).as_second()));
    assert_eq!(event_files(run.path()), seconds);
}

#[test]
fn tensorboard_shows_a_resumed_run_of_the_first_version() {
    // Its only event file contains no session start, so the slow loader would take the next one for the beginning of the run.
    let of_before = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/0.1.0/runs/grid-20261128-005016-662329c6");
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("grid-20261128-005016-662329c6");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(of_before).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let run = RunFolder::open(&folder).unwrap();
    let name = run.name();
    let before: Vec<(u32, f64)> = points(&run);
    assert!(before.len() > 1, "{before:?}");
    let mut boards: Vec<TensorBoard> = LOADERS.iter().filter_map(|fast| TensorBoard::start(root.path(), *fast)).collect();
    boards.iter_mut().for_each(|board| board.shows("as it was", &name, ACCURACY, &before));
    let from = before[before.len() - 1].0 - 1;
    record(&run, 100_000_000, &[started(from), round(from + 1, 0.5), round(from + 2, 0.25)]);
    let after = points(&run);
    assert_eq!(after[after.len() - 2..], [(from + 1, 0.5), (from + 2, 0.25)]);
    boards.iter_mut().for_each(|board| board.shows("taken up again", &name, ACCURACY, &after));
}

/// Returns the accuracies in its journal, rounded to TensorBoard's `float32`.
fn points(run: &RunFolder) -> Vec<(u32, f64)> {
    let history = run.clone().read().unwrap().history;
    history.rows().filter_map(|row| Some((row.step, f64::from(row.test.as_ref()?.accuracy as f32)))).collect()
}

#[test]
fn tensorboard_shows_a_repeated_copy() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = new_run(there.path());
    let record_of = Record { kind: RecordKind::Run, name: run.name() };
    let get = || {
        let mut tar = Vec::new();
        archive::pack(there.path(), &record_of.name, &mut tar).unwrap();
        archive::unpack(&tar[..], here.path(), &record_of).unwrap();
    };
    record(&run, 1, &[started(0), round(1, 0.25), round(2, 0.5)]);
    get();
    let mut boards: Vec<TensorBoard> = LOADERS.iter().filter_map(|fast| TensorBoard::start(here.path(), *fast)).collect();
    let mut show = |what: &str, points: &[(u32, f64)]| {
        boards.iter_mut().for_each(|board| board.shows(what, &record_of.name, ACCURACY, points));
    };
    show("the first copy", &[(1, 0.25), (2, 0.5)]);
    let (mut recorder, _) = RunRecorder::open(run.clone(), "a test").unwrap();
    recorder.record(&started(1), at(5)).unwrap();
    recorder.record(&round(2, 0.75), at(5)).unwrap();
    get();
    show("one that was taken up again", &[(1, 0.25), (2, 0.75)]);
    recorder.record(&round(3, 0.875), at(6)).unwrap();
    get();
    show("one that went on", &[(1, 0.25), (2, 0.75), (3, 0.875)]);
}

#[test]
fn tensorboard_shows_a_stream_with_unfinished_jobs() {
    let root = tempfile::tempdir().unwrap();
    let description = StreamDescription { started_at: at(0), ..stream_description("s-1", "s") };
    let folder = StreamFolder::create::<RunEvent>(root.path(), &description, &StreamTexts::default()).unwrap();
    let write = |ends: &[f64]| {
        let row = |(number, ended): (usize, &f64)| JobRow {
            job: format!("j{number}"),
            class: "small".into(),
            ended: Some(*ended),
            queue_seconds: Some(*ended),
            ..JobRow::default()
        };
        derived::write(&folder, &ends.iter().enumerate().map(row).collect::<Vec<_>>()).unwrap();
    };
    write(&[1.0, 2.0]);
    let mut boards: Vec<TensorBoard> = LOADERS.iter().filter_map(|fast| TensorBoard::start(root.path(), *fast)).collect();
    let mut show = |what: &str, points: &[(u32, f64)]| {
        for tag in ["jobs/queue_seconds", "jobs_small/queue_seconds"] {
            boards.iter_mut().for_each(|board| board.shows(what, "s-1", tag, points));
        }
    };
    show("begun", &[(1, 1.0), (2, 2.0)]);
    write(&[1.0, 2.0, 4.0]);
    show("one more", &[(1, 1.0), (2, 2.0), (3, 4.0)]);
    // A job that is retried ends last.
    write(&[1.0, 8.0, 4.0]);
    show("one again", &[(1, 1.0), (2, 4.0), (3, 8.0)]);
    write(&[1.0, 8.0, 4.0, 16.0]);
    show("and one more", &[(1, 1.0), (2, 4.0), (3, 8.0), (4, 16.0)]);
    assert_eq!(event_files(folder.path()).len(), 2);
}
