//! `fltk runs jobs [STREAM]`: what became of the jobs of a stream.

use std::path::{Path, PathBuf};

use fltk_cluster::StreamEvent;
use fltk_records::StreamFolder;
use serde::Serialize;

use crate::{
    cli::{Cli, JobsFormat, Output},
    exit::{Exit, OrExit as _},
    jobs, output,
    stream::Begun,
};

/// Prints the jobs of `stream`, or the streams in `root`.
///
/// # Errors
/// If the stream is missing or damaged.
pub fn run(cli: &Cli, root: &Path, stream: Option<&PathBuf>, format: JobsFormat) -> anyhow::Result<()> {
    let Some(named) = stream else { return list(cli, root) };
    let begun = Begun::open(StreamFolder::find(root, named).or_exit(Exit::Records)?)?;
    let replay = begun.folder.replay::<StreamEvent>().or_exit(Exit::Records)?;
    let orchestrator = begun.look(&replay.entries)?;
    let rows = jobs::rows(&orchestrator, &begun.folder);
    match (cli.output, format) {
        (Output::Text, JobsFormat::Csv) => output::text(&jobs::csv(&rows)),
        (Output::Json, _) | (Output::Text, JobsFormat::Table) => jobs::print(cli, &rows),
    }
}

#[derive(Serialize)]
struct Listed {
    stream: String,
    experiment: String,
    started_at: jiff::Timestamp,
    is_orchestrated: bool,
}

fn list(cli: &Cli, root: &Path) -> anyhow::Result<()> {
    let mut listed = Vec::new();
    for path in StreamFolder::list(root).or_exit(Exit::Records)? {
        match StreamFolder::open(path) {
            Ok(folder) => listed.push(Listed {
                stream: folder.description().run.clone(),
                experiment: folder.description().experiment.clone(),
                started_at: folder.description().started_at,
                is_orchestrated: folder.is_taken(),
            }),
            Err(error) => anstream::eprintln!("warning: {error}"),
        }
    }
    if cli.output == Output::Json {
        return output::json(&listed);
    }
    if listed.is_empty() {
        anstream::eprintln!("there are no streams in `{}`", root.display());
        return Ok(());
    }
    let mut table = output::table(&["stream", "experiment", "started", "orchestrator"], &[]);
    for stream in listed {
        let works = if stream.is_orchestrated { "works" } else { "-" };
        table.add_row([stream.stream, stream.experiment, stream.started_at.strftime("%F %T").to_string(), works.to_owned()]);
    }
    output::text(&table.to_string())
}
