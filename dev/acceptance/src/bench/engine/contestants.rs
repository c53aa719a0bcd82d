//! The programs that are compared: how each is started, and what it took.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use serde::Deserialize;
use tempfile::TempDir;

use super::Work;
use crate::{
    bench::{
        journal::{self, Rounds},
        measured::{LIMIT, Measured, measured},
    },
    setup::debian,
    sh,
};

/// The number of clients in a round.
const COHORT: u32 = 10;

/// A program that trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    Fltk,
    /// A loop by hand in one process.
    Loop,
    /// The same in two processes.
    Two,
    Flower,
    Pfl,
}

impl Contestant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fltk => "fltk",
            Self::Loop => "loop",
            Self::Two => "two",
            Self::Flower => "flower",
            Self::Pfl => "pfl",
        }
    }
}

/// The time and the memory of one run.
pub struct Measurement {
    /// The time of the whole command.
    pub wall_seconds: f64,
    /// The processor time of all its processes.
    pub cpu_seconds: f64,
    /// The peak of the memory of all its processes, in MB.
    pub memory_mb: f64,
    /// The time from the first round to the end of the last, without start, data and end.
    pub rounds_seconds: f64,
    /// The accuracy of the last model.
    pub accuracy: f64,
}

/// The last line of a peer's output.
#[derive(Deserialize)]
struct Trained {
    rounds_seconds: f64,
    accuracy: f64,
}

/// The output of `fltk run`, as far as it is used here.
#[derive(Deserialize)]
struct Run {
    seconds: f64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    accuracy: Option<f64>,
}

/// The programs and what they need.
pub struct Contestants {
    pub python: PathBuf,
    pub fltk: PathBuf,
    pub root: PathBuf,
    pub mnist: PathBuf,
    pub scratch: TempDir,
}

impl Contestants {
    /// Writes the division and the cohorts that all programs use, and returns the file.
    pub fn split(&self, work: &Work) -> anyhow::Result<PathBuf> {
        let file = self.scratch.path().join(format!("{}.json", work.net));
        let mut command = Command::new(&self.python);
        command.args(["python/bench_engine.py", "split", work.net]).arg(&file).arg(self.data(work)).current_dir(&self.root);
        sh::output(command.stdin(Stdio::null()), LIMIT)?;
        Ok(file)
    }

    pub fn measure(&self, who: Contestant, work: &Work, split: &Path) -> anyhow::Result<Measurement> {
        let mut command = Command::new(&self.python);
        command.arg("python/measure.py").current_dir(&self.root).stdin(Stdio::null());
        let runs = tempfile::tempdir()?;
        let peer = |command: &mut Command, script: &[&str]| {
            command.arg(&self.python).args(script).arg(work.net).arg(split).arg(self.data(work));
        };
        match who {
            Contestant::Fltk => {
                let experiment = self.scratch.path().join(format!("{}.yaml", work.net));
                fs::write(&experiment, self.experiment(work, split))?;
                command = self.fltk_run(&experiment, runs.path());
            }
            Contestant::Loop => peer(&mut command, &["python/bench_engine.py", "loop"]),
            Contestant::Two => peer(&mut command, &["python/bench_engine.py", "two"]),
            Contestant::Flower => peer(&mut command, &["python/bench_engine_flower.py"]),
            Contestant::Pfl => peer(&mut command, &["python/bench_engine_pfl.py"]),
        }
        let measured = self.run(who, command)?;
        if who != Contestant::Fltk {
            return Ok(measured);
        }
        let Rounds { began, ended } = journal::rounds(runs.path())?;
        Ok(Measurement { rounds_seconds: ended.duration_since(began).as_secs_f64(), ..measured })
    }

    /// Returns the command that measures a run of `experiment`.
    pub fn fltk_run(&self, experiment: &Path, runs: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("python/measure.py").arg(&self.fltk).arg("run").arg(experiment);
        command.args(["--quiet", "--output", "json", "--runs"]).arg(runs);
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// Runs a command that `python/measure.py` measures.
    pub fn run(&self, who: Contestant, mut command: Command) -> anyhow::Result<Measurement> {
        let Measured { wall_seconds, cpu_seconds, memory_bytes, output } = measured(&mut command)?;
        let trained = trained(who, &output).with_context(|| format!("{} printed something else", who.name()))?;
        Ok(Measurement {
            wall_seconds,
            cpu_seconds,
            memory_mb: memory_bytes / 1e6,
            rounds_seconds: trained.rounds_seconds,
            accuracy: trained.accuracy,
        })
    }

    fn data(&self, work: &Work) -> &Path {
        if work.dataset == "mnist" { &self.mnist } else { Path::new(debian::FASHION_MNIST) }
    }

    /// The experiment. Peers write no checkpoints, so there is one, after the last round.
    fn experiment(&self, work: &Work, split: &Path) -> String {
        let Work { net, dataset, clients, rounds, test_every, train, .. } = work;
        let (split, data) = (split.display(), self.data(work).display());
        format!(
            "name: bench-engine
seeds: [1]
tasks:
  - kind: federated
    network: {net}
    dataset: {{ name: {dataset}, path: {data} }}
    train: {train}
    checkpoint_every: {rounds}
    federated:
      clients: {clients}
      clients_per_round: {COHORT}
      rounds: {rounds}
      epochs_per_round: 1
      evaluate_every: {test_every}
      partition: {{ type: file, path: {split} }}
      selection: {{ type: file, path: {split} }}
"
        )
    }
}

fn trained(who: Contestant, output: &str) -> anyhow::Result<Trained> {
    if who != Contestant::Fltk {
        return Ok(serde_json::from_str(output.trim_end().lines().last().unwrap_or_default())?);
    }
    let Run { seconds, steps } = serde_json::from_str(output)?;
    let accuracy = steps.iter().rev().find_map(|step| step.accuracy).context("a run without a test")?;
    Ok(Trained { rounds_seconds: seconds, accuracy })
}
