//! A stream on this machine that mixes federated, distributed and command tasks.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path};

use common::{TINY_CENTRAL, fltk, json, repository, run};

#[test]
fn a_stream_mixes_all_kinds_of_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let example = repository().join("examples/stream-of-kinds.yaml");
    // Four pods of half a core fit on two cores, and so on any machine one after another.
    let rows = json(
        folder.path(),
        &["run", example.to_str().unwrap(), "--set", "stream.admission={type: max_concurrent, jobs: 2}", "--output", "json"],
    );
    let rows = rows.as_array().unwrap();
    let states: Vec<(&str, &str)> = rows.iter().map(|row| (row["class"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("federated", "succeeded"), ("distributed", "succeeded"), ("program", "succeeded")], "{rows:?}");
    let accuracy = |class: &str| {
        let run = rows.iter().find(|row| row["class"] == class).unwrap()["run"].as_str().unwrap();
        let report = json(folder.path(), &["runs", "show", run, "--output", "json"]);
        assert_eq!((&report["summary"]["kind"] == "command", &report["summary"]["status"]), (class == "program", &"finished".into()));
        report["summary"]["accuracy"].as_f64().unwrap()
    };
    assert_eq!(accuracy("program"), 0.9);
    assert!(accuracy("federated") > 0.05 && accuracy("distributed") > 0.05);
    let listed = json(folder.path(), &["runs", "list", "--output", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[test]
fn commands_and_training_are_kept_apart_without_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let command = "  - { kind: command, command: { run: ['true'] } }\n";
    fs::write(folder.path().join("both.yaml"), format!("{TINY_CENTRAL}{command}")).unwrap();
    let refused = |args: &[&str], expected: &str| {
        let output = run(folder.path(), args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(3) && said.contains(expected), "{said}");
    };
    refused(&["run", "both.yaml"], "`stream: { parallel: false }`");
    fs::write(folder.path().join("one.yaml"), format!("name: one\ntasks:\n{command}")).unwrap();
    refused(&["client", "one.yaml"], "is a command, and trains nothing itself");
    // The whole program runs commands, too.
    let output = fltk(Path::new(folder.path())).args(["run", "one.yaml"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
