//! The records that the page shows in tests: real runs of seconds, and many that are made from one of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::{
    browser::{Server, Template, make_hostile, make_runs},
    checkout::Checkout,
    parts::fltk,
    sh,
};

/// The time limit of a command that takes seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// The number of runs in a large list, and of jobs in a long stream.
pub const MANY_RUNS: usize = 2000;
pub const MANY_JOBS: usize = 15_000;

/// The name of a long stream.
pub const LONG: &str = "long";

/// Two strategies with two learning rates and two seeds each, on unequal clients.
const GRID: &str = "
name: grid
seeds: [1, 2]
tasks:
  - name: t
    kind: federated
    network: LogisticRegression
    dataset: fashion-mnist-mini
    train: { batch_size: 32, optimizer: { type: SGD, learning_rate: 0.05 } }
    federated: { clients: 12, clients_per_round: 4, rounds: 8, partition: { type: dirichlet, alpha: 0.3 } }
    matrix:
      factors:
        train.optimizer.learning_rate: [0.02, 0.05]
        federated.strategy: [{ type: FedAvg }, { type: FedAdam, learning_rate: 0.01 }]
";

/// A run without clients.
const CENTRAL: &str = "
name: central
tasks:
  - { kind: distributed, network: LeNet5, dataset: fashion-mnist-mini, distributed: { epochs: 3 } }
";

/// A run with node processes.
const NODES: &str = "
name: nodes
tasks:
  - kind: federated
    network: LogisticRegression
    dataset: fashion-mnist-mini
    federated: { clients: 6, clients_per_round: 3, rounds: 4, nodes: 2 }
";

/// The template of many runs: it is small.
const SEED: &str = "
name: many
tasks:
  - kind: federated
    network: LogisticRegression
    dataset: { name: synthetic, clients: 10 }
    train: { batch_size: 32, optimizer: { type: SGD, learning_rate: 0.05 } }
    federated: { clients: 10, clients_per_round: 2, rounds: 20, partition: { type: natural_id } }
";

/// A stream of three jobs on this machine.
const STREAM: &str = "
name: jobs
tasks:
  - { name: a, kind: distributed, network: LogisticRegression, dataset: fashion-mnist-mini, distributed: { epochs: 1 } }
stream:
  orchestrator: trace
  trace: trace.csv
  admission: { type: max_concurrent, jobs: 1 }
";

/// A run that lasts for some seconds, with a hundredth of a second or more a round.
const LASTING: &str = "
name: lasting
tasks:
  - kind: federated
    network: LeNet5
    dataset: fashion-mnist-mini
    train: { batch_size: 16, optimizer: { type: SGD, learning_rate: 0.02 } }
    federated: { clients: 10, clients_per_round: 5, rounds: 40, epochs_per_round: 2 }
";

/// Folders of records. They are removed when the value is dropped.
pub struct Fixtures {
    program: PathBuf,
    examples: PathBuf,
    folder: TempDir,
}

impl Fixtures {
    /// Makes an empty folder for the records of the release build.
    ///
    /// # Errors
    /// If that can't be made.
    pub fn new(checkout: &Checkout) -> anyhow::Result<Self> {
        Ok(Self { program: fltk(checkout), examples: checkout.target.join("release/examples"), folder: tempfile::tempdir()? })
    }

    /// Runs a few experiments of every kind, and a stream.
    ///
    /// # Errors
    /// If one fails.
    pub fn few(&self) -> anyhow::Result<PathBuf> {
        fs::write(self.path("trace.csv"), "time,class\n0,a\n0,a\n1,a\n")?;
        [GRID, CENTRAL, NODES, STREAM].iter().try_for_each(|experiment| self.run(experiment, "few"))?;
        Ok(self.path("few"))
    }

    /// Returns the run that is copied, which is run if it isn't there.
    fn template(&self) -> anyhow::Result<Template> {
        if !self.path("seed").is_dir() {
            self.run(SEED, "seed")?;
        }
        Template::of(&self.path("seed"))
    }

    /// Returns a folder of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the command that runs `experiment` into the folder `runs`.
    pub fn command(&self, experiment: &str, runs: &str) -> anyhow::Result<Command> {
        let name = experiment.trim().lines().next().and_then(|line| line.strip_prefix("name: ")).context("an experiment without a name")?;
        let file = self.path(&format!("{name}.yaml"));
        fs::write(&file, experiment)?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&file).arg("--runs").arg(self.path(runs)).arg("--quiet").current_dir(self.folder.path());
        command.env("XDG_CACHE_HOME", self.path("cache")).stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self, experiment: &str, runs: &str) -> anyhow::Result<()> {
        sh::run(&mut self.command(experiment, runs)?, LIMIT)
    }

    /// Returns the command of a run that lasts for some seconds, in a folder of its own, with its folder of runs.
    pub fn lasting(&self) -> anyhow::Result<(Command, PathBuf)> {
        fs::create_dir_all(self.path("live"))?;
        Ok((self.command(LASTING, "live")?, self.path("live")))
    }

    /// Makes a folder with many runs and a long stream. Both are read without a complaint.
    pub fn many(&self) -> anyhow::Result<PathBuf> {
        let folder = self.runs("many", MANY_RUNS)?;
        self.long_stream(&folder, MANY_JOBS)?;
        ensure!(self.num_runs(&folder)? == MANY_RUNS, "the list has another number of runs than were made");
        Ok(folder)
    }

    /// Makes a folder of this name with `count` runs.
    pub fn runs(&self, name: &str, count: usize) -> anyhow::Result<PathBuf> {
        make_runs(&self.template()?, &self.path(name), count)?;
        Ok(self.path(name))
    }

    /// Forgets what earlier commands have read: the next one reads every journal.
    pub fn forget(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(self.path("cache")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("can't remove a cache"),
            _ => Ok(()),
        }
    }

    /// Returns the command that lists the runs in `folder`.
    pub fn list(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["runs", "list", "--output", "json", "--runs"]).arg(folder).env("XDG_CACHE_HOME", self.path("cache"));
        command.stdin(Stdio::null());
        command
    }

    /// Writes a stream of this many jobs into `folder`.
    pub fn long_stream(&self, folder: &Path, jobs: usize) -> anyhow::Result<()> {
        let mut command = Command::new(self.examples.join("long_stream"));
        command.arg(folder).args([LONG, &jobs.to_string()]).stdin(Stdio::null());
        sh::run(&mut command, LIMIT)
    }

    /// Returns the number of runs that `fltk runs list` prints, without a warning.
    fn num_runs(&self, folder: &Path) -> anyhow::Result<usize> {
        let mut command = self.list(folder);
        let output = command.output().context("`fltk runs list` can't be run")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "`{}` says: {said}", sh::show(&command));
        Ok(serde_json::from_slice::<Vec<serde_json::Value>>(&output.stdout)?.len())
    }

    /// Makes a folder with hostile runs, and a long stream whose failures have hostile reasons; returns the names of the runs.
    pub fn hostile(&self) -> anyhow::Result<(PathBuf, Vec<String>)> {
        let folder = self.path("hostile");
        let names = make_hostile(&self.template()?, &folder)?;
        ensure!(self.num_runs(&folder)? == names.len(), "the list has another number of runs than were made");
        Ok((folder, names))
    }

    /// Starts a server of one of the folders.
    pub fn serve(&self, folder: &Path, options: &[&str]) -> anyhow::Result<Server> {
        Server::start(&self.program, folder, &self.path("cache"), options)
    }
}
