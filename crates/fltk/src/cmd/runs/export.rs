//! `fltk runs export [RUN...]`.

use std::{
    io,
    path::{Path, PathBuf},
};

use fltk_records::{RunFolder, RunRef, export};

use super::{open, open_all};
use crate::{
    cli::ExportFormat,
    exit::{Exit, OrExit as _},
};

/// Prints every round or epoch of `named` as one table; when empty, of all runs below `root`, where a damaged one is skipped with a warning.
///
/// # Errors
/// If a named run's folder is missing or damaged, or standard output is closed.
pub fn run(format: ExportFormat, root: &Path, named: &[PathBuf]) -> anyhow::Result<()> {
    let runs = if named.is_empty() { open_sound(root)? } else { open_all(root, named)? };
    let rows = export::rows(&runs);
    let mut out = io::stdout().lock();
    match format {
        ExportFormat::Csv => export::write_csv(&rows, &mut out)?,
        ExportFormat::Json => export::write_json(&rows, &mut out)?,
    }
    Ok(())
}

fn open_sound(root: &Path) -> anyhow::Result<Vec<RunRef>> {
    let mut runs = Vec::new();
    for path in RunFolder::list(root).or_exit(Exit::Records)? {
        match open(root, &path) {
            Ok(run) => runs.push(run),
            Err(problem) => anstream::eprintln!("warning: `{}` is skipped: {problem}", path.display()),
        }
    }
    Ok(runs)
}
