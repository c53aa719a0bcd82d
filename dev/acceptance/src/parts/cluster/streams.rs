//! Runs of streams with the program under test, and the results of their jobs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::{cluster::TestCluster, sh};

/// The time limit of one stream.
const STREAM_LIMIT: Duration = Duration::from_secs(12 * 60);
/// The interval at which a stream is polled.
const POLL: Duration = Duration::from_millis(300);

/// The context of scenarios.
pub struct Streams<'a> {
    pub cluster: &'a TestCluster,
    pub program: &'a Path,
    pub folder: &'a Path,
}

/// A job as in the output of `fltk runs jobs --output json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    pub job: String,
    pub class: String,
    pub priority: i32,
    pub state: String,
    pub arrived: Option<f64>,
    pub admitted: Option<f64>,
    pub created: Option<f64>,
    pub first_pod: Option<f64>,
    pub first_step: Option<f64>,
    pub ended: Option<f64>,
    pub suspensions: u32,
    pub nodes: Vec<String>,
    pub reason: Option<String>,
}

impl Streams<'_> {
    /// Removes the runs of earlier tests.
    pub fn clear(&self) -> anyhow::Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(self.folder).with_context(|| format!("can't empty `{}`", self.folder.display()))?;
        }
        Ok(fs::create_dir_all(self.folder)?)
    }

    /// Writes a file of a scenario.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Returns a command for the program, inside the network where the API server can be reached; streams' folders are placed in ours.
    pub fn fltk(&self) -> Command {
        let mut command = self.cluster.reach(self.program);
        command.env("FLTK_RUNS", self.folder);
        command
    }

    /// Runs `fltk cluster` with `arguments` to its end.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        sh::run(self.fltk().arg("cluster").args(arguments).stdout(Stdio::null()), STREAM_LIMIT)
    }

    /// Starts `fltk cluster` with `arguments`, as a process that is killed when the value is dropped.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        let mut command = self.fltk();
        command.args(["--quiet", "cluster"]).args(arguments).stdout(Stdio::null());
        Ok(Running(sh::start(&mut command)?))
    }

    /// Returns the state of the jobs of `stream` so far.
    pub fn jobs(&self, stream: &str) -> anyhow::Result<Vec<Job>> {
        let mut command = self.fltk();
        command.args(["runs", "jobs", stream, "--output", "json"]);
        serde_json::from_str(&sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)?).context("`fltk runs jobs` printed no list of jobs")
    }

    /// Returns the output of `fltk explain` for `job`.
    pub fn explain(&self, stream: &str, job: &str) -> anyhow::Result<String> {
        let mut command = self.fltk();
        command.args(["explain", job, "--stream", stream]);
        sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)
    }

    /// Waits until `is_so` holds for the jobs of `stream`, which `running` works on.
    pub fn wait(&self, stream: &str, running: &mut Running, what: &str, is_so: impl Fn(&[Job]) -> bool) -> anyhow::Result<Vec<Job>> {
        let deadline = Instant::now() + STREAM_LIMIT;
        loop {
            // The stream's folder doesn't exist at once.
            let jobs = if self.folder.join(stream).exists() { self.jobs(stream)? } else { Vec::new() };
            if is_so(&jobs) {
                return Ok(jobs);
            }
            ensure!(running.0.try_wait()?.is_none(), "the orchestrator ended before {what}: {jobs:?}");
            if Instant::now() >= deadline {
                bail!("{what} never came: {jobs:?}");
            }
            thread::sleep(POLL);
        }
    }
}

/// A running orchestrator. Dropping it is like `kill -9`.
pub struct Running(Child);

impl Running {
    /// Waits until it has ended successfully.
    pub fn end(mut self) -> anyhow::Result<()> {
        let status = sh::wait(&mut self.0, &Command::new("fltk cluster"), STREAM_LIMIT)?;
        ensure!(status.success(), "the orchestrator ended with {status}");
        Ok(())
    }
}

impl Running {
    /// Waits until it has ended, possibly with failed jobs.
    pub fn over(mut self) -> anyhow::Result<()> {
        /// The exit code if a job of the stream failed.
        const FAILED: i32 = 5;
        let status = sh::wait(&mut self.0, &Command::new("fltk cluster"), STREAM_LIMIT)?;
        ensure!(status.success() || status.code() == Some(FAILED), "the orchestrator ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Checks that all `jobs` succeeded, at plausible times.
pub fn all_succeeded(jobs: &[Job]) -> anyhow::Result<()> {
    for job in jobs {
        ensure!(job.state == "succeeded", "job {} of `{}` is {}: {:?}", job.job, job.class, job.state, job.reason);
        let times = [job.arrived, job.admitted, job.created, job.first_pod, job.ended];
        let times: Vec<f64> = times.into_iter().collect::<Option<_>>().with_context(|| format!("a time is missing: {job:?}"))?;
        ensure!(times.is_sorted(), "times of job {} are in no order: {job:?}", job.job);
    }
    Ok(())
}
