//! Tests of `fltk run` for an experiment with a `stream`: its jobs are processes of this machine, planned as on a cluster.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{fltk, json, run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

/// The time limit for something that takes some seconds.
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// A federated task with a checkpoint each round.
fn federated(name: &str, rounds: u32) -> String {
    format!(
        "  - name: {name}
    kind: federated
    network: LeNet5
    dataset: fashion-mnist-mini
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.05 }} }}
    checkpoint_every: 1
    federated: {{ clients: 20, clients_per_round: 2, rounds: {rounds} }}
"
    )
}

/// A distributed task of one epoch.
fn distributed(name: &str, ranks: u32) -> String {
    format!(
        "  - name: {name}
    kind: distributed
    network: LeNet5
    dataset: fashion-mnist-mini
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.01 }} }}
    distributed: {{ epochs: 1, data_parallelism: {ranks} }}
"
    )
}

fn experiment(tasks: &[String], stream: &str) -> String {
    format!("name: tiny\ntasks:\n{}stream:\n{stream}", tasks.concat())
}

fn rows(output: &Output) -> Vec<Json> {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The rows of a stream in which every job succeeded.
fn succeeded(output: &Output) -> Vec<Json> {
    assert!(output.status.success(), "{}", said(output));
    let rows = rows(output);
    assert!(rows.iter().all(|row| row["state"] == "succeeded"), "{rows:?}");
    rows
}

fn row<'a>(rows: &'a [Json], class: &str) -> &'a Json {
    rows.iter().find(|row| row["class"] == class).unwrap_or_else(|| panic!("no {class}: {rows:?}"))
}

fn seconds(row: &Json, what: &str) -> f64 {
    row[what].as_f64().unwrap_or_else(|| panic!("no {what}: {row}"))
}

/// The digest of the job's model: for a finished run, `--resume` prints it and does nothing else.
fn digest(at: &Path, row: &Json) -> String {
    let result = json(at, &["run", "--resume", row["run"].as_str().unwrap(), "--output", "json"]);
    result["parameters_sha256"].as_str().unwrap().to_owned()
}

/// The folder of the single stream in `at`.
fn stream_folder(at: &Path) -> PathBuf {
    let entries = fs::read_dir(at.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("stream.json").exists()).last().unwrap()
}

fn job_file(at: &Path, row: &Json, kind: &str) -> PathBuf {
    stream_folder(at).join("jobs").join(format!("{}.{kind}", row["job"].as_str().unwrap()))
}

/// A running `fltk run`, which is killed when this value is dropped.
struct Running(Option<Child>);

impl Running {
    fn start(at: &Path, args: &[&str]) -> Self {
        let mut command = fltk(at);
        command.args(args).args(["--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    fn wait_for(&mut self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds() {
            assert!(Instant::now() < deadline, "too long: {what}");
            let ended = self.child().try_wait().unwrap();
            assert!(ended.is_none() || holds(), "it has ended before {what}: {ended:?}");
            thread::sleep(POLL);
        }
    }

    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The number of processes whose working directory is `at`, according to the kernel.
fn processes(at: &Path) -> usize {
    let at = at.canonicalize().unwrap();
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    entries.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == at)).count()
}

#[test]
fn batch_runs_jobs_in_order_with_the_results_of_fltk_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let tasks = [federated("a", 1), distributed("b", 1)];
    let batch = experiment(&tasks, "  orchestrator: batch\n  parallel: false\n").replace("name: tiny\n", "name: tiny\nseeds: [1, 2]\n");
    fs::write(at.join("batch.yaml"), &batch).unwrap();
    let jobs = succeeded(&run(at, &["run", "batch.yaml", "--output", "json"]));
    assert_eq!(jobs.iter().map(|row| row["class"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b", "a", "b"]);
    for replication in jobs.chunks(2) {
        assert!(seconds(&replication[1], "first_pod") >= seconds(&replication[0], "ended"), "{replication:?}");
    }
    for job in &jobs {
        let first_step = seconds(job, "first_step");
        assert!((seconds(job, "first_pod")..=seconds(job, "ended")).contains(&first_step), "{job}");
    }
    fs::write(at.join("plain.yaml"), batch.split_once("stream:").unwrap().0).unwrap();
    let plain = json(at, &["run", "plain.yaml", "--runs", "other", "--output", "json"]);
    let expected: Vec<&str> = plain["runs"].as_array().unwrap().iter().map(|run| run["parameters_sha256"].as_str().unwrap()).collect();
    assert_eq!(jobs.iter().map(|job| digest(at, job)).collect::<Vec<_>>(), expected);
}

#[test]
fn stream_without_arrivals_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let stream =
        "  orchestrator: simulated\n  duration: 1s\n  groups: [{ name: all, tasks: [a], gaps: { type: exponential, mean: 1h } }]\n";
    let task = format!("{}    class_probability: 1\n", federated("a", 1));
    fs::write(at.join("stream.yaml"), experiment(&[task], stream)).unwrap();
    let planned = run(at, &["plan", "stream.yaml"]);
    assert!(String::from_utf8(planned.stdout).unwrap().contains("no job arrives"));
    let ran = run(at, &["run", "stream.yaml"]);
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success() && said.contains("warning: no job arrived"), "{said}");
    assert!(String::from_utf8(ran.stdout).unwrap().trim_end().ends_with("no jobs"));
}

