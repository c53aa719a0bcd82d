//! Tests of `fltk client` as a pod runs it: a federated task as a whole, and the termination report of each process.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use common::{TINY_CENTRAL, TINY_FEDERATED, fltk, json};
use fltk_core::termination::{REPORT_BYTES_MAX, TerminationReport};
use rustix::process::{Pid, Signal, kill_process};

/// The time limit for something that takes a second or two.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// Rank `rank` of `size`, which writes its report in `at`.
fn client(at: &Path, rank: u32, size: u32, args: &[&str]) -> Command {
    let mut command = fltk(at);
    command.arg("client").args(args).args(["--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs([("RANK", rank.to_string()), ("WORLD_SIZE", size.to_string())]).env("MASTER_ADDR", "127.0.0.1");
    command.env("FLTK_TERMINATION_LOG", log(at, rank));
    command
}

fn log(at: &Path, rank: u32) -> std::path::PathBuf {
    at.join(format!("termination-{rank}"))
}

/// Reads and removes the report of the rank.
fn report(at: &Path, rank: u32) -> TerminationReport {
    let text = fs::read_to_string(log(at, rank)).unwrap();
    fs::remove_file(log(at, rank)).unwrap();
    assert!(text.len() <= REPORT_BYTES_MAX, "{} bytes", text.len());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn result(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn run_name(result: &serde_json::Value) -> Option<String> {
    Some(Path::new(result["run"].as_str()?).file_name()?.to_str()?.to_owned())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// Waits until the single run's journal has an event of that kind, while `child` is running.
fn wait_for(at: &Path, child: &mut Child, event: &str) {
    let deadline = Instant::now() + LIMIT;
    let event = format!(r#""event":"{event}""#);
    let tells = |run: &Path| fs::read_to_string(run.join("journal.jsonl")).is_ok_and(|journal| journal.contains(&event));
    let is_there = || fs::read_dir(at.join("runs")).is_ok_and(|mut runs| runs.any(|run| tells(&run.unwrap().path())));
    while !is_there() {
        assert!(Instant::now() < deadline, "too long: no {event}");
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it has ended: {ended:?}");
        thread::sleep(POLL);
    }
}

#[test]
fn restarted_federated_task_ends_like_fltk_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("fed.yaml"), TINY_FEDERATED.replace("rounds: 5", "rounds: 12")).unwrap();
    let expected = json(at, &["run", "fed.yaml", "--runs", "other", "--output", "json"]);
    let args = ["fed.yaml", "0", "--id", "job-1"];

    let mut killed = client(at, 0, 1, &args).spawn().unwrap();
    wait_for(at, &mut killed, "checkpoint_saved");
    killed.kill().unwrap();
    assert_eq!(killed.wait().unwrap().code(), None, "it was killed at work");
    assert!(!log(at, 0).exists(), "who is killed reports nothing");

    let began_ms = now_ms();
    let output = client(at, 0, 1, &args).output().unwrap();
    let found = result(&output);
    assert!(said(&output).contains("resuming after round"), "{}", said(&output));
    assert_eq!(found["parameters_sha256"], expected["parameters_sha256"]);
    let TerminationReport { first_step_ms, error, exit, run } = report(at, 0);
    assert!((began_ms..=now_ms()).contains(&first_step_ms.unwrap()), "{first_step_ms:?}");
    assert_eq!((error, exit), (None, 0));
    assert_eq!(run, run_name(&found));

    // The program runs again after the end: it prints the same result, without a training step.
    let again = client(at, 0, 1, &args).output().unwrap();
    assert_eq!(again.stdout, output.stdout, "{}", said(&again));
    assert_eq!(report(at, 0), TerminationReport { run, ..TerminationReport::default() });
    assert_eq!(json(at, &["runs", "list", "--output", "json"]).as_array().unwrap().len(), 1, "one run, taken up");
}

#[test]
fn federated_task_stops_at_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // The training of its first clients would take hours.
    fs::write(at.join("fed.yaml"), TINY_FEDERATED.replace("epochs_per_round: 1", "epochs_per_round: 100000")).unwrap();
    let mut child = client(at, 0, 1, &["fed.yaml"]).spawn().unwrap();
    wait_for(at, &mut child, "started");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let report = report(at, 0);
    assert_eq!((report.first_step_ms, report.exit), (None, 130));
    assert!(report.error.unwrap().starts_with("interrupted") && report.run.is_some());
}

#[test]
fn ranks_write_termination_reports() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("ddp.yaml"), TINY_CENTRAL.replace("epochs: 4", "epochs: 1, data_parallelism: 2")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let began_ms = now_ms();
    let ranks = [0, 1].map(|rank| client(at, rank, 2, &["ddp.yaml"]).env("MASTER_PORT", &port).spawn().unwrap());
    let [first, second] = ranks.map(|rank| rank.wait_with_output().unwrap());
    assert!(second.status.success(), "{}", said(&second));
    for (rank, name) in [(0, run_name(&result(&first))), (1, None)] {
        let TerminationReport { first_step_ms, error, exit, run } = report(at, rank);
        assert!((began_ms..=now_ms()).contains(&first_step_ms.unwrap()), "{first_step_ms:?}");
        assert_eq!((error, exit, run), (None, 0, name));
    }
    // The ranks of `fltk run` don't write its termination log: they would all write the same file.
    let launched = fltk(at).args(["run", "ddp.yaml", "--output", "json"]).env("FLTK_TERMINATION_LOG", log(at, 0)).output().unwrap();
    result(&launched);
    assert!(!log(at, 0).exists());
}

#[test]
fn errors_are_truncated_to_fit_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("fed.yaml"), TINY_FEDERATED).unwrap();
    fs::write(at.join("central.yaml"), TINY_CENTRAL).unwrap();
    let check = |args: &[&str], size: u32, exit: u8, words: &str, has_run: bool| {
        // With the kubelet, the file exists already, and must stay the same inode.
        fs::write(log(at, 0), "x".repeat(2 * REPORT_BYTES_MAX)).unwrap();
        let inode = fs::metadata(log(at, 0)).unwrap().ino();
        let output = client(at, 0, size, args).output().unwrap();
        assert_eq!(output.status.code(), Some(exit.into()), "{}", said(&output));
        assert_eq!(fs::metadata(log(at, 0)).unwrap().ino(), inode);
        let report = report(at, 0);
        let error = report.error.unwrap();
        assert!(error.contains(words) && said(&output).contains(&error), "{error}\n{}", said(&output));
        assert_eq!((report.exit, report.run.is_some()), (exit, has_run), "{error}");
        error
    };
    check(&["missing.yaml"], 1, 3, "missing.yaml", false);
    check(&["fed.yaml"], 2, 2, "is federated", false);
    check(&["central.yaml"], 2, 3, "has 1 ranks", false);
    let wild = "tasks.0.train.optimizer.learning_rate=1.0e+30";
    check(&["fed.yaml", "--set", wild], 1, 5, "lower the learning rate", true);
    check(&["central.yaml", "--set", wild, "--set", "tasks.0.train.scheduler=null"], 1, 5, "lower the learning rate", true);
    let name = "\u{e9}\"\n".repeat(2000);
    let cut = check(&["fed.yaml", &name], 1, 3, "there is no task `", false);
    assert!((2000..REPORT_BYTES_MAX).contains(&cut.len()), "{}", cut.len());
}

#[test]
fn unwritable_report_is_not_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("fed.yaml"), TINY_FEDERATED.replace("rounds: 5", "rounds: 1")).unwrap();
    let output = client(at, 0, 1, &["fed.yaml"]).env("FLTK_TERMINATION_LOG", at).output().unwrap();
    result(&output);
    assert!(said(&output).contains("warning: can't write `"), "{}", said(&output));
}
