//! `fltk runs export [RUN...]`.

use std::{
    io,
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
use crate::{
    cli::ExportFormat,
    exit::{Exit, OrExit as _},
    output,
};
#[cfg(feature = "web")]
use crate::{
    cli::ThroughArgs,
    cmd::elsewhere::{self, interrupt},
    exit::failure,
};

/// The size of the copy buffer, in bytes.
#[cfg(feature = "web")]
const PIECE: usize = 64 << 10;

/// Prints every round or epoch of the runs `named` as one table, or with `clients` every test of a client; if empty, of all runs in `root`, skipping a
/// damaged one with a warning.
///
/// # Errors
/// If a named run's folder is missing or damaged, or standard output is closed.
pub fn run(format: ExportFormat, clients: bool, root: &Path, named: &[PathBuf]) -> anyhow::Result<()> {
    let mut out = output::stream();
    let mut write = |runs: &mut dyn Iterator<Item = io::Result<RunRef>>| match clients {
        true => export::write_clients(self::format(format), runs, &mut out),
        false => export::write(self::format(format), runs, &mut out),
    };
    if named.is_empty() {
        let paths = RunFolder::list(root).or_exit(Exit::Records)?;
        write(&mut paths.iter().filter_map(|path| open_sound(root, path)).map(Ok))?;
    } else {
        write(&mut open_all(root, named)?.into_iter().map(Ok))?;
    }
    Ok(())
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
        let mut body = interrupt::body(export.body, Arc::clone(stop));
        let mut out = output::stream();
        let mut piece = vec![0; PIECE];
        loop {
            match body.read(&mut piece) {
                Ok(0) => return Ok(out.flush()?),
                Ok(read) => out.write_all(&piece[..read])?,
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
