//! A report as one HTML file: the page of `fltk serve` (`fltk_web::page`), which carries the answers of the API that it shows.

use anyhow::bail;
use fltk_records::{
    RunRef, StreamFolder,
    compare::Comparison,
    methods::Methods,
    summary::{RunReport, RunSummary},
};
use fltk_web::{
    answers::Clients,
    page::{self, paths},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    exit::{Exit, OrExit as _},
    jobs,
};

/// The content of a report.
pub struct Content<'a> {
    /// The title.
    pub title: &'a str,
    /// The runs.
    pub runs: &'a [RunRef],
    /// The same runs, compared.
    pub comparison: &'a Comparison,
    /// The experimental setup of the runs.
    pub methods: &'a Methods,
    /// The streams that were named.
    pub streams: &'a [StreamFolder],
    /// The time at which the report is made.
    pub made_at: Timestamp,
}

/// Returns the report.
///
/// # Errors
/// If a record is damaged, or two runs or streams have the same name, under which a reader would find only one.
pub fn html(content: &Content<'_>) -> anyhow::Result<String> {
    let mut answers = Map::new();
    let mut add = |path: String, answer: Value| match answers.insert(path.clone(), answer) {
        Some(_) => bail!("two of the named folders are called `{path}`\nhint: name one of them, or rename its copy"),
        None => Ok(()),
    };
    let summaries: Vec<RunSummary> = content.runs.iter().map(RunSummary::of).collect();
    let names: Vec<String> = content.streams.iter().map(name_of).collect();
    add(
        "report".to_owned(),
        json!({
            "title": content.title,
            "fltk_version": env!("CARGO_PKG_VERSION"),
            "made_at": content.made_at,
            "runs": summaries,
            "streams": names,
        }),
    )?;
    add("methods".to_owned(), serde_json::to_value(content.methods)?)?;
    for (run, summary) in content.runs.iter().zip(&summaries) {
        let mut report = serde_json::to_value(RunReport::of(run).or_exit(Exit::Records)?)?;
        keep_last_confusion(&mut report);
        add(paths::clients(&summary.run), serde_json::to_value(Clients::of(&run.history))?)?;
        add(paths::run(&summary.run), report)?;
    }
    if content.runs.len() > 1 {
        add(paths::compare(summaries.iter().map(|run| run.run.as_str())), serde_json::to_value(content.comparison)?)?;
    }
    for (stream, name) in content.streams.iter().zip(&names) {
        add(paths::timeline(name), serde_json::to_value(jobs::timeline(stream.clone())?)?)?;
    }
    Ok(page::report(content.title, &answers))
}

fn name_of(stream: &StreamFolder) -> String {
    stream.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Removes the confusion matrices of all evaluations but the last, which is the one that is shown.
fn keep_last_confusion(report: &mut Value) {
    let Some(rows) = report["rows"].as_array_mut() else { return };
    let tests = rows
        .iter_mut()
        .rev()
        .filter_map(|row| row["test"].as_object_mut())
        .filter(|test| test.get("confusion").is_some_and(|matrix| !matrix.is_null()));
    for test in tests.skip(1) {
        test.remove("confusion");
    }
}
