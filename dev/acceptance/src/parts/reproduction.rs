//! The properties that `cargo xtask reproduce` relies on: the program accepts every cell, and goes on with a run of one that was killed.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use super::fltk;
use crate::{
    checkout::Checkout,
    outcome::Outcome,
    reproduce::{
        cell::{Cell, Measure, Published},
        order::Job,
        pace::Pace,
        record::Record,
        runner::Runner,
        tables,
    },
    sh,
};

/// The limit of a run of the cell of this test, which takes two seconds.
const LIMIT: Duration = Duration::from_secs(300);

/// The interval at which the journal is read before the run is killed.
const POLL: Duration = Duration::from_millis(20);

/// Validates all cells, and runs a small one in one go, and killed and resumed.
pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir_in(&checkout.target)?;
    let program = fltk(checkout);
    let number = validate(&program, folder.path())?;
    let cell = small();
    let job = Job { cell: &cell, seed: 3 };
    let runner = |name: &str| Runner { program: program.clone(), folder: folder.path().join(name), workers: None };
    let once = result(&runner("once"), &job)?;
    let killed = runner("killed");
    kill_after_two_checkpoints(&killed, &job)?;
    let resumed = result(&killed, &job)?;
    ensure!(once == resumed, "a run that was killed and resumed gives another record: {once:?}, {resumed:?}");
    ensure!(result(&killed, &job)? == resumed, "a run that had finished gives another record");
    Ok(Outcome::Passed(format!("{number} cells, accuracy {:.4} of a small one", once.last())))
}

/// Checks that the program accepts the experiment of each cell; returns their number.
fn validate(program: &Path, folder: &Path) -> anyhow::Result<usize> {
    let mut command = Command::new(program);
    command.arg("validate").stdin(Stdio::null());
    let cells: Vec<Cell> = tables::all().into_iter().flat_map(|table| table.cells).collect();
    for cell in &cells {
        let file = folder.join(format!("{}.json", cell.name));
        fs::write(&file, cell.experiment(1).to_string())?;
        command.arg(file);
    }
    sh::quiet_output(&mut command, LIMIT)?;
    Ok(cells.len())
}

/// Returns a cell that takes a second or two.
fn small() -> Cell {
    Cell {
        name: "small".to_owned(),
        what: "a small net on few images".to_owned(),
        published: Published { figure: Some(50.0), deviation: None, measure: Measure::Last },
        task: json!({
            "kind": "federated",
            "network": "McMahan2NN",
            "dataset": "fashion-mnist-mini",
            "train": { "optimizer": { "type": "SGD", "learning_rate": 0.03 } },
            "federated": { "clients": 4, "clients_per_round": 4, "rounds": 8, "epochs_per_round": 2 },
        }),
        seeds: 1,
        core_seconds_per_round: 0.5,
        differs: None,
    }
}

/// Returns the record of the run of `job`, without the time that it took.
fn result(runner: &Runner, job: &Job<'_>) -> anyhow::Result<Record> {
    let record = runner.run(job, &mut Pace::new(job.cell.core_seconds()))?;
    ensure!(record.accuracies.len() == 9 && record.last() > 0.5, "the accuracies of the small cell are {:?}", record.accuracies);
    Ok(Record { train_seconds: 0.0, ..record })
}

fn kill_after_two_checkpoints(runner: &Runner, job: &Job<'_>) -> anyhow::Result<()> {
    let mut child = sh::start(&mut runner.command(job)?)?;
    let deadline = Instant::now() + LIMIT;
    let seen = loop {
        let saved = num_checkpoints(&runner.runs(job));
        if saved >= 2 {
            break Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("the run ended ({status}) before it could be killed");
        }
        if Instant::now() >= deadline {
            break Err(anyhow::anyhow!("there were no two checkpoints in {} s", LIMIT.as_secs()));
        }
        thread::sleep(POLL);
    };
    // In any case, the process must not outlive the wait.
    child.kill().context("it can't be killed")?;
    child.wait()?;
    seen
}

fn num_checkpoints(runs: &Path) -> usize {
    let Ok(entries) = fs::read_dir(runs) else { return 0 };
    let journals = entries.flatten().filter_map(|run| fs::read_to_string(run.path().join("journal.jsonl")).ok());
    journals.map(|journal| journal.matches("checkpoint_saved").count()).sum()
}