#[test]
fn simulated_stream_equals_its_plan() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let probable = |task: String| format!("{task}    class_probability: 0.5\n");
    let tasks = [probable(federated("alone", 1)), probable(distributed("pair", 2))];
    let stream = "  orchestrator: simulated
  duration: 1min
  max_jobs: 5
  admission: { type: max_concurrent, jobs: 2 }
  groups: [{ name: all, tasks: [alone, pair], gaps: { type: exponential, mean: 300ms } }]
";
    fs::write(at.join("stream.yaml"), experiment(&tasks, stream)).unwrap();
    let plan = json(at, &["plan", "stream.yaml", "--output", "json"]);
    let planned = plan["replications"][0]["jobs"].as_array().unwrap();
    assert_eq!(planned.len(), 5);
    // The names of jobs are derived from that of the stream; in a plan, that is the experiment's name.
    let jobs = succeeded(&run(at, &["run", "stream.yaml", "--id", "tiny", "--output", "json"]));
    let ids = |jobs: &[Json], id: &str| jobs.iter().map(|job| job[id].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&jobs, "job"), ids(planned, "id"));
    for (job, planned) in jobs.iter().zip(planned) {
        let at: fltk_core::experiment::Duration = planned["arrival"]["at"].as_str().unwrap().parse().unwrap();
        assert!((seconds(job, "arrived") * 1000.0 - at.as_millis() as f64).abs() < 0.5, "{job} {planned}");
        assert!(seconds(job, "admitted") >= seconds(job, "arrived"));
        assert_eq!(job["pods"], if job["class"] == "pair" { 2 } else { 1 });
    }
    assert!(jobs.iter().any(|job| job["class"] == "pair") && jobs.iter().any(|job| job["class"] == "alone"), "{jobs:?}");
    for job in &jobs {
        let start = seconds(job, "first_pod");
        let beside = jobs.iter().filter(|other| seconds(other, "first_pod") <= start && start < seconds(other, "ended"));
        assert!(beside.count() <= 2, "{jobs:?}");
    }
    // Started again with the same name, everything is done already.
    let again = run(at, &["run", "stream.yaml", "--id", "tiny", "--output", "json"]);
    assert_eq!(succeeded(&again), jobs);
    let other = run(at, &["run", "stream.yaml", "--id", "tiny", "--seed", "7"]);
    assert_eq!(other.status.code(), Some(6), "{}", said(&other));
    assert!(said(&other).contains("was started with other files"), "{}", said(&other));
    // Its records are like those of any stream.
    assert_eq!(json(at, &["runs", "jobs", "tiny", "--output", "json"]).as_array().unwrap(), &jobs);
    assert_eq!(json(at, &["runs", "jobs", "--output", "json"])[0]["stream"], "tiny");
    assert_eq!(json(at, &["runs", "list", "--output", "json"]).as_array().unwrap().len(), 5);
}

#[test]
fn preempted_job_resumes_and_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let stream = "  orchestrator: trace
  trace: trace.csv
  policy: priority
  admission: { type: max_concurrent, jobs: 1 }
  groups: [{ name: urgent, tasks: [high], preempt: true }]
