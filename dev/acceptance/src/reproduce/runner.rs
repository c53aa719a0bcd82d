//! Runs of the program. Each has a folder in the user's cache, where a run that was interrupted is found and resumed.

use std::{
    fs,
    num::NonZeroUsize,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::{
    journal::{self, End, History},
    order::Job,
    pace::{self, Pace},
    record::{self, Record},
};
use crate::sh;

/// The interval at which the process is looked at. It is far below the time of a run.
const POLL: Duration = Duration::from_millis(100);

/// The interval at which the journal is read. A journal has at most a few megabytes.
const READ: Duration = Duration::from_secs(5);

/// The time between two lines about a run that goes on: enough of them to see that it does, and few enough to read in the morning.
const TELL: Duration = Duration::from_secs(60);

/// The variable by which fltk ends with the process that started it (`crates/fltk/src/child.rs`).
const LAUNCHER: &str = "FLTK_LAUNCHER";

/// The means to run cells.
pub struct Runner {
    /// The program `fltk`.
    pub program: PathBuf,
    /// The folder of all runs.
    pub folder: PathBuf,
    /// The number of clients trained concurrently; one per core if absent.
    pub workers: Option<NonZeroUsize>,
}

impl Runner {
    /// Runs `job` to its end, or resumes it, and returns its record. Must be called on the main thread, with which the run ends.
    ///
    /// # Errors
    /// If the program can't be started, or the run fails for a reason that may pass.
    pub fn run(&self, job: &Job<'_>, pace: &mut Pace) -> anyhow::Result<Record> {
        let mut command = self.command(job)?;
        let mut child = sh::start(&mut command)?;
        let mut watch = Watch::new(job);
        loop {
            if let Some(status) = child.try_wait()? {
                watch.look(&self.runs(job), pace);
                return self.record(job).with_context(|| format!("`{}` ended ({status}) without a result", sh::show(&command)));
            }
            if watch.looked.elapsed() >= READ {
                watch.look(&self.runs(job), pace);
            }
            thread::sleep(POLL);
        }
    }

    /// Returns the command that begins or resumes `job`, after it has written its experiment file.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn command(&self, job: &Job<'_>) -> anyhow::Result<Command> {
        let folder = self.folder_of(job);
        fs::create_dir_all(&folder).with_context(|| format!("can't create `{}`", folder.display()))?;
        let file = folder.join("experiment.json");
        record::write(&file, &serde_json::to_string_pretty(&job.cell.experiment(job.seed))?)?;
        let mut command = Command::new(&self.program);
        // With the same name and experiment fltk resumes the run, or finds it finished; another experiment is a new run beside it.
        command.arg("run").arg(file).arg("--id").arg(format!("{}-seed{}", job.cell.name, job.seed));
        command.arg("--runs").arg(self.runs(job)).arg("--quiet");
        if let Some(workers) = self.workers {
            command.arg("--workers").arg(workers.to_string());
        }
        command.env(LAUNCHER, std::process::id().to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// Returns the folder of the runs of `job`.
    pub fn runs(&self, job: &Job<'_>) -> PathBuf {
        self.folder_of(job).join("runs")
    }

    fn folder_of(&self, job: &Job<'_>) -> PathBuf {
        self.folder.join(format!("{}-seed{}", job.cell.name, job.seed))
    }

    /// Returns the record of the run of `job`, which has ended.
    fn record(&self, job: &Job<'_>) -> anyhow::Result<Record> {
        let run = journal::newest(&self.runs(job)).context("it has no folder")?;
        let history = History::read(&run)?;
        let (parameters_sha256, failed) = match history.end {
            Some(End::Finished { parameters_sha256 }) => (Some(parameters_sha256), None),
            Some(End::FailedForGood { reason }) => (None, Some(reason)),
            None => bail!("`{}` has not finished", run.display()),
        };
        let described = journal::description(&run)?;
        let complete = history.rounds.keys().copied().eq(0..u32::try_from(history.rounds.len())?);
        anyhow::ensure!(complete && history.rounds.values().all(|(accuracy, _)| accuracy.is_finite()), "`{}` lacks rounds", run.display());
        Ok(Record {
            cell: job.cell.name.clone(),
            seed: job.seed,
            task: job.cell.task.clone(),
            accuracies: history.rounds.values().map(|(accuracy, _)| *accuracy).collect(),
            parameters_sha256,
            failed,
            train_seconds: history.rounds.values().map(|(_, seconds)| seconds).sum(),
            cores: described.host.cores,
            processor: described.host.cpu,
            fltk: described.fltk_version,
            libtorch: described.host.libtorch.unwrap_or_default(),
        })
    }
}

/// The progress of a run as far as it was seen.
struct Watch<'a> {
    job: &'a Job<'a>,
    /// The round that was seen last, and when; `None` before the first look at a run that has a folder.
    round: Option<(u32, Instant)>,
    looked: Instant,
    told: Instant,
}

impl<'a> Watch<'a> {
    fn new(job: &'a Job<'a>) -> Self {
        Self { job, round: None, looked: Instant::now(), told: Instant::now() }
    }

    /// Looks at the journal, takes the rounds since the last look into `pace`, and says from time to time how far the run is.
    fn look(&mut self, runs: &std::path::Path, pace: &mut Pace) {
        self.looked = Instant::now();
        let Some(history) = journal::newest(runs).and_then(|run| History::read(&run).ok()) else { return };
        let Some((&round, &(accuracy, _))) = history.rounds.last_key_value() else { return };
        let cell = self.job.cell;
        let estimate = |rounds: u32| f64::from(rounds) * cell.core_seconds_per_round;
        let now = Instant::now();
        match self.round {
            None => pace.pass(estimate(round)),
            Some((seen, at)) if round > seen => pace.watch(estimate(round - seen), (now - at).as_secs_f64()),
            Some(_) => return,
        }
        self.round = Some((round, now));
        if self.told.elapsed() >= TELL {
            self.told = now;
            let (rate, left) = (pace.seconds(estimate(1)), pace.seconds(estimate(cell.num_rounds().saturating_sub(round))));
            eprintln!(
                "{}: round {round} of {}, accuracy {accuracy:.4}, {rate:.1} s a round, {} left; {} left for all",
                self.job,
                cell.num_rounds(),
                pace::told(left),
                pace::told(pace.left())
            );
        }
    }
}
