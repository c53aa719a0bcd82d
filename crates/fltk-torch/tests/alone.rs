//! Tests that `fltk-torch` is the whole program: it needs no `fltk` in its folder, and refuses the command line of another build.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, process::Stdio};

use common::{PROGRAM, TINY_CENTRAL, fltk, program};

#[test]
fn fltk_torch_works_without_fltk() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (at, alone) = (folder.path(), folder.path().join("bin/fltk-torch"));
    fs::create_dir(at.join("bin")).unwrap();
    fs::hard_link(PROGRAM, &alone).or_else(|_| fs::copy(PROGRAM, &alone).map(drop)).unwrap();
    let ranks = TINY_CENTRAL.replace("epochs: 4", "epochs: 1, data_parallelism: 2");
    fs::write(at.join("ranks.yaml"), &ranks).unwrap();
    fs::write(at.join("stream.yaml"), format!("{ranks}stream: {{ orchestrator: batch }}\n")).unwrap();
    for args in [&["run", "ranks.yaml"][..], &["run", "stream.yaml"], &["runs", "list"], &["validate", "ranks.yaml"]] {
        let output = program(&alone, at).args(args).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn command_line_of_another_build_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // A command line that this program wouldn't understand is refused in the same way.
    for args in [&["nets", "list"][..], &["run", "--unknown"]] {
        let output = fltk(folder.path()).args(args).env("FLTK_INTERFACE", "0.0.1-01234567").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("of different builds: 0.0.1-01234567 and ") && said.contains("hint: `cargo build --release`"), "{said}");
    }
}
