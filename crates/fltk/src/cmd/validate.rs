//! `fltk validate FILE...`: everything that is wrong with experiment files, at once.

use fltk_core::experiment::{self, FileKind, Report, SourceFile, file_kind};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::{Cli, Output, ValidateArgs},
    exit::{Exit, failure},
    inputs, output,
};

#[derive(Serialize)]
struct Checked {
    file: String,
    valid: bool,
    problems: Value,
}

/// Checks every file; a KFLTK arrival file together with the cluster file, where one is given.
///
/// # Errors
/// If a file can't be read or is wrong.
pub fn run(cli: &Cli, args: &ValidateArgs) -> anyhow::Result<()> {
    let sources = args.files.iter().map(|path| inputs::read_source(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let cluster = sources.iter().find(|source| file_kind(source) == FileKind::Cluster);
    let mut checked = Vec::new();
    for source in &sources {
        let outcome = check(source, cluster);
        let (valid, report) = match outcome {
            Ok(warnings) => (true, warnings),
            Err(report) => (false, report),
        };
        if cli.output == Output::Text {
            if !report.is_empty() {
                anstream::eprintln!("{}\n", report.render(output::color_stderr()));
            }
            output::text(&format!("{}: {}", source.name, if valid { "valid" } else { "refused" }))?;
        }
        checked.push(Checked { file: source.name.clone(), valid, problems: report.to_json() });
    }
    if cli.output == Output::Json {
        output::json(&checked)?;
    }
    match checked.iter().filter(|file| !file.valid).count() {
        0 => Ok(()),
        refused => Err(failure(Exit::Experiment, format!("{refused} of {} files are refused", checked.len()))),
    }
}

/// Warnings, or what is wrong.
fn check(source: &SourceFile, cluster: Option<&SourceFile>) -> Result<Report, Report> {
    if file_kind(source) == FileKind::Cluster {
        return experiment::parse_cluster(source).map(|parsed| parsed.warnings);
    }
    let mut sources = vec![source.clone()];
    if file_kind(source) == FileKind::Arrival {
        sources.extend(cluster.cloned());
    }
    experiment::parse(&sources, &[]).map(|parsed| parsed.warnings)
}
