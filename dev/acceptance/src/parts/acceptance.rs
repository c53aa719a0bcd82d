//! Runs of the program that must succeed: accuracies on real data, and the same bits for any number of workers, with or without a kill.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};

use super::fltk;
use crate::{checkout::Checkout, demo, outcome::Outcome, result::RunResult, sh};

/// The time limit of one run: the longest takes two minutes on two idle cores.
const RUN_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The interval at which the journal of a run is read before the run is killed.
const POLL: Duration = Duration::from_millis(20);

/// The example that is compared with its own run in one process.
const DDP: &str = "examples/fashion-ddp.yaml";

/// Runs the part `name`.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<Outcome> {
    let program = fltk(checkout);
    let runs = Runs { checkout, program: &program, folder: checkout.target.join("xtask-test-runs").join(name.replace(' ', "-")) };
    runs.clear()?;
    let outcome = match name {
        "quickstart" => quickstart(&runs),
        "accuracy of central training" => above(&runs.run("examples/fashion-central.yaml", "central", &[])?, 0.88),
        "accuracy of federated training" => above(&runs.run("examples/fashion-fedavg.yaml", "fedavg", &[])?, 0.80),
        "accuracy of four ranks" => four_ranks(&runs),
        _ => bail!("`{name}` is no run"),
    }?;
    // The folders of a failed part stay for inspection; those of a passed part are not worth the space.
    runs.clear()?;
    Ok(outcome)
}

/// Compares a run with one worker and a run with two workers that is killed and resumed. A test of fltk-torch shows the same for two
/// workers without a kill.
fn quickstart(runs: &Runs<'_>) -> anyhow::Result<Outcome> {
    let one = runs.run(demo::EXPERIMENT, "one-worker", &["--workers", "1"])?;
    ensure!(one.accuracy > 0.75, "the accuracy is only {:.4}", one.accuracy);
    let killed = runs.run_killed(demo::EXPERIMENT, "killed", &["--workers", "2"])?;
    ensure!(
        one.parameters_sha256 == killed.parameters_sha256,
        "the final parameters differ: {} with one worker, {} with two that were killed and resumed",
        one.parameters_sha256,
        killed.parameters_sha256
    );
    let digest = one.parameters_sha256.get(..12).unwrap_or(&one.parameters_sha256);
    Ok(Outcome::Passed(format!("accuracy {:.4}, SHA-256 {digest}...", one.accuracy)))
}

/// Checks that four ranks end about where one process does: with synchronized batch norm, the steps differ only in rounding. Both run at once, since
/// ranks on one machine mostly wait for each other; the batches are larger than the example's, since the ranks wait at every step.
fn four_ranks(runs: &Runs<'_>) -> anyhow::Result<Outcome> {
    let ranks = ["--set", "tasks.0.train.batch_size=64", "--set", "tasks.0.train.optimizer.learning_rate=0.05"];
    let alone = ["--set", "tasks.0.train.batch_size=256", "--set", "tasks.0.train.optimizer.learning_rate=0.05"];
    let alone = [&["--set", "tasks.0.distributed.data_parallelism=1"][..], &alone].concat();
    let (ranks, alone) = thread::scope(|scope| {
        let beside = scope.spawn(|| runs.run(DDP, "ddp-alone", &alone));
        let ranks = runs.run(DDP, "ddp", &ranks);
        (ranks, beside.join())
    });
    let alone = alone.map_err(|_| anyhow!("the thread of the other run panicked"))??.accuracy;
    let ranks = ranks?.accuracy;
    ensure!(ranks >= 0.85, "4 ranks reach only {ranks:.4}");
    ensure!((ranks - alone).abs() <= 0.002, "4 ranks reach {ranks:.4}, 1 process {alone:.4}");
    Ok(Outcome::Passed(format!("{ranks:.4} and {alone:.4}")))
}

fn above(result: &RunResult, least: f64) -> anyhow::Result<Outcome> {
    ensure!(result.accuracy >= least, "the accuracy is only {:.4}", result.accuracy);
    Ok(Outcome::Passed(format!("{:.4}", result.accuracy)))
}

struct Runs<'a> {
    checkout: &'a Checkout,
    program: &'a Path,
    /// The parent folder of the runs.
    folder: PathBuf,
}

impl Runs<'_> {
    fn clear(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("can't remove the runs of an earlier test"),
            _ => Ok(()),
        }
    }

    fn fltk(&self, arguments: &[&str], name: &str) -> Command {
        let mut fltk = Command::new(self.program);
        fltk.arg("run").args(arguments).arg("--runs").arg(self.folder.join(name));
        fltk.args(["--output", "json"]).current_dir(&self.checkout.root).stdin(Stdio::null());
        fltk
    }

    fn run(&self, file: &str, name: &str, arguments: &[&str]) -> anyhow::Result<RunResult> {
        let mut fltk = self.fltk(&[&[file], arguments].concat(), name);
        RunResult::parse(&sh::output(&mut fltk, RUN_LIMIT)?)
    }

    /// Runs `file`, kills it (as `kill -9` does) once it has a few checkpoints, and resumes it.
    fn run_killed(&self, file: &str, name: &str, arguments: &[&str]) -> anyhow::Result<RunResult> {
        let mut fltk = self.fltk(&[&[file], arguments].concat(), name);
        eprintln!("$ {}", sh::show(&fltk));
        let mut child = sh::start(fltk.stdout(Stdio::null()))?;
        let seen = self.wait_for_checkpoints(&mut child, name);
        // In any case, the process must not outlive the wait.
        child.kill()?;
        child.wait()?;
        let run = seen?;
        eprintln!("killed after two checkpoints");
        let run = run.to_str().context("the path of the run is not UTF-8")?;
        RunResult::parse(&sh::output(&mut self.fltk(&[&["--resume", run], arguments].concat(), name), RUN_LIMIT)?)
    }

    /// Returns the folder of the run, once its journal has two checkpoints.
    fn wait_for_checkpoints(&self, child: &mut Child, name: &str) -> anyhow::Result<PathBuf> {
        let deadline = Instant::now() + RUN_LIMIT;
        loop {
            if let Some(run) = self.only_run(name)? {
                let journal = fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
                if journal.matches("checkpoint_saved").count() >= 2 {
                    return Ok(run);
                }
            }
            if let Some(status) = child.try_wait()? {
                bail!("the run ended ({status}) before it could be killed");
            }
            ensure!(Instant::now() < deadline, "there were no two checkpoints in {} s", RUN_LIMIT.as_secs());
            thread::sleep(POLL);
        }
    }

    fn only_run(&self, name: &str) -> anyhow::Result<Option<PathBuf>> {
        let Ok(entries) = fs::read_dir(self.folder.join(name)) else { return Ok(None) };
        for entry in entries {
            let path = entry?.path();
            if path.join("journal.jsonl").exists() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}
