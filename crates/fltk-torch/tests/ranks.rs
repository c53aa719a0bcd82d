//! Tests of distributed tasks on several ranks, each a process: what happens when a rank, the launcher or no process is killed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{fltk, json};
use rustix::process::{Pid, Signal, kill_process};

/// The time limit for something that takes seconds, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(180);
/// The time-out of the groups in these tests: a loss that is noticed sooner wasn't noticed by it.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

fn experiment(ranks: u32, restarts: u32) -> String {
    format!(
        "name: tiny-ddp
tasks:
  - kind: distributed
    network: LeNet5
    dataset: fashion-mnist-mini
    train: {{ batch_size: 16, optimizer: {{ type: SGD, learning_rate: 0.02, momentum: 0.9 }} }}
    distributed: {{ epochs: 4, data_parallelism: {ranks}, restarts: {restarts}, timeout: 60s }}
"
    )
}

/// A launcher, or rank 0, with its working folder. It is killed when this value is dropped.
struct Running {
    folder: Option<tempfile::TempDir>,
    child: Option<Child>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    /// Starts a run in its own folder, and waits until its journal has `lines` lines.
    fn start(ranks: u32, restarts: u32, lines: usize) -> Self {
        let mut running = Self::start_with(&experiment(ranks, restarts));
        running.wait_for_lines(lines);
        running
    }

    fn start_with(experiment: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ddp.yaml"), experiment).unwrap();
        let mut command = fltk(folder.path());
        command.args(["run", "ddp.yaml", "--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: Some(command.spawn().unwrap()), folder: Some(folder) }
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    fn path(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    fn wait_for_lines(&mut self, lines: usize) {
        self.wait_for(|running| running.journal().is_some_and(|journal| journal.lines().count() >= lines));
    }

    fn run_folder(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.path().join("runs")).ok()?;
        entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.join("journal.jsonl").exists())
    }

    fn journal(&self) -> Option<String> {
        fs::read_to_string(self.run_folder()?.join("journal.jsonl")).ok()
    }

    fn wait_for(&mut self, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds(self) {
            assert!(Instant::now() < deadline, "too long: {:?}", self.journal());
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() || holds(self), "it has ended: {ended:?}");
            thread::sleep(POLL);
        }
    }

    fn rank(&self, rank: u32) -> Pid {
        let found = ranks_of(self.pid()).into_iter().find(|(number, _)| *number == rank);
        found.unwrap_or_else(|| panic!("rank {rank} isn't running")).1
    }

    fn end(mut self) -> (Output, tempfile::TempDir) {
        (self.child.take().unwrap().wait_with_output().unwrap(), self.folder.take().unwrap())
    }

    fn kill(&mut self) {
        let child = self.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// The ranks that the process `launcher` started, according to the kernel.
fn ranks_of(launcher: u32) -> Vec<(u32, Pid)> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let rank = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>();
        let is_ours = variables.iter().any(|variable| *variable == format!("FLTK_LAUNCHER={launcher}"));
        let is_alive = !fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.contains(") Z");
        let rank = variables.iter().find_map(|variable| variable.strip_prefix("RANK=")?.parse().ok())?;
        (is_ours && is_alive).then(|| Some((rank, Pid::from_raw(pid)?)))?
    };
    processes.filter_map(rank).collect()
}

/// The number of event files of the single run in `at`, and the number of ends recorded in them.
fn event_files(at: &Path) -> (usize, usize) {
    let run =
        fs::read_dir(at.join("runs")).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.join("run.json").exists()).unwrap();
    let paths = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<Vec<u8>> =
        paths.filter(|path| path.to_str().unwrap().contains("events.out.tfevents.")).map(|path| fs::read(path).unwrap()).collect();
    let end = b"_hparams_/session_end_info";
    (files.len(), files.iter().map(|bytes| bytes.windows(end.len()).filter(|window| window == end).count()).sum())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn digest(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    result["parameters_sha256"].as_str().unwrap().to_owned()
}

/// The digest of an uninterrupted run on `ranks` ranks.
fn undisturbed(ranks: u32) -> String {
    let (output, _folder) = Running::start(ranks, 0, 1).end();
    digest(&output)
}

#[test]
fn ranks_end_like_one_process_and_report_their_cost() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("ddp.yaml"), experiment(2, 0)).unwrap();
    // The steps are small, so that rounding differences don't grow.
    let sets = ["--set", "tasks.0.train.optimizer.learning_rate=0.003"];
    let two = json(at, &[&["run", "ddp.yaml", "--output", "json"], &sets[..]].concat());
    let alone = [&["run", "ddp.yaml", "--output", "json", "--set", "tasks.0.train.batch_size=32"], &sets[..]].concat();
    let alone = json(at, &[&alone[..], &["--set", "tasks.0.distributed.data_parallelism=1"]].concat());
    let accuracy = |result: &serde_json::Value| result["accuracy"].as_f64().unwrap();
    assert!((accuracy(&two) - accuracy(&alone)).abs() < 0.05, "{two} {alone}");
    for step in 0..4 {
        let loss = |result: &serde_json::Value| result["steps"][step]["train_loss"].as_f64().unwrap();
        // Rounding differences grow from step to step, on some processors faster than on others.
        let tolerance = if step == 0 { 1e-5 } else { 0.02 };
        assert!((loss(&two) - loss(&alone)).abs() < tolerance, "{two} {alone}");
    }
    let shown = json(at, &["runs", "show", two["run"].as_str().unwrap(), "--output", "json"]);
    let parallel = &shown["rows"][0]["parallel"];
    assert_eq!(parallel["ranks"], 2);
    // There are 61,706 gradients of 4 bytes, and 125 steps; each of 2 ranks sends as much as there is.
    assert_eq!(parallel["sent_bytes"], 61_706 * 4 * 125);
    assert!(parallel["waiting_seconds"].as_f64().unwrap() <= parallel["communication_seconds"].as_f64().unwrap());
}