";
    fs::write(at.join("stream.yaml"), experiment(&[federated("low", 100), federated("high", 1)], stream)).unwrap();
    fs::write(at.join("trace.csv"), "time,class,priority\n0,low,5\n2,high,1\n").unwrap();
    let jobs = succeeded(&run(at, &["run", "stream.yaml", "--output", "json"]));
    let (low, high) = (row(&jobs, "low"), row(&jobs, "high"));
    assert_eq!((low["suspensions"].as_u64(), high["suspensions"].as_u64()), (Some(1), Some(0)));
    assert!(seconds(high, "ended") < seconds(low, "ended") && seconds(low, "first_pod") < seconds(high, "first_pod"), "{jobs:?}");
    assert!(seconds(low, "run_seconds") < seconds(low, "service_seconds"), "{low}");
    let log = fs::read_to_string(job_file(at, low, "log")).unwrap();
    // On a busy machine, the job may have been suspended before it wrote anything.
    if let Some((before, after)) = log.split_once("interrupted") {
        assert!(after.contains("low, seed") && before.contains("round   1/100") == after.contains("resuming after round"), "{log}");
    }
    let file = job_file(at, low, "yaml");
    let alone = json(at, &["run", file.to_str().unwrap(), "--runs", "other", "--output", "json"]);
    assert_eq!(alone["parameters_sha256"], digest(at, low));
}

#[test]
fn killed_or_stopped_stream_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let tasks = [federated("short", 1), federated("long", 100), distributed("pair", 2), federated("last", 1)];
    let stream = "  orchestrator: batch\n  parallel: true\n  admission: { type: max_concurrent, jobs: 2 }\n";
    fs::write(at.join("stream.yaml"), experiment(&tasks, stream)).unwrap();
    let log_of = |class: &str| {
        let jobs = run(at, &["runs", "jobs", "tiny-1", "--output", "json"]);
        let jobs: Vec<Json> = serde_json::from_slice(&jobs.stdout).unwrap_or_default();
        let job = jobs.iter().find(|job| job["class"] == class)?["job"].as_str()?.to_owned();
        fs::read_to_string(at.join(format!("runs/tiny-1/jobs/{job}.log"))).ok()
    };
    let says = |class: &str, words: &str, count: usize| log_of(class).is_some_and(|log| log.matches(words).count() >= count);

    let mut killed = Running::start(at, &["run", "stream.yaml", "--id", "tiny-1"]);
    killed.wait_for("the end of the short job", || says("short", "round   1/1", 1) && says("pair", "pair, seed", 1));
    killed.wait_for("a checkpoint of the long one", || says("long", "round   2/100", 1));
    killed.child().kill().unwrap();
    killed.end();
    let deadline = Instant::now() + LIMIT;
    while processes(at) > 0 {
        assert!(Instant::now() < deadline, "a process is left");
        thread::sleep(POLL);
    }
    let jobs = json(at, &["runs", "jobs", "tiny-1", "--output", "json"]);
    assert_eq!(row(jobs.as_array().unwrap(), "long")["state"], "running");
    let long = row(jobs.as_array().unwrap(), "long")["job"].as_str().unwrap().to_owned();
    let explained = run(at, &["explain", &long]);
    let words = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(words.contains("`fltk run --resume runs/tiny-1` resumes it"), "{words}");

    let mut stopped = Running::start(at, &["run", "--resume", "tiny-1"]);
    stopped.wait_for("the long job to go on", || says("long", "resuming after round", 1));
    kill_process(Pid::from_child(stopped.child()), Signal::TERM).unwrap();
    let output = stopped.end();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("--resume"), "{}", said(&output));
    assert_eq!(processes(at), 0);

    let output = run(at, &["run", "--resume", "runs/tiny-1", "--output", "json"]);
    let jobs = succeeded(&output);
    assert_eq!(jobs.len(), 4);
    assert!(says("long", "resuming after round", 2));
    assert_eq!(log_of("short").unwrap().matches("short, seed").count(), 1, "what had finished isn't run again");
    assert_eq!(json(at, &["runs", "list", "--output", "json"]).as_array().unwrap().len(), 4, "one run each");
}

