//! `fltk runs ...`: one module for each subcommand.

mod compare;
mod export;
mod jobs;
mod list;
mod show;

use std::path::{Path, PathBuf};

use fltk_records::{RunFolder, RunRef};

use crate::{
    cli::{Cli, RunsCommand},
    exit::{Exit, OrExit as _},
};

/// Runs the subcommand `command`.
///
/// # Errors
/// If a run's folder is missing or damaged, or standard output is closed.
pub fn run(cli: &Cli, command: &RunsCommand) -> anyhow::Result<()> {
    match command {
        RunsCommand::List(args) => list::run(cli, args),
        RunsCommand::Show { run, runs } => show::run(cli, &open(&runs.runs, run)?),
        RunsCommand::Compare { run, runs } => compare::run(cli, &open_all(&runs.runs, run)?),
        RunsCommand::Jobs { stream, format, runs } => jobs::run(cli, &runs.runs, stream.as_ref(), *format),
        #[cfg(feature = "web")]
        RunsCommand::Export { run, format, from: Some(from), through, .. } => export::from(*format, from, through, run),
        RunsCommand::Export { run, format, clients, runs, .. } => export::run(*format, *clients, &runs.runs, run),
    }
}

fn open(root: &Path, named: &Path) -> anyhow::Result<RunRef> {
    RunFolder::find(root, named).and_then(RunFolder::read).or_exit(Exit::Records)
}

fn open_all(root: &Path, named: &[PathBuf]) -> anyhow::Result<Vec<RunRef>> {
    named.iter().map(|named| open(root, named)).collect()
}

/// Formats a metric for a table.
fn number(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"))
}
