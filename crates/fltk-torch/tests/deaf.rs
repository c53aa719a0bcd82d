//! Tests with unwritable output: a full disk, a closed pipe. Messages are dropped; results that can't be printed are an error.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    fs,
    path::Path,
    process::{ExitStatus, Stdio},
};

use common::{closed, fltk, full, json};

fn status(folder: &Path, args: &[&str], stdout: Stdio, stderr: Stdio) -> ExitStatus {
    fltk(folder).args(args).stdout(stdout).stderr(stderr).status().unwrap()
}

#[test]
fn run_continues_with_a_closed_output() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // There are two tasks, which cause a warning.
    let task = "{ kind: federated, network: LeNet5, dataset: fashion-mnist-mini, train: { batch_size: 16, drop_last: true },\
        federated: { clients: 300, clients_per_round: 2, rounds: 1, partition: { type: dirichlet, alpha: 0.5 } } }";
    fs::write(at.join("two.yaml"), format!("name: two\ntasks:\n  - {task}\n  - {task}\n")).unwrap();
    let run = |runs: &str, more: &[&str], stdout: Stdio, stderr: Stdio| {
        let args = [&["run", "two.yaml", "--verbose", "--runs", runs], more].concat();
        let code = status(at, &args, stdout, stderr).code();
        // Both runs finish and are recorded, whatever could be printed.
        assert_eq!(json(at, &["runs", "list", "--runs", runs, "--status", "finished", "--output", "json"]).as_array().unwrap().len(), 2);
        code
    };
    assert_eq!(run("a", &[], Stdio::null(), full()), Some(0));
    assert_eq!(run("b", &[], full(), closed()), Some(1));
    assert_eq!(run("c", &["--output", "json"], closed(), full()), Some(141));
    // Standard error is unwritable too, so only the exit code reports the error.
    assert_eq!(status(at, &["run", "none.yaml"], full(), full()).code(), Some(3));
}