#[test]
fn killed_rank_is_restarted_with_the_same_bits() {
    // With three ranks, a sum depends on the order of its terms, not only on which ranks take part.
    let expected = undisturbed(3);
    for rank in [2, 0] {
        let running = Running::start(3, 1, 3);
        kill_process(running.rank(rank), Signal::KILL).unwrap();
        let launcher = running.pid();
        let (output, folder) = running.end();
        assert_eq!(event_files(folder.path()), (2, 1), "one file for each start, and of the lost rank no end");
        let said = said(&output);
        assert!(said.contains("ended with signal: 9") && said.contains("restart 1 of 1"), "{said}");
        assert!(said.contains("resuming after epoch"), "from a checkpoint, not anew: {said}");
        assert_eq!(digest(&output), expected, "rank {rank} was killed");
        assert!(ranks_of(launcher).is_empty());
    }
}

#[test]
fn rank_lost_in_synchronized_batch_norm_is_restarted() {
    // Synchronized batch norms also sum over ranks in the forward pass, which meets a lost rank first.
    let synchronized = experiment(2, 1).replace("LeNet5", "FashionMNISTCNN").replace("timeout: 60s", "sync_batch_norm: true, timeout: 60s");
    let (output, _folder) = Running::start_with(&synchronized).end();
    let expected = digest(&output);
    let mut running = Running::start_with(&synchronized);
    running.wait_for_lines(3);
    kill_process(running.rank(1), Signal::KILL).unwrap();
    let (output, _folder) = running.end();
    assert!(said(&output).contains("restart 1 of 1"), "{}", said(&output));
    assert_eq!(digest(&output), expected);
}

#[test]
fn lost_rank_without_restarts_is_named_and_the_run_is_resumable() {
    let expected = undisturbed(2);
    let running = Running::start(2, 0, 3);
    let (began, launcher) = (Instant::now(), running.pid());
    kill_process(running.rank(1), Signal::KILL).unwrap();
    let (output, folder) = running.end();
    assert!(began.elapsed() < TIMEOUT, "bounded, before the time-out");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("not heard of since: rank 1") && said.contains("rank 1 ended with signal: 9"), "{said}");
    assert!(ranks_of(launcher).is_empty());
    assert_eq!(event_files(folder.path()), (1, 1), "it has failed");
    assert_eq!(resume(folder.path()), expected);
    assert_eq!(event_files(folder.path()), (2, 1), "it has not");
}

