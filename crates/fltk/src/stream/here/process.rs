//! A job's process: starting `fltk run` for the job's own file, stopping it, killing it if it doesn't stop, and the reason of a failure.

use std::{
    env,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fltk_core::{
    experiment::{Experiment, Task},
    terminal,
    termination::is_of_machine,
};
use fltk_plan::{JobSpec, plan::Blame};

use crate::{child, exit::Exit, output, stream::JobFiles, termination::TERMINATION_LOG};

/// How long a process has to end once it was asked to: longer than it gives its own ranks. After that it is killed, and its work since the last
/// checkpoint is lost.
const GRACE: Duration = Duration::from_secs(30);
/// How much longer than the time that a program has to stop: its process records its end.
const GRACE_BEYOND: Duration = Duration::from_secs(15);
/// The number of bytes at the end of a log that are searched for the reason of a failure.
const TAIL_BYTES: u64 = 8192;
/// The number of last lines that are given as the reason if no line begins with `error`.
const TAIL_LINES: usize = 5;
/// The maximum length of a reason, in characters.
const REASON_CHARS_MAX: usize = 1000;

/// The settings that all processes of a stream share.
pub struct Start<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// The experiment that the jobs belong to.
    pub experiment: &'a Experiment,
    /// The paths of the jobs' files.
    pub files: &'a JobFiles,
    /// The cache folder of data sets, if there is one.
    pub data: Option<&'a Path>,
    /// The number of workers of a job that requests no cores, and the maximum for any other.
    pub workers: NonZeroUsize,
    /// True if a TorchScript module may lie within a folder of records.
    pub trust_module: bool,
}

/// A job's process, which is killed when this value is dropped.
pub struct Process {
    child: Child,
    attempt: u32,
    log: PathBuf,
    /// The offset in the log at which this process's output begins, in bytes.
    log_from: u64,
    /// How long it has to end once it was asked to.
    grace: Duration,
    /// The deadline for its end, once it was asked to stop.
    deadline: Option<Instant>,
}

/// The way a process ended.
pub enum Ended {
    /// The process completed its training.
    Succeeded,
    /// The process stopped as it was asked to; the job will resume from its last checkpoint.
    Stopped,
    /// The process failed, with the reason and whether the machine or the job is to blame.
    Failed(String, Blame),
}

impl Start<'_> {
    /// Starts the process of `spec`; a job that was started before resumes from its last checkpoint.
    ///
    /// # Errors
    /// If a file can't be written, or the process can't be started.
    pub fn process(&self, spec: &JobSpec, attempt: u32) -> anyhow::Result<Process> {
        let (file, log) = (self.files.experiment(&spec.id), self.files.log(&spec.id));
        output::write_file(&file, fltk_experiment::to_yaml(&spec.experiment(self.experiment)).as_bytes())?;
        let said = File::options().append(true).create(true).open(&log).with_context(|| format!("can't write `{}`", log.display()))?;
        let log_from = said.metadata().map_or(0, |metadata| metadata.len());
        let mut command = Command::new(env::current_exe().context("can't find this program's own file")?);
        command.arg("run").arg(&file).args(["--id", &format!("{}-{}", self.stream, spec.id)]);
        command.arg("--runs").arg(self.files.runs());
        if let Some(data) = self.data {
            command.arg("--data").arg(data);
        }
        // A run that has failed before isn't skipped: the orchestrator decides whether a job is retried.
        command.args(["--workers", &self.workers_of(spec).to_string(), "--retry-failed"]);
        if self.trust_module {
            command.arg("--trust-module");
        }
        command.env(TERMINATION_LOG, self.files.report(&spec.id)).stdin(Stdio::null()).stderr(said);
        let child = child::start(&mut command).context("can't start a process")?;
        Ok(Process { child, attempt, log, log_from, grace: self.grace(spec), deadline: None })
    }

    /// Returns how long the process of `spec` has to end.
    fn grace(&self, spec: &JobSpec) -> Duration {
        let command = self.experiment.tasks.get(spec.arrival.task).and_then(Task::command);
        command.map_or(GRACE, |config| GRACE.max(Duration::from_millis(config.grace.as_millis()) + GRACE_BEYOND))
    }

    /// Returns the number of workers: the cores that the job requests, rounded up, within the limit.
    fn workers_of(&self, spec: &JobSpec) -> usize {
        let cores = spec.requests().get("cpu").saturating_add(999_999_999) / 1_000_000_000;
        match usize::try_from(cores) {
            Ok(0) | Err(_) => self.workers.get(),
            Ok(cores) => cores.min(self.workers.get()),
        }
    }
}

