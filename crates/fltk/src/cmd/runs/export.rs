//! `fltk runs export [RUN...]`.

use std::{
    io,
    path::{Path, PathBuf},
};

use fltk_records::{RunFolder, export};

use super::open_all;
use crate::{
    cli::ExportFormat,
    exit::{Exit, OrExit as _},
};

/// Prints every round or epoch of `named` (all runs below `root` when empty) as one table.
///
/// # Errors
/// If a run's folder is missing or damaged, or standard output is closed.
pub fn run(format: ExportFormat, root: &Path, named: &[PathBuf]) -> anyhow::Result<()> {
    let named = if named.is_empty() { RunFolder::list(root).or_exit(Exit::Records)? } else { named.to_vec() };
    let rows = export::rows(&open_all(root, &named)?);
    let mut out = io::stdout().lock();
    match format {
        ExportFormat::Csv => export::write_csv(&rows, &mut out)?,
        ExportFormat::Json => export::write_json(&rows, &mut out)?,
    }
    Ok(())
}
