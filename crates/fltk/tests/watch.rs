//! Tests of `fltk watch`: one screen as text, of runs and streams that were recorded without training, and where no screen can be drawn.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "../../fltk-records/src/samples.rs"]
mod samples;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use common::{TINY_CENTRAL, fltk, run};
use fltk_core::{event::RunEvent, experiment, terminal::is_plain};
use fltk_experiment::SourceFile;
use fltk_plan::{Event, JobId, StreamEvent, jobs};
use fltk_records::{RunDescription, RunFolder, RunRecorder, StreamDescription, StreamFolder, StreamTexts};
use jiff::Timestamp;
use samples::{at, description, exp, finished, round, started};

/// Creates a run with these events, which was started by `name`.
fn create(root: &Path, seed: u64, name: Option<&str>, events: &[RunEvent]) -> String {
    let described = RunDescription { group_name: name.map(str::to_owned), ..description(seed) };
    let folder = RunFolder::create(root, &exp(), at(0), &format!("{seed:08x}"), "name: exp\n", &described).unwrap();
    let name = folder.name();
    let (mut recorder, _) = RunRecorder::open(folder, "a test").unwrap();
    for (second, event) in events.iter().enumerate() {
        recorder.record(event, at(second as i64)).unwrap();
    }
    name
}

/// Creates the stream `batch` of two jobs, of which the first runs on the node `here` and the second waits; returns the jobs.
fn create_stream(root: &Path) -> Vec<JobId> {
    let text = format!("{TINY_CENTRAL}seeds: [1]\nstream: {{ orchestrator: batch, parallel: false }}\n")
        .replace("tasks:", "tasks:\n  - { kind: command, name: first, command: { run: [\"true\"] } }");
    let source = SourceFile { name: "stream.yaml".to_owned(), text };
    let experiment =
        fltk_experiment::parse(&[source], &[], fltk::catalogues()).unwrap_or_else(|report| panic!("{}", report.render(false))).experiment;
    let texts = StreamTexts { experiment: fltk_experiment::to_yaml(&experiment), ..StreamTexts::default() };
    let description = StreamDescription { started_at: Timestamp::now(), ..samples::stream_description("batch", experiment.name.as_ref()) };
    let folder = StreamFolder::create::<StreamEvent>(root, &description, &texts).unwrap();
    let (mut journal, _) = folder.journal::<StreamEvent>().unwrap();
    let jobs: Vec<JobId> = jobs(&experiment, "batch", 0, &[]).unwrap().into_iter().map(|spec| spec.id).collect();
    let event = |millis, event| StreamEvent { now: experiment::Duration::from_millis(millis), event };
    let created = Event::Created { job: jobs[0].clone(), attempt: 1 };
    let runs = Event::PodRunning { job: jobs[0].clone(), attempt: 1, pod: 0, node: "here".to_owned() };
    journal.append_all(&[event(0, Event::Tick), event(100, created), event(200, runs)], Timestamp::now()).unwrap();
    jobs
}

/// Returns one screen of this size as text.
fn screen(folder: &Path, args: &[&str], (width, height): (u16, u16)) -> String {
    let mut command = fltk(folder);
    command.args(["watch", "--once"]).args(args).env("COLUMNS", width.to_string()).env("LINES", height.to_string()).env("LANG", "C.UTF-8");
    let output = command.env_remove("LC_ALL").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    assert_eq!(said, "", "{args:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() < usize::from(height) && text.chars().all(is_plain), "{args:?}: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{args:?}: {text}");
    text
}

fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[test]
fn screens_of_runs_and_streams_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (here, root) = (folder.path(), folder.path().join("runs"));
    let run = create(&root, 1, Some("nightly"), &[started(0), round(0, 0.1), round(1, 0.4), round(2, 0.6)]);
    for size in [(60, 20), (80, 24), (120, 40)] {
        // It is the only run, and so the newest, whoever asks.
        for named in [&[][..], &[run.as_str()], &["nightly"]] {
            let text = screen(here, named, size);
            has(
                &text,
                &[
                    &run,
                    "interrupted",
                    "task, federated, LeNet5 on mnist, seed 1",
                    "round 2 of 4",
                    "50 %",
                    "accuracy 0.6000",
                    "last steps (3)",
                ],
            );
        }
    }
    create(&root, 2, None, &[started(0), round(0, 0.1), RunEvent::Failed { reason: "a\u{1b}[2Jb".to_owned(), for_good: false }]);
    let jobs = create_stream(&root);
    // The stream began after the runs, and nothing is running.
    for named in [&[][..], &["batch"]] {
        let text = screen(here, named, (80, 24));
        has(
            &text,
            &["batch", "interrupted", "0 of 2 jobs are over", "waiting 1", "running 1", "jobs that have arrived (2)", "it runs on here"],
        );
    }
    // A job's run is found by the name that its process has.
    create(&root, 3, Some(&format!("batch-{}", jobs[0])), &[started(0), round(0, 0.1), round(1, 0.25), finished()]);
    let text = screen(here, &["batch"], (120, 40));
    has(&text, &["0.2500", "1/4", "▁█"]);
    has(&screen(here, &[&format!("exp-20260102-030405-{:08x}", 2)], (80, 24)), &["failed: a", "[2Jb"]);
}

#[test]
fn what_cant_be_drawn_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let said = |args: &[&str], code: i32| {
        let output = run(here, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    has(&said(&["watch", "--once"], 6), &["there are no runs in `runs`", "hint: `fltk run FILE`"]);
    fs::create_dir(here.join("runs")).unwrap();
    create(&here.join("runs"), 1, None, &[started(0)]);
    has(&said(&["watch"], 2), &["isn't a terminal", "`--once`", "fltk runs show"]);
    has(&said(&["watch", "--once", "--output", "json"], 2), &["isn't JSON", "fltk runs show RUN --output json"]);
    has(&said(&["watch", "--once", "nobody"], 6), &["`nobody` is not a run's folder"]);
}

#[test]
fn large_records_are_read_soon() {
    let folder = tempfile::tempdir().unwrap();
    let events: Vec<RunEvent> = [started(0)].into_iter().chain((0..2000).map(|at| round(at, f64::from(at) / 2000.0))).collect();
    let name = {
        let described = description(1);
        let folder = RunFolder::create(&folder.path().join("runs"), &exp(), at(0), "00", "name: exp\n", &described).unwrap();
        let (mut recorder, _) = RunRecorder::open(folder.clone(), "a test").unwrap();
        recorder.record_all(&events, at(1)).unwrap();
        folder.name()
    };
    let began = Instant::now();
    has(&screen(folder.path(), &[&name], (100, 30)), &["last steps (1000)", "round 1999 of 4"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
