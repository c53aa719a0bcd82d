//! `fltk runs export [RUN...]`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
#[cfg(feature = "web")]
use std::{
    io::{Read as _, Write as _},
    sync::{Arc, atomic::Ordering},
};

#[cfg(feature = "web")]
use anyhow::Context as _;
use fltk_records::{RunFolder, RunRef, export};

use super::{open, open_all};
#[cfg(feature = "web")]
use crate::{
    cli::ThroughArgs,
    cmd::elsewhere::{self, interrupt},
};
use crate::{
    cli::{Cli, ExportFormat, Output},
    exit::{Exit, OrExit as _, failure},
    output,
    pace::Unit,
    work::Work,
};

/// The size of the copy buffer, in bytes.
#[cfg(feature = "web")]
const PIECE: usize = 64 << 10;

/// Returns the format that was asked for: `--output json`, as all commands have it, is `--format json`.
///
/// # Errors
/// If both are given, and differ.
pub fn asked(cli: &Cli, format: Option<ExportFormat>) -> anyhow::Result<ExportFormat> {
    match (cli.output, format) {
        (Output::Json, Some(ExportFormat::Csv)) => {
            Err(failure(Exit::CommandLine, "`--format csv` and `--output json` differ\nhint: leave out one of them"))
        }
        (Output::Json, _) => Ok(ExportFormat::Json),
        (Output::Text, format) => Ok(format.unwrap_or(ExportFormat::Csv)),
    }
}

/// Prints every round or epoch of the runs `named` as one table, or with `clients` every test of a client; if empty, of all runs in `root`, skipping a
/// damaged one with a warning.
///
/// # Errors
/// If a named run's folder is missing or damaged, or standard output is closed.
pub fn run(format: ExportFormat, clients: bool, root: &Path, named: &[PathBuf]) -> anyhow::Result<()> {
    let mut out = output::stream();
    // The first run without rows and the number of such runs, by the reason.
    let mut without: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    let mut write = |runs: &mut dyn Iterator<Item = RunRef>| match clients {
        true => {
            let mut noted = runs.inspect(|run| {
                if let Some(reason) = without_clients(run) {
                    without.entry(reason).or_insert_with(|| (run.folder.name(), 0)).1 += 1;
                }
            });
            export::write_clients(self::format(format), &mut (&mut noted).map(Ok), &mut out)
        }
        false => export::write(self::format(format), &mut runs.map(Ok), &mut out),
    };
    if named.is_empty() {
        let paths = RunFolder::list(root).or_exit(Exit::Records)?;
        // A bar would be drawn into the table.
        let work = (!output::is_terminal()).then(|| Work::begin("reading the runs", Unit::Named("run"), Some(paths.len() as u64)));
        let read = paths.iter().inspect(|_| work.iter().for_each(|work| work.add(1)));
        write(&mut read.filter_map(|path| open_sound(root, path)))?;
    } else {
        write(&mut open_all(root, named)?.into_iter())?;
    }
    for (reason, (first, count)) in without {
        match count {
            1 => tracing::warn!("`{first}` has no rows: {reason}"),
            _ => tracing::warn!("`{first}` and {} have no rows: {reason}", output::counted(count - 1, "other run")),
        }
    }
    Ok(())
}

/// Returns the reason why nothing is recorded of each client of a run; `None` if something is.
fn without_clients(run: &RunRef) -> Option<&'static str> {
    let settings = &run.folder.description().hyperparameters;
    if !run.history.client_tests().is_empty() {
        None
    } else if run.history.rows().any(|row| row.client_test.is_some()) {
        Some("`client_figures: []` lets nothing be recorded of each client that was tested")
    } else if settings.0.contains_key("federated.client_test_fraction") {
        Some("no client was tested so far")
    } else {
        Some("no client has test samples of its own (`client_test_fraction`)")
    }
}

fn open_sound(root: &Path, path: &Path) -> Option<RunRef> {
    open(root, path).inspect_err(|problem| tracing::warn!("`{}` is skipped: {problem:#}", path.display())).ok()
}

/// Prints the same table for runs that are elsewhere.
///
/// # Errors
/// If they can't be fetched, or standard output is closed.
#[cfg(feature = "web")]
pub fn from(format: ExportFormat, from: &str, through: &ThroughArgs, named: &[PathBuf]) -> anyhow::Result<()> {
    let name = |path: &PathBuf| path.to_str().map(str::to_owned).context("a run elsewhere is named by its folder's name, which is text");
    let named = named.iter().map(name).collect::<anyhow::Result<Vec<_>>>()?;
    elsewhere::through(from, through, |client, stop| {
        let client = Arc::clone(client);
        let export = interrupt::answer(stop, move || client.export(self::format(format), &named))?;
        if export.num_skipped > 0 {
            tracing::warn!("{} skipped as damaged: {}", export.num_skipped, export.skipped.join(", "));
        }
        // A bar would be drawn into the table.
        let work = (!output::is_terminal()).then(|| Work::begin("fetching the table", Unit::Bytes, None));
        let mut body = interrupt::body(export.body, Arc::clone(stop));
        let mut out = output::stream();
        let mut piece = vec![0; PIECE];
        loop {
            match body.read(&mut piece) {
                Ok(0) => return Ok(out.flush()?),
                Ok(read) => {
                    out.write_all(&piece[..read])?;
                    work.iter().for_each(|work| work.add(read as u64));
                }
                Err(_) if stop.load(Ordering::Relaxed) => return Err(failure(Exit::Interrupted, "interrupted: the table is incomplete")),
                Err(error) => return Err(error).context("the table is truncated").or_exit(Exit::Records),
            }
        }
    })
}

/// Returns the library's value for `format`.
pub fn format(format: ExportFormat) -> export::Format {
    match format {
        ExportFormat::Csv => export::Format::Csv,
        ExportFormat::Json => export::Format::Json,
    }
}
