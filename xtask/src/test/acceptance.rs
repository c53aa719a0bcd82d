//! Runs of the program that must end well: accuracies on real data, and the same bits whatever the workers, killed or not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use super::report::{Outcome, Report};
use crate::{checkout::Checkout, demo, result::RunResult, sh};

/// For one run: the longest takes two minutes on two idle cores.
const RUN_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How often the journal of a run that is to be killed is looked at.
const POLL: Duration = Duration::from_millis(20);

/// All acceptance runs. `fashion_mnist` says why the full data set is not here, if it isn't.
pub fn run(checkout: &Checkout, report: &mut Report, program: &Path, fashion_mnist: &Result<(), String>) {
    let runs = Runs { checkout, program, folder: checkout.target.join("xtask-test-runs") };
    if let Err(error) = runs.clear() {
        report.part("acceptance runs", || Err(error));
        return;
    }
    let one_worker = report.part_with("quickstart with one worker", || runs.run(demo::EXPERIMENT, "one-worker", &["--workers", "1"]));
    report.part("accuracy of quickstart > 0.75", || above(one_worker.as_ref().context("the run failed")?, |accuracy| accuracy > 0.75));
    report.part("same bits with two workers", || {
        same(
            one_worker.as_ref().context("there is nothing to compare with")?,
            &runs.run(demo::EXPERIMENT, "two-workers", &["--workers", "2"])?,
        )
    });
    report.part("same bits killed and resumed", || {
        same(one_worker.as_ref().context("there is nothing to compare with")?, &runs.run_killed(demo::EXPERIMENT, "killed")?)
    });
    for (file, name, least) in [("examples/fashion-central.yaml", "central", 0.88), ("examples/fashion-fedavg.yaml", "fedavg", 0.80)] {
        let title = format!("accuracy of {file} >= {least:.2}");
        match fashion_mnist {
            Ok(()) => report.part(&title, || above(&runs.run(file, name, &[])?, |accuracy| accuracy >= least)),
            Err(reason) => report.skip(&title, reason),
        }
    }
    ddp(&runs, report, fashion_mnist);
    // What failed stays, to be looked at; what is fine is not worth the space.
    if report.is_good(false) {
        report.part("removing the runs", || runs.clear().map(|()| Outcome::Passed(String::new())));
    }
}

/// Four ranks end about where one process does: with synchronized batch norm the steps differ in nothing but rounding.
fn ddp(runs: &Runs<'_>, report: &mut Report, fashion_mnist: &Result<(), String>) {
    const TITLE: &str = "accuracy of 4 ranks within 0.5 points of 1";
    const FILE: &str = "examples/fashion-ddp.yaml";
    match fashion_mnist {
        Ok(()) => report.part(TITLE, || {
            let ranks = runs.run(FILE, "ddp", &[])?.accuracy;
            let alone = ["--set", "tasks.0.distributed.data_parallelism=1", "--set", "tasks.0.train.batch_size=64"];
            let alone = runs.run(FILE, "ddp-alone", &alone)?.accuracy;
            ensure!((ranks - alone).abs() <= 0.005, "4 ranks reach {ranks:.4}, 1 process {alone:.4}");
            Ok(Outcome::Passed(format!("{ranks:.4} and {alone:.4}")))
        }),
        Err(reason) => report.skip(TITLE, reason),
    }
}

fn above(result: &RunResult, is_enough: impl Fn(f64) -> bool) -> anyhow::Result<Outcome> {
    ensure!(is_enough(result.accuracy), "the accuracy is only {:.4}", result.accuracy);
    Ok(Outcome::Passed(format!("{:.4}", result.accuracy)))
}

fn same(one: &RunResult, other: &RunResult) -> anyhow::Result<Outcome> {
    ensure!(
        one.parameters_sha256 == other.parameters_sha256,
        "the final parameters differ: {} and {}",
        one.parameters_sha256,
        other.parameters_sha256
    );
    Ok(Outcome::Passed(format!("SHA-256 {}...", one.parameters_sha256.get(..12).unwrap_or(&one.parameters_sha256))))
}

struct Runs<'a> {
    checkout: &'a Checkout,
    program: &'a Path,
    /// Where the runs' folders go.
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
    fn run_killed(&self, file: &str, name: &str) -> anyhow::Result<RunResult> {
        let mut fltk = self.fltk(&[file], name);
        eprintln!("$ {}", sh::show(&fltk));
        let mut child = sh::start(fltk.stdout(Stdio::null()))?;
        let seen = self.wait_for_checkpoints(&mut child, name);
        // Whatever came of the waiting, the process must not outlive it.
        child.kill()?;
        child.wait()?;
        let run = seen?;
        eprintln!("killed after two checkpoints");
        let run = run.to_str().context("the path of the run is not UTF-8")?;
        RunResult::parse(&sh::output(&mut self.fltk(&["--resume", run], name), RUN_LIMIT)?)
    }

    /// The folder of the run, once its journal tells of two checkpoints.
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