#[test]
fn failed_job_reports_its_reason_and_others_continue() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let resources =
        |memory: &str| format!("    resources: {{ master: {{ cores: 1, memory: {memory} }}, worker: {{ cores: 1, memory: {memory} }} }}\n");
    let missing = distributed("missing", 1).replace("fashion-mnist-mini", "mnist") + &resources("1Mi");
    let large = federated("large", 1) + &resources("1000Ti");
    let stream = "  orchestrator: batch\n  parallel: true\n  admission: { type: capacity }\n";
    fs::write(at.join("stream.yaml"), experiment(&[missing, large, federated("fine", 1)], stream)).unwrap();
    let output = run(at, &["run", "stream.yaml", "--output", "json"]);
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("2 of 3 jobs didn't succeed"), "{}", said(&output));
    let jobs = rows(&output);
    let reason = |class: &str| (row(&jobs, class)["state"].as_str().unwrap(), row(&jobs, class)["reason"].as_str().unwrap());
    assert_eq!(reason("fine").0, "succeeded");
    let (state, why) = reason("missing");
    assert!(state == "failed" && why.starts_with("exit code 4: ") && why.contains("fltk data fetch mnist"), "{why}");
    let (state, why) = reason("large");
    assert!(state == "failed" && why.contains("insufficient memory"), "{why}");
    let explain = |class: &str| {
        let output = run(at, &["explain", row(&jobs, class)["job"].as_str().unwrap()]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(explain("missing").contains("fltk data fetch mnist") && explain("missing").contains("\nlog  runs/"));
    assert!(explain("fine").contains("it trained to its end\nlog  runs/") && explain("fine").contains("\nrun  runs/tiny-"));
    let stream = stream_folder(at);
    let table = run(at, &["runs", "jobs", stream.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("3 jobs: "), "{}", String::from_utf8_lossy(&table.stdout));
}

#[test]
fn machine_failures_are_retried() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let large = federated("large", 1) + "    resources: { master: { cores: 1, memory: 1000Ti } }\n";
    let stream = "  orchestrator: batch\n  parallel: true\n  admission: { type: capacity }\n";
    fs::write(at.join("stream.yaml"), experiment(&[federated("killed", 60), large], stream)).unwrap();
    let args = ["run", "stream.yaml", "--id", "tiny-1"];
    let mut first = Running::start(at, &args);
    let says = |words: &str| {
        let logs = fs::read_dir(at.join("runs/tiny-1/jobs")).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.any(|log| fs::read_to_string(log).is_ok_and(|text| text.contains(words)))
    };
    first.wait_for("a checkpoint", || says("round   2/60"));
    let stream_itself = Pid::from_child(first.child());
    let job = others(at, stream_itself);
    assert_eq!(job.len(), 1, "{job:?}");
    kill_process(job[0], Signal::KILL).unwrap();
    let output = first.end();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let jobs = rows(&output);
    assert!(row(&jobs, "killed")["reason"].as_str().unwrap().contains("SIGKILL"), "{jobs:?}");
    assert!(said(&output).contains("2 of 2 jobs didn't succeed") && said(&output).contains("--retry-failed"), "{}", said(&output));

    let again = run(at, &[&args[..], &["--output", "json"]].concat());
    assert!(said(&again).contains("1 job that failed is retried: ") && said(&again).contains("1 of 2 jobs"), "{}", said(&again));
    let jobs = rows(&again);
    assert_eq!((row(&jobs, "killed")["state"].as_str(), row(&jobs, "large")["state"].as_str()), (Some("succeeded"), Some("failed")));
    assert!(says("resuming after round"), "it goes on from its checkpoint");
    let file = job_file(at, row(&jobs, "killed"), "yaml");
    let alone = json(at, &["run", file.to_str().unwrap(), "--runs", "other", "--output", "json"]);
    assert_eq!(alone["parameters_sha256"], digest(at, row(&jobs, "killed")));

    // A job that would fail again is retried only on request.
    let asked = run(at, &["run", "--resume", "tiny-1", "--retry-failed"]);
    assert!(said(&asked).contains("1 job that failed is retried: "), "{}", said(&asked));
    let unasked = run(at, &["run", "--resume", "tiny-1"]);
    assert!(!said(&unasked).contains("retried:") && unasked.status.code() == Some(5), "{}", said(&unasked));
}

/// The processes whose working directory is `at`, except `but`.
fn others(at: &Path, but: Pid) -> Vec<Pid> {
    let at = at.canonicalize().unwrap();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let here = pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == at));
    here.filter_map(Pid::from_raw).filter(|pid| *pid != but).collect()
}

