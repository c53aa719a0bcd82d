//! Tests of `fltk runs` on records that were made without training.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "../../fltk-records/src/samples.rs"]
mod samples;

use std::path::Path;

use common::{json, run};
use fltk_core::event::RunEvent;
use fltk_records::{RunDescription, RunFolder, RunRecorder, StreamFolder, StreamTexts};
use samples::{at, description, exp, round, started, stream_description};

/// Creates a run with these events, and returns its name.
fn create(root: &Path, description: &RunDescription, events: &[RunEvent]) -> String {
    let id = format!("{:08x}", description.seed.0);
    let folder = RunFolder::create(root, &exp(), at(0), &id, "name: exp\n", description).unwrap();
    let name = folder.name();
    let (mut recorder, _) = RunRecorder::open(folder, "a test").unwrap();
    events.iter().for_each(|event| recorder.record(event, at(1)).unwrap());
    name
}

fn said(folder: &Path, args: &[&str], code: i32) -> String {
    let output = run(folder, args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "fltk {args:?}: {said}");
    said
}

#[test]
fn runs_are_found_by_the_name_that_they_were_started_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let create = |seed, name: Option<&str>| {
        let named = RunDescription { group_name: name.map(str::to_owned), ..description(seed) };
        create(&at.join("runs"), &named, &[started(0), round(1, 0.5)])
    };
    let (alone, first, second) = (create(1, Some("alone")), create(2, Some("nightly")), create(3, Some("nightly")));
    create(4, None);
    let shown = |name: &str| json(at, &["runs", "show", name, "--output", "json"])["summary"]["run"].as_str().unwrap().to_owned();
    assert_eq!(shown("alone"), alone);
    assert_eq!(shown(&first), first, "the name of a folder");
    let refusal = said(at, &["runs", "show", "nightly"], 6);
    for words in ["2 runs were started as `nightly`", &format!("hint: name one of them: `{first}`, `{second}`")] {
        assert!(refusal.contains(words), "no `{words}` in {refusal}");
    }
    let exported = json(at, &["runs", "export", "nightly", "alone", "--format", "json"]);
    let names: Vec<&str> = exported.as_array().unwrap().iter().map(|row| row["run"].as_str().unwrap()).collect();
    assert_eq!(names, [&first, &second, &alone]);
    assert!(said(at, &["runs", "show", "nobody"], 6).contains("`nobody` is not a run's folder"));
    let texts = StreamTexts { experiment: "name: exp\n".to_owned(), cluster: None, trace: None };
    StreamFolder::create::<RunEvent>(&at.join("runs"), &stream_description("batch", "exp"), &texts).unwrap();
    assert!(said(at, &["runs", "show", "batch"], 6).contains("`batch` is a stream, not a run\nhint: `fltk runs jobs batch`"));
}
