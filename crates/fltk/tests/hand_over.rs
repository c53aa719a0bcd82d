//! Tests of the handover from `fltk` to `fltk-torch`. These tests are built without libtorch: a stand-in replaces `fltk-torch` and records how it was
//! started. The two real programs are run together by `cargo xtask demo`, and by the acceptance runs of `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
#[path = "common/record.rs"]
mod record;

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::symlink, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{PROGRAM, TINY_CENTRAL, TINY_FEDERATED};
use fltk_core::termination::TerminationReport;
use serde_json::Value as Json;

/// The time limit for something that should be immediate.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// The commands that are handed over, each with valid arguments; `run --resume` is handed over too.
const HANDED_OVER: [&[&str]; 4] = [
    &["run", "tiny.yaml", "--seed", "7", "--output", "json"],
    &["client", "tiny.yaml", "0", "--id", "a b"],
    &["nets", "list"],
    &["parity", "LeNet5", "--weights", "w", "--batch", "b", "--optimizer", "{}"],
];

/// A copy of the program in a folder of its own, and a folder to work in.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// Creates a place without a program that computes.
    fn new() -> Self {
        // The folder is on the same file system as the program, so that a hard link can replace a copy.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let place = Self { folder };
        for folder in ["bin", "at"] {
            fs::create_dir(place.folder.path().join(folder)).unwrap();
        }
        fs::hard_link(PROGRAM, place.bin("fltk")).or_else(|_| fs::copy(PROGRAM, place.bin("fltk")).map(drop)).unwrap();
        fs::write(place.at().join("tiny.yaml"), TINY_FEDERATED).unwrap();
        place
    }

    /// Creates a place with a stand-in that runs `script`. The stand-in is the shell: when it is started as `fltk run FILE`, it runs the script `run` in its
    /// working folder.
    fn with_stand_in(script: &str) -> Self {
        let place = Self::new();
        symlink("/bin/sh", place.bin("fltk-torch")).unwrap();
        for name in ["client", "nets", "parity", "run"] {
            fs::write(place.at().join(name), script).unwrap();
        }
        place
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.folder.path().join("bin").join(name)
    }

    fn at(&self) -> PathBuf {
        self.folder.path().join("at")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn fltk(&self, args: &[&str]) -> Command {
        let mut command = common::program(&self.bin("fltk"), &self.at());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns an experiment whose stream has two jobs.
fn stream() -> String {
    format!("{TINY_CENTRAL}seeds: [1, 2]\nstream: {{ orchestrator: batch, parallel: false }}\n")
}

#[test]
fn fltk_is_replaced_by_fltk_torch() {
    let place =
        Place::with_stand_in("tr '\\0' '\\n' < /proc/$$/cmdline > cmdline; env > environment; echo $$; cat >&2; cat <&9 >&2; exit 42");
    fs::write(place.at().join("ninth"), "ninth").unwrap();
    let run = record::record(&place.at().join("runs"), 1);
    for args in HANDED_OVER.into_iter().chain([&["run", "--resume", &run][..]]) {
        // The shell opens an additional file descriptor, which `Command` can't do.
        let mut shell = common::program(Path::new("/bin/sh"), &place.at());
        shell.args(["-c", "exec 9< ninth; exec \"$@\"", "-"]).arg(place.bin("fltk")).args(args).env("OURS", "kept");
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        child.stdin.take().unwrap().write_all(b"first ").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(42), "{args:?}: {}", said(&output));
        assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), format!("{pid}\n"), "{args:?}: the same process");
        assert_eq!(said(&output), "first ninth", "{args:?}: its files");
        assert_eq!(place.read("cmdline").lines().collect::<Vec<_>>(), [&["fltk"], args].concat());
        let environment = place.read("environment");
        let interface = environment.lines().find_map(|line| line.strip_prefix("FLTK_INTERFACE=")).unwrap();
        assert!(interface.starts_with(&format!("{}-", env!("CARGO_PKG_VERSION"))), "{interface}");
        assert!(environment.lines().any(|line| line == "OURS=kept"), "{environment}");
    }
}

