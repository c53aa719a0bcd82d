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
    let mut out = io::stdout().lock();
    if named.is_empty() {
        let paths = RunFolder::list(root).or_exit(Exit::Records)?;
        let sound = paths.iter().filter_map(|path| open_sound(root, path)).map(Ok);
        export::write(self::format(format), sound, &mut out)?;
    } else {
        export::write(self::format(format), open_all(root, named)?.into_iter().map(Ok), &mut out)?;
    }
    Ok(())
}

fn open_sound(root: &Path, path: &Path) -> Option<RunRef> {
    open(root, path).inspect_err(|problem| anstream::eprintln!("warning: `{}` is skipped: {problem:#}", path.display())).ok()
}

/// As the library calls it.
pub fn format(format: ExportFormat) -> export::Format {
    match format {
        ExportFormat::Csv => export::Format::Csv,
        ExportFormat::Json => export::Format::Json,
    }
}