impl Process {
    /// Returns the attempt of the job that this process belongs to.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Asks the process to stop, once.
    pub fn ask_to_stop(&mut self) {
        if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + self.grace);
            child::ask_to_stop(&self.child);
        }
    }

    /// Returns how the process ended, if it has; kills it if its deadline has passed.
    pub fn ended(&mut self) -> Option<Ended> {
        let status = match self.child.try_wait() {
            Ok(Some(status)) => status,
            Ok(None) => {
                if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    // An error means that the process has already ended.
                    let _ = self.child.kill();
                }
                return None;
            }
            Err(error) => return Some(Ended::Failed(format!("it can't be waited for: {error}"), Blame::Machine)),
        };
        let is_as_asked = self.deadline.is_some() && status.code().is_none_or(|code| code == Exit::Interrupted as i32);
        Some(match status.success() {
            true => Ended::Succeeded,
            false if is_as_asked => Ended::Stopped,
            false => Ended::Failed(reason(status, &self.tail()), blame(status)),
        })
    }

    /// Returns the end of the process's output.
    fn tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let from = file.metadata()?.len().saturating_sub(TAIL_BYTES).max(self.log_from);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns what is to blame: the machine if a signal killed the process, as the kernel does when memory runs out, or if its exit code says that it couldn't
/// read, write or reach something; otherwise the job.
fn blame(status: ExitStatus) -> Blame {
    match status.code() {
        None => Blame::Machine,
        Some(code) if is_of_machine(code) => Blame::Machine,
        Some(_) => Blame::Job,
    }
}

/// Returns the reason why a process failed: its exit code, and its last lines of output, from the first that begins with `error`.
fn reason(status: ExitStatus, said: &str) -> String {
    let how = status.code().map_or_else(|| format!("it was ended by {status}"), |code| format!("exit code {code}"));
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.iter().position(|line| line.starts_with("error")).unwrap_or(lines.len().saturating_sub(TAIL_LINES));
    let words = lines[from..].join(" ");
    let words = words.strip_prefix("error: ").unwrap_or(&words);
    let plain = terminal::one_line(words, REASON_CHARS_MAX);
    if plain.is_empty() { how } else { format!("{how}: {plain}") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn reason_begins_with_the_first_error() {
        let check = |status: i32, said: &str, expected: &str| assert_eq!(reason(ExitStatus::from_raw(status), said), expected);
        check(4 << 8, "round 1\nerror: no `x`\nhint: y\n", "exit code 4: no `x` hint: y");
        check(5 << 8, "a\nerror: rank 1: b\nerror: rank 1 ended\n", "exit code 5: rank 1: b error: rank 1 ended");
        check(101 << 8, "1\n2\n3\n4\n5\n\n6\t7\n", "exit code 101: 2 3 4 5 6 7");
        check(9, "", "it was ended by signal: 9 (SIGKILL)");
    }

    #[test]
    fn machine_is_blamed_for_retryable_failures() {
        let check = |status: i32, expected: Blame| assert_eq!(blame(ExitStatus::from_raw(status)), expected, "{status}");
        for machine in [9, 7, 4 << 8, 6 << 8, 7 << 8] {
            check(machine, Blame::Machine);
        }
        for job in [1 << 8, 3 << 8, 5 << 8, 101 << 8] {
            check(job, Blame::Job);
        }
    }
}
