//! `fltk validate FILE...`: reports all errors of experiment files at once.

use std::path::Path;

use fltk_experiment::{FileKind, Override, Report, Severity, SourceFile, file_kind};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cli::{Cli, Output, ValidateArgs},
    exit::{Exit, OrExit as _, failure},
    inputs, named_files, output,
};

#[derive(Serialize)]
struct Checked {
    file: String,
    valid: bool,
    problems: Value,
}

/// Checks every file; a KFLTK arrival file is checked together with the cluster file, if one is given.
///
/// # Errors
/// If a file can't be read or is wrong; the other files are still checked.
pub fn run(cli: &Cli, args: &ValidateArgs) -> anyhow::Result<()> {
    let overrides = args.overrides.iter().map(|text| text.parse::<Override>()).collect::<Result<Vec<_>, _>>().or_exit(Exit::Experiment)?;
    let sources: Vec<_> = args.files.iter().map(|path| (path, inputs::read_source(path))).collect();
    let of_kind = |kind| sources.iter().filter_map(|(_, read)| read.as_ref().ok()).find(|source| file_kind(source) == kind);
    let (cluster, arrival) = (of_kind(FileKind::Cluster), of_kind(FileKind::Arrival));
    let is_experiment = |source: &SourceFile| matches!(file_kind(source), FileKind::Experiment | FileKind::Arrival);
    if !overrides.is_empty() && !sources.iter().any(|(_, read)| read.as_ref().is_ok_and(is_experiment)) {
        let message =
            "`--set` replaces a value of an experiment, and none of the files is one\nhint: give the arrival file with its cluster file";
        return Err(failure(Exit::Experiment, message.to_owned()));
    }
    let mut checked = Vec::new();
    for (path, read) in &sources {
        let source = match read {
            Ok(source) => source,
            Err(error) => {
                checked.push(unreadable(cli, path, error)?);
                continue;
            }
        };
        let outcome = match file_kind(source) {
            FileKind::Cluster => check_cluster(source, arrival, &overrides),
            _ => check(source, &inputs::base_folder(std::slice::from_ref(path)), cluster, &overrides),
        };
        let (valid, report) = match outcome {
            Ok(warnings) => (true, warnings),
            Err(report) => (false, report),
        };
        if cli.output == Output::Text {
            if output::report(&report) {
                output::gap();
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
        refused => Err(failure(Exit::Experiment, format!("{refused} of {} refused", output::counted(checked.len(), "file")))),
    }
}

fn unreadable(cli: &Cli, path: &Path, error: &anyhow::Error) -> anyhow::Result<Checked> {
    let file = path.display().to_string();
    if cli.output == Output::Text {
        output::error(error);
        output::text(&format!("{file}: refused"))?;
    }
    let problems = json!([{ "severity": "error", "message": format!("{error:#}"), "at": null, "labels": [], "hint": null, "also": [] }]);
    Ok(Checked { file, valid: false, problems })
}

/// Checks a cluster file: settings that it lacks, such as seeds, may come from an arrival file that is given with it.
fn check_cluster(source: &SourceFile, arrival: Option<&SourceFile>, overrides: &[Override]) -> Result<Report, Report> {
    let alone = fltk_experiment::parse_cluster(source, crate::catalogues()).map(|parsed| parsed.warnings);
    let (Some(arrival), Err(mut report)) = (arrival, alone.clone()) else { return alone };
    let together = fltk_experiment::parse(&[arrival.clone(), source.clone()], overrides, crate::catalogues())
        .map_or_else(|report| report, |parsed| parsed.warnings);
    report
        .problems
        .retain(|problem| problem.severity != Severity::Error || together.problems.iter().any(|other| other.message == problem.message));
    if report.has_errors() { Err(report) } else { Ok(report) }
}

/// Returns the warnings of a correct file, or the report of a wrong one. Paths in it are relative to `base`.
fn check(source: &SourceFile, base: &Path, cluster: Option<&SourceFile>, overrides: &[Override]) -> Result<Report, Report> {
    #[cfg(feature = "cluster")]
    if file_kind(source) == FileKind::Kubernetes {
        return fltk_kubernetes::config::KubernetesConfig::parse(source).map(|(_, warnings)| warnings);
    }
    let Some(cluster) = cluster.filter(|_| file_kind(source) == FileKind::Arrival) else {
        return fltk_experiment::parse(std::slice::from_ref(source), overrides, crate::catalogues())
            .and_then(|parsed| named_files::check(parsed, base))
            .map(|parsed| parsed.warnings);
    };
    // Warnings about the cluster file itself are reported for that file.
    let said = check_cluster(cluster, None, &[]).unwrap_or_else(|report| report).problems;
    let without_said = |mut report: Report| {
        report.problems.retain(|problem| {
            let of_cluster = problem.severity != Severity::Error && problem.span.is_some_and(|span| span.source == 1);
            !(of_cluster && said.iter().any(|said| said.message == problem.message))
        });
        report
    };
    fltk_experiment::parse(&[source.clone(), cluster.clone()], overrides, crate::catalogues())
        .and_then(|parsed| named_files::check(parsed, base))
        .map(|parsed| without_said(parsed.warnings))
        .map_err(without_said)
}
