//! Tests of outputs that can't be written, as on a full disk: for results that is an error; messages are dropped.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    fs,
    path::Path,
    process::{ExitStatus, Stdio},
};

use common::{TINY_FEDERATED, closed, fltk, full};

fn status(folder: &Path, args: &[&str], stdout: Stdio, stderr: Stdio) -> ExitStatus {
    fltk(folder).args(args).stdout(stdout).stderr(stderr).status().unwrap()
}

#[test]
fn failed_output_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), TINY_FEDERATED).unwrap();
    let commands: &[&[&str]] = &[
        &["validate", "tiny.yaml", "--output", "json"],
        &["validate", "tiny.yaml"],
        &["convert", "tiny.yaml"],
        &["data", "list"],
        &["data", "split", "tiny.yaml", "--output", "json"],
        &["schema"],
        &["completions", "bash"],
        &["runs", "list", "--output", "json"],
    ];
    for args in commands {
        assert_eq!(status(at, args, full(), Stdio::null()).code(), Some(1), "fltk {args:?}");
        assert_eq!(status(at, args, closed(), Stdio::null()).code(), Some(141), "fltk {args:?}");
    }
}
