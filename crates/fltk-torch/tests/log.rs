//! Tests of the diagnostics of training: what people read at each level, and what programs read.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path, process::Output};

use common::{TINY_FEDERATED, fltk, json_lines};

/// Trains two rounds as `fltk client`, with `args`.
fn client(home: &Path, args: &[&str]) -> Output {
    fs::write(home.join("tiny.yaml"), TINY_FEDERATED).unwrap();
    let mut command = fltk(home);
    command.args(["client", "tiny.yaml", "--id", "night-1", "--set", "tasks.0.federated.rounds=2"]).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn people_read_rounds_and_clients_if_they_want() {
    let home = || tempfile::tempdir().unwrap();
    let usual = said(&client(home().path(), &[]));
    assert!(
        usual.starts_with("FashionMNISTCNN-fashion-mnist-mini, seed 42: 2 rounds\n") && usual.contains("round   2/2  accuracy 0."),
        "{usual}"
    );
    assert!(!usual.contains("client "), "{usual}");
    let verbose = said(&client(home().path(), &["-v"]));
    assert_eq!(verbose.lines().filter(|line| line.starts_with("  round ") && line.contains(", client ")).count(), 8, "{verbose}");
    assert_eq!(said(&client(home().path(), &["-q"])), "");
}

#[test]
fn programs_read_objects_with_fields() {
    let home = tempfile::tempdir().unwrap();
    let output = client(home.path(), &["-v", "--log-format", "json"]);
    assert!(output.status.success(), "{}", said(&output));
    let lines = json_lines(&said(&output));
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
        assert_eq!(line["job"], "night-1", "{line}");
    }
    let rounds: Vec<_> = lines.iter().filter(|line| line["level"] == "info" && line["round"].is_u64()).collect();
    assert_eq!(rounds.iter().map(|line| line["round"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    let run = rounds[0]["run"].as_str().unwrap();
    assert!(home.path().join("runs").join(run).is_dir() && rounds[1]["accuracy"].is_f64(), "{}", rounds[1]);
    let clients = lines.iter().filter(|line| line["level"] == "debug" && line["client"].is_u64());
    assert_eq!(clients.filter(|line| line["round"].is_u64() && line["run"] == run).count(), 8);
}

#[test]
fn the_error_that_ends_a_job_has_its_fields_too() {
    let home = tempfile::tempdir().unwrap();
    let output = client(home.path(), &["--log-format", "json", "--set", "tasks.0.train.optimizer.learning_rate=1e30"]);
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let last = json_lines(&said(&output)).pop().unwrap();
    assert_eq!((&last["level"], &last["job"]), (&"error".into(), &"night-1".into()), "{last}");
    assert!(last["run"].is_string(), "{last}");
}
