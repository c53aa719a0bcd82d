//! `fltk runs ...`: one module for each subcommand.

pub(super) mod compare;
mod export;
mod jobs;
mod list;
mod nodes;
mod show;

use std::path::{Path, PathBuf};

use fltk_records::{RunError, RunFolder, RunRef, StreamFolder, named};

use crate::{
    cli::{Cli, RunsCommand},
    exit::{Exit, OrExit as _, failure},
    output,
    pace::Unit,
    work::Work,
};

/// Runs the subcommand `command`.
///
/// # Errors
/// If a run's folder is missing or damaged, or standard output is closed.
pub fn run(cli: &Cli, command: &RunsCommand) -> anyhow::Result<()> {
    match command {
        RunsCommand::List(args) => list::run(cli, args),
        RunsCommand::Show { run, runs } => show::run(cli, &open(&runs.runs, run)?),
        RunsCommand::Nodes { run, runs } => nodes::run(cli, &open(&runs.runs, run)?),
        RunsCommand::Compare { run, runs } => compare::run(cli, &open_all(&runs.runs, run)?),
        RunsCommand::Jobs { stream, format, runs } => jobs::run(cli, &runs.runs, stream.as_ref(), *format),
        #[cfg(feature = "web")]
        RunsCommand::Export { run, format, from: Some(from), through, .. } => {
            export::from(export::asked(cli, *format)?, from, through, run)
        }
        RunsCommand::Export { run, format, clients, runs, .. } => export::run(export::asked(cli, *format)?, *clients, &runs.runs, run),
    }
}

/// The limit on runs that an error lists.
const LISTED_MAX: usize = 10;

fn open(root: &Path, named: &Path) -> anyhow::Result<RunRef> {
    let _work = Work::wait(format!("reading `{}`", named.display()));
    one(root, named)?.read().or_exit(Exit::Records)
}

/// Returns the folder of the run that a person named in one of the ways in which commands take it.
///
/// # Errors
/// If there is none, or there are several.
pub fn one(root: &Path, named: &Path) -> anyhow::Result<RunFolder> {
    match <[RunFolder; 1]>::try_from(find(root, named)?) {
        Ok([run]) => Ok(run),
        Err(several) => {
            let names: Vec<String> = several.iter().take(LISTED_MAX).map(|run| format!("`{}`", run.name())).collect();
            let more = if several.len() > names.len() { ", ..." } else { "" };
            let message = format!("{} were started as `{}`", output::counted(several.len(), "run"), named.display());
            Err(failure(Exit::Records, format!("{message}\nhint: name one of them: {}{more}", names.join(", "))))
        }
    }
}

/// Returns the runs that a person named, each by its folder, the folder's name or the name that it was started with.
///
/// # Errors
/// If one isn't there, or is damaged.
pub(super) fn open_all(root: &Path, named: &[PathBuf]) -> anyhow::Result<Vec<RunRef>> {
    let found = named.iter().map(|named| find(root, named)).collect::<anyhow::Result<Vec<_>>>()?;
    let found: Vec<RunFolder> = found.into_iter().flatten().collect();
    let work = Work::begin("reading the runs", Unit::Named("run"), Some(found.len() as u64));
    found.into_iter().inspect(|_| work.add(1)).map(|run| run.read().or_exit(Exit::Records)).collect()
}

/// Returns the run that a person named by its folder or the folder's name, or else the runs that were started by that name (`--id`): at least one.
fn find(root: &Path, named: &Path) -> anyhow::Result<Vec<RunFolder>> {
    match (RunFolder::find(root, named), named.to_str()) {
        (Err(error @ RunError::NotARun { .. }), Some(name)) => match named::started_as(root, name).or_exit(Exit::Records)? {
            runs if !runs.is_empty() => Ok(runs),
            _ if StreamFolder::find(root, named).is_ok() => {
                Err(failure(Exit::Records, format!("`{name}` is a stream, not a run\nhint: `fltk runs jobs {name}` lists its jobs")))
            }
            _ => Err(error).or_exit(Exit::Records),
        },
        (found, _) => Ok(vec![found.or_exit(Exit::Records)?]),
    }
}

/// Formats a metric for a table.
pub(super) fn number(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"))
}