#[test]
fn clock_set_back_delays_no_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("arrivals.csv"), "time,class\n0,a\n3,a\n").unwrap();
    let stream =
        "  orchestrator: trace\n  trace: arrivals.csv\n  duration: 60s\n  policy: fifo\n  admission: { type: max_concurrent, jobs: 1 }\n";
    fs::write(at.join("clock.yaml"), experiment(&[federated("a", 1)], stream)).unwrap();
    let mut running = Running::start(at, &["run", "clock.yaml", "--id", "clock"]);
    let path = at.join("runs/clock");
    running.wait_for("the first job to be over", || {
        fs::read_to_string(path.join("journal.jsonl")).is_ok_and(|journal| journal.contains("it trained to its end"))
    });
    let pid = Pid::from_raw(i32::try_from(running.child().id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(running.end().status.code(), Some(130));
    // A start time that is an hour later has the same effect as a clock that was set back an hour.
    let mut description: Json = serde_json::from_slice(&fs::read(path.join("stream.json")).unwrap()).unwrap();
    let began: jiff::Timestamp = description["started_at"].as_str().unwrap().parse().unwrap();
    description["started_at"] = (began + jiff::SignedDuration::from_hours(1)).to_string().into();
    fs::write(path.join("stream.json"), description.to_string()).unwrap();
    let output = run(at, &["run", "--resume", "clock", "--output", "json"]);
    assert!(said(&output).contains("s behind the stream's journal"), "{}", said(&output));
    let jobs = succeeded(&output);
    assert_eq!(jobs.len(), 2);
    for job in &jobs {
        assert!(seconds(job, "ended") > seconds(job, "first_pod") && seconds(job, "first_pod") - seconds(job, "arrived") < 600.0, "{job}");
        assert!((seconds(job, "first_pod")..=seconds(job, "ended")).contains(&seconds(job, "first_step")), "{job}");
    }
}

#[test]
fn only_one_of_a_stream_and_its_copy_continues() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("batch.yaml"), experiment(&[federated("a", 1)], "  orchestrator: batch\n")).unwrap();
    succeeded(&run(at, &["run", "batch.yaml", "--id", "one", "--output", "json"]));
    let copied = std::process::Command::new("cp").args(["-r", "runs/one", "runs/two"]).current_dir(at).status().unwrap();
    assert!(copied.success());
    for args in [&["run", "--resume", "two"][..], &["run", "--resume", "runs/two/"], &["run", "batch.yaml", "--id", "two"]] {
        let output = run(at, args);
        assert_eq!(output.status.code(), Some(6), "{}", said(&output));
        assert!(said(&output).contains("runs/two") && said(&output).contains("one"), "{}", said(&output));
    }
    // Without the original, the moved stream is the only one, and resumes.
    fs::remove_dir_all(at.join("runs/one")).unwrap();
    succeeded(&run(at, &["run", "--resume", "two", "--output", "json"]));
}

#[test]
fn stream_resumes_with_its_original_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("arrivals.csv"), "time,class\n0,a\n").unwrap();
    let text = experiment(&[federated("a", 1)], "  orchestrator: trace\n  trace: arrivals.csv\n");
    fs::write(at.join("trace.yaml"), text).unwrap();
    let begun = ["run", "trace.yaml", "--id", "one", "--output", "json"];
    let resumed = ["run", "--resume", "one", "--output", "json"];
    succeeded(&run(at, &begun));
    let stream = at.join("runs/one");
    let change = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(stream.join(file)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(stream.join(file), text.replacen(from, to, 1)).unwrap();
    };
    for (file, from, to) in [("experiment.yaml", "rounds: 1", "rounds: 2"), ("trace.txt", "0,a\n", "0,a\n0,a\n")] {
        change(file, from, to);
        let journal = fs::read(stream.join("journal.jsonl")).unwrap();
        for args in [&begun[..], &resumed] {
            let output = run(at, args);
            assert_eq!(output.status.code(), Some(6), "{args:?}: {}", said(&output));
            for words in [&format!("one/{file}` has changed since the stream was started"), "hint: restore it"] {
                assert!(said(&output).contains(words), "{args:?}: {}", said(&output));
            }
        }
        assert_eq!(fs::read(stream.join("journal.jsonl")).unwrap(), journal);
        change(file, to, from);
        assert_eq!(succeeded(&run(at, &resumed)).len(), 1);
    }
    // The stream looks as if an earlier version began it, which recorded no digests: the settings are the same in other words.
    let mut description: Json = serde_json::from_slice(&fs::read(stream.join("stream.json")).unwrap()).unwrap();
    assert_eq!(description.as_object_mut().unwrap().remove("files_sha256").unwrap().as_object().unwrap().len(), 2);
    fs::write(stream.join("stream.json"), description.to_string()).unwrap();
    change("experiment.yaml", "rounds: 1", "rounds: 1 # one");
    for args in [&begun[..], &resumed] {
        assert_eq!(succeeded(&run(at, args)).len(), 1);
    }
}
