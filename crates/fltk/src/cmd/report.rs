//! `fltk report RUN...`: runs, or the runs of a stream, as a document.

mod markdown;

use std::path::{Path, PathBuf};

use fltk_records::{RunDescription, RunFolder, RunRef, StreamFolder, compare::compare, methods, stream_folder::derived::JobRow};

use self::markdown::Content;
use super::runs;
use crate::{
    catalogues,
    cli::{ReportArgs, ReportFormat},
    exit::{Exit, OrExit as _, failure},
    jobs, output,
};

/// Writes the report.
///
/// # Errors
/// If a record is missing or damaged, the file is there already, or it can't be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    if let Some(out) = args.out.as_deref().filter(|out| out.symlink_metadata().is_ok() && !args.force) {
        let message = format!("`{}` is there already\nhint: `--force` replaces it", out.display());
        return Err(failure(Exit::General, message));
    }
    let Found { runs, jobs } = find(&args.runs.runs, &args.named)?;
    let descriptions: Vec<RunDescription> = runs.iter().map(|run| run.folder.description().clone()).collect();
    let (comparison, methods) = (compare(&runs), methods::of(&descriptions, catalogues()));
    let content =
        Content { title: args.title.as_deref(), descriptions: &descriptions, comparison: &comparison, methods: &methods, jobs: &jobs };
    let text = match args.format {
        ReportFormat::Md => markdown::markdown(&content),
    };
    match &args.out {
        Some(out) => output::write_file(out, text.as_bytes()),
        None => output::data(&text),
    }
}

/// The runs and jobs of a report.
struct Found {
    /// Each once, in the order in which they were named.
    runs: Vec<RunRef>,
    jobs: Vec<JobRow>,
}

fn find(root: &Path, named: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found { runs: Vec::new(), jobs: Vec::new() };
    for named in named {
        let stream = if RunFolder::find(root, named).is_ok() { None } else { StreamFolder::find(root, named).ok() };
        let Some(stream) = stream else {
            found.runs.extend(runs::open_all(root, std::slice::from_ref(named))?);
            continue;
        };
        let rows = jobs::read(stream)?;
        for run in rows.iter().filter_map(|row| row.run.as_ref()) {
            found.runs.push(RunFolder::open(run).and_then(|folder| folder.read()).or_exit(Exit::Records)?);
        }
        found.jobs.extend(rows);
    }
    let mut paths = std::collections::BTreeSet::new();
    found.runs.retain(|run| paths.insert(run.folder.path().canonicalize().unwrap_or_else(|_| run.folder.path().to_owned())));
    Ok(found)
}
