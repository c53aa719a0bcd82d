//! `fltk report RUN...`: runs, or the runs of a stream, as a document.

#[cfg(feature = "web")]
mod html;
mod markdown;

use std::path::{Path, PathBuf};

use fltk_records::{
    RunDescription, RunError, RunFolder, RunRef, StreamFolder, compare::compare, history::Status, methods, stream_folder::derived::JobRow,
};

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
    let format = format(args)?;
    let found = find(&args.runs.runs, &args.named)?;
    let Found { runs, jobs, .. } = &found;
    let descriptions: Vec<RunDescription> = runs.iter().map(|run| run.folder.description().clone()).collect();
    let comparison = compare(runs);
    // The setup is that of the runs whose figures are told; of all of them if none has any.
    let is_counted = |index: usize| {
        comparison.runs[index].status == Status::Finished && comparison.groups.iter().any(|group| group.runs.contains(&index))
    };
    let told: Vec<RunDescription> =
        descriptions.iter().enumerate().filter(|(index, _)| is_counted(*index)).map(|(_, of)| of.clone()).collect();
    let methods = methods::of(if told.is_empty() { &descriptions } else { &told }, catalogues());
    let content = Content { title: args.title.as_deref(), descriptions: &descriptions, comparison: &comparison, methods: &methods, jobs };
    let text = match format {
        #[cfg(feature = "web")]
        ReportFormat::Html => html::html(&html::Content {
            title: &markdown::title(&content),
            runs,
            comparison: &comparison,
            methods: &methods,
            streams: &found.streams,
            made_at: jiff::Timestamp::now(),
        })?,
        ReportFormat::Md => markdown::markdown(&content),
    };
    match &args.out {
        Some(out) => output::write_file(out, text.as_bytes()),
        None => output::data(&text),
    }
}

/// Returns the format that was asked for, or that the file's name says.
fn format(args: &ReportArgs) -> anyhow::Result<ReportFormat> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let ending = args.out.as_ref().map(|out| out.extension().unwrap_or_default().to_ascii_lowercase());
    match ending.as_ref().map(|ending| ending.to_str().unwrap_or_default()) {
        None | Some("md" | "markdown") => Ok(ReportFormat::Md),
        #[cfg(feature = "web")]
        Some("html" | "htm") => Ok(ReportFormat::Html),
        Some(_) => Err(failure(
            Exit::General,
            "the name of the file doesn't say in which format it is to be\nhint: `--format html` or `--format md`",
        )),
    }
}

/// The runs and jobs of a report, and the streams that were named.
struct Found {
    /// Each once, in the order in which they were named.
    runs: Vec<RunRef>,
    jobs: Vec<JobRow>,
    streams: Vec<StreamFolder>,
}

fn find(root: &Path, named: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found { runs: Vec::new(), jobs: Vec::new(), streams: Vec::new() };
    for named in named {
        let stream = match (RunFolder::find(root, named), StreamFolder::find(root, named)) {
            (Err(_), Ok(stream)) => stream,
            // A stream that is damaged, and not merely another kind of folder.
            (Err(RunError::NotARun { .. }), Err(error)) if !matches!(error, RunError::NotAStream { .. }) => {
                return Err(error).or_exit(Exit::Records);
            }
            _ => {
                found.runs.extend(runs::open_all(root, std::slice::from_ref(named))?);
                continue;
            }
        };
        found.streams.push(stream.clone());
        let rows = jobs::read(stream)?;
        for run in rows.iter().filter_map(|row| row.run.as_ref()) {
            match RunFolder::open(run).and_then(RunFolder::read) {
                Ok(run) => found.runs.push(run),
                // One that was removed, or is damaged, leaves the others.
                Err(problem) => tracing::warn!("the run of a job is left out: {problem}"),
            }
        }
        found.jobs.extend(rows);
    }
    let mut paths = std::collections::BTreeSet::new();
    found.runs.retain(|run| paths.insert(run.folder.path().canonicalize().unwrap_or_else(|_| run.folder.path().to_owned())));
    Ok(found)
}
