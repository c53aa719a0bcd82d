//! `fltk runs jobs [STREAM]`: the states and results of the jobs of a stream.

use std::path::{Path, PathBuf};

use fltk_records::{StreamFolder, stream_folder::StreamListing};

use crate::{
    cli::{Cli, JobsFormat, Output},
    exit::{Exit, OrExit as _},
    jobs, output,
};

/// Prints the jobs of `stream`, or the streams in `root`.
///
/// # Errors
/// If the stream is missing or damaged.
pub fn run(cli: &Cli, root: &Path, stream: Option<&PathBuf>, format: JobsFormat) -> anyhow::Result<()> {
    let Some(named) = stream else { return list(cli, root) };
    let rows = jobs::read(StreamFolder::find(root, named).or_exit(Exit::Records)?)?;
    match (cli.output, format) {
        (Output::Text, JobsFormat::Csv) => output::data(&jobs::csv(&rows)),
        (Output::Json, _) | (Output::Text, JobsFormat::Table) => jobs::print(cli, &rows),
    }
}

fn list(cli: &Cli, root: &Path) -> anyhow::Result<()> {
    let StreamListing { streams, skipped } = StreamListing::of(root).or_exit(Exit::Records)?;
    for (_, problem) in skipped {
        tracing::warn!("{problem}");
    }
    if cli.output == Output::Json {
        return output::json(&streams);
    }
    if streams.is_empty() {
        tracing::info!("there are no streams in `{}`", root.display());
        return Ok(());
    }
    let mut table = output::table(&["stream", "experiment", "started", "orchestrator"], &[]);
    for stream in streams {
        let works = if stream.is_orchestrated { "works" } else { "-" };
        table.add_row([stream.stream, stream.experiment, stream.started_at.strftime("%F %T").to_string(), works.to_owned()]);
    }
    output::text(&table.to_string())
}
