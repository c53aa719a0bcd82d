//! The programs that are compared: how each is started, and what it took.
//!
//! A SuperNode acts for one client at a time. So Flower trains the ten clients of a round as two messages: each of two SuperNodes trains five, in turn, and answers with
//! their mean. That is the training of the others, with fewer models on the way.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    bench::{
        journal,
        measured::{LIMIT, Measured, measured},
        median,
    },
    setup::debian,
    sh,
};

/// The number of clients that are trained at a time.
const WORKERS: &str = "2";

/// A program that trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `fltk run` with two workers.
    InProcess,
    /// `fltk run` with two node processes.
    Nodes,
    /// A SuperLink with two SuperNodes.
    Flower,
}

impl Who {
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in process",
            Self::Nodes => "two nodes",
            Self::Flower => "Flower",
        }
    }
}

/// A contestant and its rounds.
pub struct Job {
    pub who: Who,
    pub rounds: u32,
}

/// The time and the memory of one run.
pub struct Measurement {
    /// The time of a round: the median over the second and later ones.
    pub round_seconds: f64,
    /// The time from the command to the end of the last round.
    pub to_last_round_seconds: f64,
    /// The time of the whole command.
    pub wall_seconds: f64,
    /// The processor time of all its processes.
    pub cpu_seconds: f64,
    /// The peak of the memory of all its processes, in MB.
    pub memory_mb: f64,
    /// The accuracy of the last model.
    pub accuracy: f64,
}

/// The output of `fltk run`, as far as it is used here.
#[derive(Deserialize)]
struct Run {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    accuracy: Option<f64>,
}

/// The last line of `bench_network_flower.py`.
#[derive(Deserialize)]
struct Flower {
    round_seconds: f64,
    to_last_round_seconds: f64,
    accuracy: f64,
}

/// The programs and what they need.
pub struct Contestants {
    python: PathBuf,
    fltk: PathBuf,
    root: PathBuf,
    /// The division and the cohorts, and the images as Flower's processes read them.
    scratch: TempDir,
}

impl Contestants {
    pub fn new(python: PathBuf, fltk: PathBuf, root: PathBuf) -> anyhow::Result<Self> {
        let contestants = Self { python, fltk, root, scratch: tempfile::tempdir()? };
        let run = |script: &[&str], last: &[PathBuf]| sh::output(contestants.python(script).args(last).stdin(Stdio::null()), LIMIT);
        run(&["python/bench_engine.py", "split", "FashionMNISTCNN"], &[contestants.split(), debian::FASHION_MNIST.into()])?;
        run(&["python/bench_network_flower.py", "prepare", debian::FASHION_MNIST], &[contestants.scratch.path().to_owned()])?;
        Ok(contestants)
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        command
    }

    fn split(&self) -> PathBuf {
        self.scratch.path().join("split.json")
    }

    pub fn measure(&self, job: &Job) -> anyhow::Result<Measurement> {
        match job.who {
            Who::InProcess => self.fltk(job.rounds, 0),
            Who::Nodes => self.fltk(job.rounds, 2),
            Who::Flower => self.flower(job.rounds),
        }
    }

    fn fltk(&self, rounds: u32, nodes: u32) -> anyhow::Result<Measurement> {
        let (runs, experiment) = (tempfile::tempdir()?, self.scratch.path().join("experiment.yaml"));
        fs::write(&experiment, self.experiment(rounds, nodes))?;
        let mut command = self.python(&["python/measure.py"]);
        command.arg(&self.fltk).arg("run").arg(experiment);
        command.args(["--quiet", "--output", "json", "--workers", WORKERS, "--runs"]).arg(runs.path());
        let began = Timestamp::now();
        let taken = measured(&mut command)?;
        let run: Run = serde_json::from_str(&taken.output).context("fltk printed something else")?;
        let accuracy = run.steps.iter().rev().find_map(|step| step.accuracy).context("a run without a test")?;
        let ends = journal::ends(runs.path())?;
        let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
        let round_seconds = median(&mut ends.windows(2).map(|pair| seconds(pair[0], pair[1])).collect::<Vec<_>>());
        let last = ends.last().context("a run without rounds")?;
        Ok(measurement(&taken, round_seconds, seconds(began, *last), accuracy))
    }

    fn flower(&self, rounds: u32) -> anyhow::Result<Measurement> {
        let mut command = self.python(&["python/measure.py"]);
        command
            .arg(&self.python)
            .args(["python/bench_network_flower.py", "run", &rounds.to_string()])
            .arg(self.split())
            .arg(self.scratch.path());
        let taken = measured(&mut command)?;
        let last = taken.output.trim_end().lines().last().unwrap_or_default();
        let Flower { round_seconds, to_last_round_seconds, accuracy } =
            serde_json::from_str(last).context("Flower printed something else")?;
        Ok(measurement(&taken, round_seconds, to_last_round_seconds, accuracy))
    }

    /// The experiment. Flower writes no checkpoints, so there is one, after the last round.
    fn experiment(&self, rounds: u32, nodes: u32) -> String {
        let (split, data) = (self.split(), debian::FASHION_MNIST);
        let split = split.display();
        format!(
            "name: bench-network
seeds: [1]
tasks:
  - kind: federated
    network: FashionMNISTCNN
    dataset: {{ name: fashion-mnist, path: {data} }}
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.01, momentum: 0.9 }} }}
    checkpoint_every: {rounds}
    federated:
      nodes: {nodes}
      clients: 100
      clients_per_round: 10
      rounds: {rounds}
      epochs_per_round: 1
      evaluate_every: {rounds}
      partition: {{ type: file, path: {split} }}
      selection: {{ type: file, path: {split} }}
"
        )
    }
}

fn measurement(taken: &Measured, round_seconds: f64, to_last_round_seconds: f64, accuracy: f64) -> Measurement {
    let Measured { wall_seconds, cpu_seconds, memory_bytes, .. } = *taken;
    Measurement { round_seconds, to_last_round_seconds, wall_seconds, cpu_seconds, memory_mb: memory_bytes / 1e6, accuracy }
}