#[test]
fn fltk_torch_is_found_next_to_the_resolved_program() {
    let place = Place::with_stand_in("exit 42");
    symlink(place.bin("fltk"), place.at().join("link")).unwrap();
    let output = common::program(&place.at().join("link"), &place.at()).args(["nets", "list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(42), "{}", said(&output));
}

#[test]
fn signal_that_ends_fltk_torch_ends_fltk() {
    let place = Place::with_stand_in("kill -TERM $$");
    assert_eq!(place.fltk(&["run", "tiny.yaml"]).output().unwrap().status.signal(), Some(15));
}

#[test]
fn fltk_torch_ends_with_its_launcher() {
    let place = Place::with_stand_in("echo $$ > pid.new; mv pid.new pid; exec sleep 600");
    let mut launcher = common::program(Path::new("/bin/sh"), &place.at());
    launcher.args(["-c", "FLTK_LAUNCHER=$$ \"$0\" run tiny.yaml & wait"]).arg(place.bin("fltk"));
    let mut launcher = launcher.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let wait = |is_so: &dyn Fn() -> bool, what: &str| {
        while !is_so() {
            assert!(began.elapsed() < LIMIT, "{what}");
            thread::sleep(POLL);
        }
    };
    wait(&|| place.at().join("pid").exists(), "it isn't handed over");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    let cwd = PathBuf::from(format!("/proc/{}/cwd", place.read("pid").trim()));
    wait(&|| fs::read_link(&cwd).is_err(), "it goes on");
}

#[test]
fn errors_are_reported_before_the_hand_over() {
    let place = Place::with_stand_in("exit 42");
    fs::write(place.at().join("typo.yaml"), TINY_FEDERATED.replace("rounds:", "round:")).unwrap();
    let output = place.fltk(&["run", "typo.yaml"]).output().unwrap();
    assert!(output.status.code() == Some(3) && said(&output).contains("did you mean `rounds`"), "{}", said(&output));
    let output = place.fltk(&["run", "--resume", "nowhere"]).output().unwrap();
    assert!(output.status.code() == Some(6) && said(&output).contains("nowhere"), "{}", said(&output));
}

#[test]
fn pipe_is_read_by_fltk_torch() {
    let place = Place::with_stand_in("cat > stdin; exit 42");
    for text in [TINY_FEDERATED, &stream()] {
        let mut child = place.fltk(&["run", "/dev/stdin"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(42), "{}", said(&output));
        assert_eq!(place.read("stdin"), text);
    }
}

#[test]
fn stream_needs_fltk_torch_only_for_its_jobs() {
    let place = Place::with_stand_in("tr '\\0' ' ' < /proc/$$/cmdline >> jobs; echo >> jobs; env > environment");
    fs::write(place.at().join("stream.yaml"), stream()).unwrap();
    let output = place.fltk(&["run", "stream.yaml", "--id", "batch", "--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let rows: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["state"] == "succeeded"), "{rows:?}");
    let jobs = place.read("jobs");
    assert_eq!(jobs.lines().count(), 2);
    for (line, row) in jobs.lines().zip(&rows) {
        let job = row["job"].as_str().unwrap();
        assert!(line.starts_with(&format!("fltk run runs/batch/jobs/{job}.yaml --id batch-{job} ")), "{line}");
    }
    assert!(place.read("environment").contains("FLTK_LAUNCHER="), "it is the process that the stream started");
}

#[test]
fn missing_fltk_torch_is_reported() {
    let place = Place::new();
    let missing = place.bin("fltk-torch");
    let check = |output: &Output| {
        let said = said(output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("installed without the part that trains") && said.contains(missing.to_str().unwrap()), "{said}");
        assert!(said.contains("\nhint: `cargo build --release`") && said.contains("`training`"), "{said}");
    };
    for args in HANDED_OVER {
        check(&place.fltk(args).output().unwrap());
    }
    // A stream isn't begun, since none of its jobs could be started.
    fs::write(place.at().join("stream.yaml"), stream()).unwrap();
    check(&place.fltk(&["run", "stream.yaml", "--id", "batch"]).output().unwrap());
    assert!(!place.at().join("runs/batch").exists());
    // A pod reports it too.
    let log = place.at().join("termination-log");
    check(&place.fltk(&["client", "tiny.yaml"]).env("FLTK_TERMINATION_LOG", &log).output().unwrap());
    let report: TerminationReport = serde_json::from_slice(&fs::read(&log).unwrap()).unwrap();
    assert!(report.exit == 1 && report.error.unwrap().contains("fltk-torch"));
    // Reporting errors in a file, and all other commands, need no other program.
    fs::write(place.at().join("typo.yaml"), TINY_FEDERATED.replace("rounds:", "round:")).unwrap();
    assert_eq!(place.fltk(&["run", "typo.yaml"]).output().unwrap().status.code(), Some(3));
    assert!(place.fltk(&["plan", "stream.yaml"]).output().unwrap().status.success());
}

#[test]
fn unrunnable_fltk_torch_is_reported() {
    let place = Place::new();
    fs::write(place.bin("fltk-torch"), "no program").unwrap();
    let output = place.fltk(&["nets", "list"]).output().unwrap();
    assert!(output.status.code() == Some(1) && said(&output).contains("can't run `"), "{}", said(&output));
}