#[test]
fn ranks_end_with_their_launcher() {
    let expected = undisturbed(2);
    let mut running = Running::start(2, 5, 3);
    running.kill();
    let launcher = running.pid();
    let deadline = Instant::now() + LIMIT;
    while !ranks_of(launcher).is_empty() {
        assert!(Instant::now() < deadline, "a rank is left");
        thread::sleep(POLL);
    }
    assert_eq!(resume(running.path()), expected);
}

#[test]
fn stopped_launcher_stops_its_ranks() {
    let expected = undisturbed(2);
    let running = Running::start(2, 5, 3);
    let launcher = running.pid();
    kill_process(Pid::from_raw(launcher as i32).unwrap(), Signal::TERM).unwrap();
    let (output, folder) = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("--resume"), "{}", said(&output));
    let run = fs::read_dir(folder.path().join("runs")).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    assert!(!fs::read_to_string(run.join("journal.jsonl")).unwrap().contains("\"failed\""), "stopping is no failure");
    assert!(ranks_of(launcher).is_empty());
    assert_eq!(resume(folder.path()), expected);
}

fn resume(at: &Path) -> String {
    let runs = json(at, &["runs", "list", "--output", "json"]);
    let run = runs[0]["run"].as_str().unwrap();
    json(at, &["run", "--resume", run, "--output", "json"])["parameters_sha256"].as_str().unwrap().to_owned()
}

