//! `cargo xtask reproduce`: runs the experiments of published tables, and writes their figures beside ours into `docs/reproduction.md`.
//!
//! A cell is run once per seed. What it gave is a small record in `docs/reproduction/`, which is committed, so that another checkout goes on where this one
//! stopped. A run that was interrupted goes on from its last checkpoint, in the user's cache. These are measurements, not tests: a figure that differs from
//! the published one is no error.

pub mod cell;
mod journal;
mod list;
pub mod order;
pub mod pace;
mod page;
pub mod record;
pub mod runner;
mod summary;
pub mod tables;

use std::{num::NonZeroUsize, path::PathBuf};

use anyhow::bail;
use clap::Args;

use self::{
    cell::{Cell, Table},
    pace::Pace,
    record::{RECORDS, Records},
    runner::Runner,
};
use crate::{bench::Output, checkout::Checkout, setup::libtorch};

/// The command line.
#[derive(Args)]
pub struct Arguments {
    /// The cell to run, or the beginning of the names of several (default: all).
    name: Option<String>,
    /// The number of seeds of each cell, counted from 1 (default: as the table says).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    seeds: Option<u32>,
    /// List the cells, with their published figures, ours, the seeds that were run, and the time for the others. Runs nothing.
    #[arg(long)]
    list: bool,
    /// Only write docs/reproduction.md anew from the records.
    #[arg(long, conflicts_with = "list")]
    page: bool,
    /// The program `fltk` to run, with `fltk-torch` beside it (default: that of this checkout, which is built).
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// The number of clients trained concurrently (default: one per core). It affects the time taken, not the results.
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// The format of standard output.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Runs what isn't done, unless only the list or the page is wanted.
///
/// # Errors
/// If no cell has that name, a record can't be read or written, or a run fails.
pub fn run(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<()> {
    let tables = tables::all();
    let cells = chosen(&tables, arguments.name.as_deref())?;
    let mut records = Records::read(&checkout.root.join(RECORDS))?;
    if arguments.page {
        return page::write(&checkout.root, &tables, &records);
    }
    let outcome = if arguments.list { Ok(()) } else { run_all(checkout, arguments, &tables, &cells, &mut records) };
    list::print(&cells, &records, arguments.seeds, arguments.output)?;
    outcome
}

fn run_all(checkout: &Checkout, arguments: &Arguments, tables: &[Table], cells: &[&Cell], records: &mut Records) -> anyhow::Result<()> {
    let jobs = order::jobs(cells, records, arguments.seeds);
    page::write(&checkout.root, tables, records)?;
    if jobs.is_empty() {
        eprintln!("nothing is left to run");
        return Ok(());
    }
    let program = match &arguments.program {
        Some(program) => program.canonicalize()?,
        None => checkout.build(&libtorch::ensure(checkout)?, &["--release"])?,
    };
    let runner = Runner { program, folder: checkout.cache.join("reproduction"), workers: arguments.workers };
    let mut pace = Pace::new(jobs.iter().map(|job| job.cell.core_seconds()).sum());
    let mut failed = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        eprintln!("{job}: {} of {} runs", index + 1, jobs.len());
        // A run that fails says nothing about the others, which may take hours.
        match runner.run(job, &mut pace) {
            Ok(record) => {
                eprintln!("{job}: {}", record.told());
                records.add(record)?;
                page::write(&checkout.root, tables, records)?;
            }
            Err(error) => {
                eprintln!("error: {job}: {error:#}");
                failed.push(job.to_string());
            }
        }
    }
    if !failed.is_empty() {
        bail!("{} of {} runs failed: {}", failed.len(), jobs.len(), failed.join("; "));
    }
    Ok(())
}

/// Returns the cell of that name, or those whose names begin with it; all of them without a name.
fn chosen<'a>(tables: &'a [Table], name: Option<&str>) -> anyhow::Result<Vec<&'a Cell>> {
    let all: Vec<&Cell> = tables.iter().flat_map(|table| &table.cells).collect();
    let Some(name) = name else { return Ok(all) };
    if let Some(cell) = all.iter().find(|cell| cell.name == name) {
        return Ok(vec![cell]);
    }
    let cells: Vec<&Cell> = all.iter().copied().filter(|cell| cell.name.starts_with(name)).collect();
    if cells.is_empty() {
        bail!("there is no cell `{name}`\nhint: `cargo xtask reproduce --list` lists them");
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_chosen_by_name_or_beginning() {
        let tables = tables::all();
        let number = |name| chosen(&tables, name).map(|cells| cells.len());
        assert_eq!(number(None).unwrap(), tables.iter().map(|table| table.cells.len()).sum::<usize>());
        assert_eq!(number(Some("niid-fashion-dirichlet-fedavg")).unwrap(), 1);
        assert_eq!(number(Some("niid-fashion-dirichlet")).unwrap(), 4);
        assert!(number(Some("dirichlet")).unwrap_err().to_string().contains("--list"));
    }
}
