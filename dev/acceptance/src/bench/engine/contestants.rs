//! The programs that are compared: how each is started, and what it took.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::Work;
use crate::{
    bench::{
        journal::{self, Rounds},
        measured::{LIMIT, Measured, measured},
        peers,
    },
    checkout::Checkout,
    setup::{debian, libtorch, python},
    sh,
};

/// The number of clients in a round.
const COHORT: u32 = 10;

/// A program that trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    Fltk,
    /// The same with a node in Python, of so many workers.
    Node {
        workers: u32,
    },
    /// A loop by hand in one process.
    Loop,
    /// The same on one thread.
    One,
    /// The same in two processes.
    Two,
    Flower,
    Pfl,
}

impl Contestant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fltk => "fltk",
            Self::Node { .. } => "node",
            Self::Loop => "loop",
            Self::One => "one",
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
    /// The time from the end of the first round to that of the last, without tests; NaN if it isn't known.
    pub later_seconds: f64,
    /// The accuracy of the last model.
    pub accuracy: f64,
}

/// The last line of a peer's output.
#[derive(Deserialize)]
struct Trained {
    rounds_seconds: f64,
    later_seconds: Option<f64>,
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
    /// Makes everything ready that is measured. `mnist` is a folder with the four files of MNIST; without it, the one where `fltk data fetch mnist` puts them,
    /// or, if they aren't there, that of Fashion-MNIST, whose samples have the same number and shape.
    pub fn ready(checkout: &Checkout, mnist: Option<PathBuf>) -> anyhow::Result<Self> {
        debian::fashion_mnist().map_err(|reason| anyhow::anyhow!(reason))?;
        let is_there = |folder: &Path| folder.join("train-images-idx3-ubyte.gz").is_file();
        let mnist = match mnist {
            Some(folder) => {
                ensure!(is_there(&folder), "there is no MNIST in `{}`", folder.display());
                folder
            }
            None => Some(checkout.cache.join("data/mnist")).filter(|folder| is_there(folder)).unwrap_or_else(|| {
                eprintln!("Fashion-MNIST takes the place of MNIST, which isn't there (`fltk data fetch mnist`, or `--mnist DIR`)");
                PathBuf::from(debian::FASHION_MNIST)
            }),
        };
        let python = peers::ensure(checkout, &python::ensure(checkout)?)?;
        eprintln!("peers: {}", peers::versions(&python)?);
        let fltk = checkout.build(&libtorch::ensure(checkout)?, &["--release"])?;
        Ok(Self { python, fltk, root: checkout.root.clone(), mnist, scratch: tempfile::tempdir()? })
    }

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
                fs::write(&experiment, self.experiment(work, work.net, work.rounds, split))?;
                command = self.fltk_run(&experiment, runs.path());
            }
            Contestant::Node { workers } => command = self.node_run(work, split, workers, work.rounds, runs.path())?,
            Contestant::Loop => peer(&mut command, &["python/bench_engine.py", "loop"]),
            Contestant::One => peer(&mut command, &["python/bench_engine.py", "one"]),
            Contestant::Two => peer(&mut command, &["python/bench_engine.py", "two"]),
            Contestant::Flower => peer(&mut command, &["python/bench_engine_flower.py"]),
            Contestant::Pfl => peer(&mut command, &["python/bench_engine_pfl.py"]),
        }
        let measured = self.run(who, command)?;
        if !matches!(who, Contestant::Fltk | Contestant::Node { .. }) {
            return Ok(measured);
        }
        let Rounds { began, ended } = journal::rounds(runs.path())?;
        let ends = journal::ends(runs.path())?;
        let later = ends.first().zip(ends.last()).map_or(f64::NAN, |(first, last)| last.duration_since(*first).as_secs_f64());
        Ok(Measurement { rounds_seconds: ended.duration_since(began).as_secs_f64(), later_seconds: later, ..measured })
    }

    /// Returns the command that measures a run of the net's twin in Python, over so many rounds.
    pub fn node_run(&self, work: &Work, split: &Path, workers: u32, rounds: u32, runs: &Path) -> anyhow::Result<Command> {
        let experiment = self.scratch.path().join(format!("{}-python.yaml", work.net));
        let net = format!("{{ python: \"{}:{}\" }}", self.root.join("python/nets.py").display(), work.net);
        fs::write(&experiment, self.experiment(work, &net, rounds, split))?;
        let mut command = self.fltk_run(&experiment, runs);
        command.args(["--workers", &workers.to_string()]);
        command.env("FLTK_PYTHON", &self.python).env("PYTHONPATH", self.root.join("python/fltk/src"));
        Ok(command)
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
            later_seconds: trained.later_seconds.unwrap_or(f64::NAN),
            accuracy: trained.accuracy,
        })
    }

    fn data(&self, work: &Work) -> &Path {
        if work.dataset == "mnist" { &self.mnist } else { Path::new(debian::FASHION_MNIST) }
    }

    /// The experiment. Peers write no checkpoints, so there is one, after the last round.
    fn experiment(&self, work: &Work, net: &str, rounds: u32, split: &Path) -> String {
        let Work { dataset, clients, test_every, train, .. } = work;
        let dataset = if self.data(work) == Path::new(debian::FASHION_MNIST) { "fashion-mnist" } else { dataset };
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
    if !matches!(who, Contestant::Fltk | Contestant::Node { .. }) {
        return Ok(serde_json::from_str(output.trim_end().lines().last().unwrap_or_default())?);
    }
    let Run { seconds, steps } = serde_json::from_str(output)?;
    let accuracy = steps.iter().rev().find_map(|step| step.accuracy).context("a run without a test")?;
    Ok(Trained { rounds_seconds: seconds, later_seconds: None, accuracy })
}