/// Tests ranks as Kubeflow Trainer v2 starts them; they are started again with the same name once one is gone.
#[test]
fn clients_connect_and_resume_after_restart() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("ddp.yaml"), experiment(2, 0)).unwrap();
    let start = |rank: &str, port: u16| -> Child {
        let mut command: Command = fltk(at);
        command.args(["client", "ddp.yaml", "0", "--id", "job-1", "--output", "json"]);
        command.envs([("PET_NNODES", "2"), ("PET_NPROC_PER_NODE", "1"), ("PET_NODE_RANK", rank)]);
        command.envs([("PET_MASTER_ADDR", "localhost"), ("PET_MASTER_PORT", &port.to_string())]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = free();
    let (first, mut second) = (start("0", port), start("1", port));
    let mut running = Running { child: Some(first), folder: Some(folder) };
    running.wait_for_lines(3);
    second.kill().unwrap();
    second.wait().unwrap();
    let (output, folder) = running.end();
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(!said(&output).contains("--resume"), "who started it starts it again: {}", said(&output));
    let at = folder.path();
    let start = |rank: &str, port: u16| {
        let mut command: Command = fltk(at);
        command.args(["client", "ddp.yaml", "0", "--id", "job-1", "--output", "json"]);
        command.envs([("RANK", rank), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", &port.to_string())]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let port = free();
    let (first, second) = (start("0", port), start("1", port));
    let (first, second) = (first.wait_with_output().unwrap(), second.wait_with_output().unwrap());
    assert!(second.status.success() && second.stdout.is_empty(), "{}", said(&second));
    assert!(said(&first).contains("resuming after epoch"), "{}", said(&first));
    assert_eq!(digest(&first), undisturbed(2));
    // The ranks are started again after the end: they return the same result at once.
    let port = free();
    let (again, second) = (start("0", port), start("1", port));
    let (again, second) = (again.wait_with_output().unwrap(), second.wait_with_output().unwrap());
    assert!(second.status.success(), "{}", said(&second));
    assert_eq!(again.stdout, first.stdout, "{}", said(&again));
    // Each rank is also started by itself: the others of a finished job don't come back.
    let (again, second) = (start("0", free()), start("1", free()));
    let (again, second) = (again.wait_with_output().unwrap(), second.wait_with_output().unwrap());
    assert!(second.status.success() && second.stdout.is_empty(), "{}", said(&second));
    assert_eq!(again.stdout, first.stdout, "{}", said(&again));
    assert_eq!(json(at, &["runs", "list", "--output", "json"]).as_array().unwrap().len(), 1, "one run, taken up");
}

/// Ranks as pods: each restarts as soon as it fails, with the same name and port.
struct Pods {
    folder: tempfile::TempDir,
    port: u16,
    ranks: Vec<Child>,
    /// The number of restarts of all ranks.
    num_restarts: usize,
    outputs: Vec<Option<Output>>,
}

impl Drop for Pods {
    fn drop(&mut self) {
        for child in &mut self.ranks {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Pods {
    fn start(size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ddp.yaml"), experiment(size, 0)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut pods = Self { folder, port, ranks: Vec::new(), num_restarts: 0, outputs: (0..size).map(|_| None).collect() };
        pods.ranks = (0..size).map(|rank| pods.rank(rank as usize)).collect();
        pods
    }

    fn rank(&self, rank: usize) -> Child {
        let mut command: Command = fltk(self.folder.path());
        command.args(["client", "ddp.yaml", "0", "--id", "job-1", "--output", "json"]);
        command.envs([("RANK", rank.to_string()), ("WORLD_SIZE", self.outputs.len().to_string()), ("MASTER_PORT", self.port.to_string())]);
        command.env("MASTER_ADDR", "localhost").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Restarts the ranks that failed, until `holds` returns true.
    fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds(self) {
            let over: Vec<bool> = self.outputs.iter().map(Option::is_some).collect();
            assert!(Instant::now() < deadline, "too long, after {} restarts; these are over: {over:?}", self.num_restarts);
            for rank in 0..self.ranks.len() {
                let Some(status) = self.ranks[rank].try_wait().unwrap().filter(|_| self.outputs[rank].is_none()) else { continue };
                if status.success() {
                    let ended = std::mem::replace(&mut self.ranks[rank], Command::new("true").spawn().unwrap());
                    self.outputs[rank] = Some(ended.wait_with_output().unwrap());
                } else {
                    self.num_restarts += 1;
                    self.ranks[rank] = self.rank(rank);
                }
            }
            thread::sleep(POLL);
        }
    }

    fn num_lines(&self) -> usize {
        let runs = fs::read_dir(self.folder.path().join("runs")).into_iter().flatten();
        runs.flatten().filter_map(|run| fs::read_to_string(run.path().join("journal.jsonl")).ok()).map(|text| text.lines().count()).sum()
    }
}

/// Tests the number that a cluster's `backoff_limit` counts: whichever rank is lost, each rank restarts once. The lost rank is back before the others
/// have noticed.
#[test]
fn lost_rank_costs_one_restart_of_each() {
    let expected = undisturbed(3);
    for lost in [0, 2] {
        let mut pods = Pods::start(3);
        pods.until(|pods| pods.num_lines() >= 3);
        pods.ranks[lost].kill().unwrap();
        pods.until(|pods| pods.outputs.iter().all(Option::is_some));
        assert_eq!(pods.num_restarts, 3, "rank {lost} was lost");
        assert_eq!(digest(pods.outputs[0].as_ref().unwrap()), expected);
    }
}

/// The values of a run's steps that have to be bit-identical.
fn steps(result: &serde_json::Value) -> Vec<[serde_json::Value; 4]> {
    let step = |step: &serde_json::Value| ["step", "accuracy", "loss", "train_loss"].map(|name| step[name].clone());
    result["steps"].as_array().unwrap().iter().map(step).collect()
}

#[test]
fn resumption_within_an_epoch_gives_the_same_bits() {
    // The net has dropout, so masks are random too.
    for (ranks, killed) in [(1, None), (2, Some(1)), (3, None)] {
        let plain = experiment(ranks, 1).replace("LeNet5", "MNISTCNN").replace("epochs: 4", "epochs: 2");
        let (output, _folder) = Running::start_with(&plain).end();
        let expected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut running = Running::start_with(&plain.replace("epochs: 2", "epochs: 2, checkpoint_every_steps: 30"));
        // The folder is there a moment before the journal says so, and only what the journal says is resumed.
        running.wait_for(|running| running.journal().is_some_and(|journal| journal.contains(r#""at":{"completed":1,"steps":30}"#)));
        let at = running.path().to_path_buf();
        let _folder;
        let result: serde_json::Value = match killed {
            Some(rank) => {
                kill_process(running.rank(rank), Signal::KILL).unwrap();
                let output;
                (output, _folder) = running.end();
                assert!(said(&output).contains("resuming after epoch 1, step"), "{}", said(&output));
                serde_json::from_slice(&output.stdout).unwrap()
            }
            None => {
                running.kill();
                let run = running.run_folder().unwrap();
                let result = json(&at, &["run", "--resume", run.to_str().unwrap(), "--output", "json"]);
                _folder = running.folder.take().unwrap();
                result
            }
        };
        let shown = json(&at, &["runs", "list", "--output", "json"]);
        let journal = fs::read_to_string(at.join("runs").join(shown[0]["run"].as_str().unwrap()).join("journal.jsonl")).unwrap();
        let taken_up = journal.lines().filter(|line| line.contains(r#""event":"started","from":{"completed":1,"#)).count();
        assert_eq!(taken_up, 1, "{ranks} ranks: {journal}");
        assert_eq!(steps(&result), steps(&expected), "{ranks} ranks");
        assert_eq!(result["parameters_sha256"], expected["parameters_sha256"], "{ranks} ranks");
    }
}

#[test]
fn frozen_rank_0_is_noticed_in_time() {
    let mut running = Running::start_with(&experiment(2, 0).replace("timeout: 60s", "timeout: 4s"));
    running.wait_for_lines(3);
    let frozen = running.rank(0);
    kill_process(frozen, Signal::STOP).unwrap();
    let (output, _folder) = running.end();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("rank 1: ") && said.contains("not heard of since: rank 0"), "{said}");
}

#[test]
fn ranks_of_different_jobs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("ddp.yaml"), experiment(2, 0)).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |rank: &str, seed: &str| -> Child {
        let mut command: Command = fltk(at);
        command.args(["client", "ddp.yaml", "--seed", seed]);
        command.envs([("RANK", rank), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port.to_string())]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ranks = [start("0", "1"), start("1", "2")];
    for rank in ranks.map(|rank| rank.wait_with_output().unwrap()) {
        assert_eq!(rank.status.code(), Some(3), "{}", said(&rank));
        assert!(said(&rank).contains("rank 1 has another task or seed than rank 0"), "{}", said(&rank));
    }
    assert!(!at.join("runs").exists(), "nothing was begun");
}

#[test]
fn impossible_settings_are_refused_before_any_rank_starts() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("ddp.yaml"), experiment(2, 0)).unwrap();
    fs::write(at.join("fed.yaml"), common::TINY_FEDERATED).unwrap();
    let refused = |args: &[&str], variables: &[(&str, &str)], code: i32, words: &str| {
        let output = fltk(at).args(args).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    };
    refused(&["client", "ddp.yaml"], &[], 3, "but the environment has 1");
    refused(&["client", "ddp.yaml", "2"], &[], 3, "there is no task `2`");
    let two = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1")];
    refused(&["client", "fed.yaml"], &two, 2, "a federator and 1 nodes: these prove who they are\nhint: `--credentials FILE`");
    refused(&["client", "fed.yaml"], &[("RANK", "1"), two[1], two[2]], 2, "rank 1: the task is federated");
    // A rank's own fault is not retried, however many restarts are allowed.
    let wild = ["run", "ddp.yaml", "--set", "tasks.0.train.optimizer.learning_rate=1.0e+30", "--set", "tasks.0.distributed.restarts=3"];
    refused(&[&wild[..], &["--runs", "wild"]].concat(), &[], 5, "lower the learning rate");
    // One of two tasks is trained alone.
    let first = experiment(1, 0).replace("epochs: 4", "epochs: 1");
    let (_, second) = first.split_once("tasks:\n").unwrap();
    let two = format!("{first}{}", second.replace("- kind", "- name: second\n    kind"));
    fs::write(at.join("two.yaml"), two).unwrap();
    refused(&["client", "two.yaml", "--runs", "second"], &[], 3, "there are several tasks");
    let second = json(at, &["client", "two.yaml", "second", "--runs", "second", "--output", "json"]);
    assert_eq!(second["task"], "second");
    refused(&["client", "ddp.yaml"], &[("RANK", "1")], 1, "WORLD_SIZE is not set");
    let lonely = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "no-such-host.invalid"), ("MASTER_PORT", "29500")];
    let brief = ["client", "ddp.yaml", "--set", "tasks.0.distributed.timeout=1s"];
    refused(&brief, &lonely, 7, "no-such-host.invalid");
    refused(&brief, &[("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")], 7, "served by rank 0");
    let sync = ["run", "ddp.yaml", "--set", "tasks.0.distributed.sync_batch_norm=true", "--set", "tasks.0.train.batch_size=1333"];
    refused(&[&sync[..], &["--set", "tasks.0.distributed.data_parallelism=3"]].concat(), &[], 3, "pad_last");
    assert!(!at.join("runs").exists());
}
