//! A report in Markdown, for a repository. Texts from elsewhere have no effect in it.

use std::{collections::BTreeMap, fmt::Write as _};

use fltk_records::{
    RunDescription,
    compare::{Comparison, MeanStd, Test},
    methods::{Methods, escaped},
    stream_folder::derived::JobRow,
};

use super::super::runs::{
    compare::{
        differences::{EXPLANATION, notes, probability, result, values},
        group_name, mean,
    },
    number,
};
use crate::{output::counted, spark};

/// The limit on rows of a table, since a page of more is read by nobody: `fltk runs export` has all.
const ROWS_MAX: usize = 200;
/// The number of characters of a curve.
const CURVE_CHARS_MAX: usize = 40;
/// The content of a report.
pub struct Content<'a> {
    /// The title; the names of the experiments if there is none.
    pub title: Option<&'a str>,
    /// The descriptions of the runs, in the order of the comparison's.
    pub descriptions: &'a [RunDescription],
    /// The runs, compared.
    pub comparison: &'a Comparison,
    /// The experimental setup of the runs.
    pub methods: &'a Methods,
    /// The jobs of the streams that were named; none if none was.
    pub jobs: &'a [JobRow],
}

/// Returns the report.
#[must_use]
pub fn markdown(content: &Content<'_>) -> String {
    let Content { comparison, methods, .. } = content;
    let mut page = format!("# {}\n\n{}\n", escaped(&title(content)), summary(content));
    section(&mut page, "Settings that differ", &factors(comparison));
    section(&mut page, "Final figures", &figures(comparison));
    section(&mut page, "Tests", &tests(comparison));
    section(&mut page, "Curves", &curves(comparison));
    section(&mut page, "Jobs", &jobs(content.jobs));
    section(&mut page, "Experimental setup", &methods.paragraphs.join("\n\n"));
    section(&mut page, "References", &if methods.bibtex.is_empty() { String::new() } else { format!("```bibtex\n{}```", methods.bibtex) });
    section(&mut page, "Runs", &runs(comparison));
    section(&mut page, "Data", &data(content.descriptions));
    section(&mut page, "Environment", &environment(methods));
    page
}

/// Adds a section, unless it has nothing to tell.
fn section(page: &mut String, heading: &str, text: &str) {
    if !text.is_empty() {
        let _ = write!(page, "\n## {heading}\n\n{}\n", text.trim_end());
    }
}

/// Returns the title as text.
pub fn title(content: &Content<'_>) -> String {
    let mut names: Vec<&str> = content.descriptions.iter().map(|run| run.experiment.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let names = if names.is_empty() { "No runs".to_owned() } else { names.join(", ") };
    content.title.map_or(names, str::to_owned)
}

fn summary(content: &Content<'_>) -> String {
    let Comparison { runs, groups, .. } = content.comparison;
    let started = |run: &fltk_records::summary::RunSummary| run.started_at;
    let times = (runs.iter().map(started).min(), runs.iter().map(started).max());
    let when = match times {
        (Some(first), Some(last)) => {
            let (first, last) = (first.strftime("%F").to_string(), last.strftime("%F").to_string());
            if first == last { format!(", begun on {first}") } else { format!(", begun from {first} to {last}") }
        }
        _ => String::new(),
    };
    let jobs = if content.jobs.is_empty() { String::new() } else { format!(", of {}", counted(content.jobs.len(), "job")) };
    format!("{} in {}{jobs}{when}.", counted(runs.len(), "run"), counted(groups.len(), "group"))
}

/// Returns a table. Cells are Markdown already.
fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&header.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    text.push_str(&line(&vec!["---".to_owned(); header.len()]));
    text.extend(rows.iter().take(ROWS_MAX).map(|row| line(row)));
    let more = rows.len().saturating_sub(ROWS_MAX);
    if more > 0 {
        let _ = write!(text, "\n{more} more rows are left out.");
    }
    text
}

fn factors(comparison: &Comparison) -> String {
    let row = |factor: &fltk_records::compare::Factor| vec![escaped(&factor.setting), escaped(&values(factor))];
    table(&["setting", "value (groups)"], comparison.factors.iter().map(row))
}

fn figures(comparison: &Comparison) -> String {
    let has_clients = comparison.groups.iter().any(|group| group.client_accuracy.is_some());
    let is_virtual = comparison.groups.iter().any(|group| group.virtual_seconds.is_some());
    let mut header = vec!["group", "task", "seeds", "accuracy", "loss", "train s"];
    header.extend(has_clients.then_some(["mean of clients", "worst tenth"]).into_iter().flatten());
    header.extend(is_virtual.then_some("virtual s"));
    let rows = comparison.groups.iter().enumerate().map(|(index, group)| {
        let name = escaped(&format!("{}/{}", group.experiment, group.task));
        let seeds = group.train_seconds.map_or(0, |seconds| seconds.count).to_string();
        let mut row = vec![group_name(index), name, seeds, mean(group.accuracy), mean(group.loss), mean(group.train_seconds)];
        row.extend(has_clients.then(|| [mean(group.client_accuracy), mean(group.client_worst_decile)]).into_iter().flatten());
        row.extend(is_virtual.then(|| mean(group.virtual_seconds)));
        row
    });
    format!(
        "{}\nFigures are means over the seeds that finished, with half the width of their interval of 95 % by Student's t.",
        table(&header, rows)
    )
}

fn tests(comparison: &Comparison) -> String {
    let row = |test: &Test| {
        let [low, high] = test.interval;
        vec![
            format!("{} - {}", group_name(test.a), group_name(test.b)),
            test.figure.name().to_owned(),
            format!("{:+.4}", test.difference),
            format!("{low:+.4} to {high:+.4}"),
            probability(test.p).replace('<', "&lt;"),
            probability(test.p_holm).replace('<', "&lt;"),
            format!("{}, {:.1} df", test.method.name(), test.df),
            result(test),
        ]
    };
    let header = ["groups", "figure", "difference", "95 %", "p", "Holm's p", "test", "result"];
    let table = table(&header, comparison.tests.iter().map(row));
    let explanation = if table.is_empty() { String::new() } else { format!("{table}\n{EXPLANATION}\n") };
    let notes: Vec<String> = notes(comparison).iter().map(|note| format!("- {note}")).collect();
    [explanation, notes.join("\n")].iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("\n")
}

/// Returns the mean accuracy of each group over its rounds or epochs, as a line of characters; the loss if there is no accuracy.
fn curves(comparison: &Comparison) -> String {
    let has_accuracy = comparison.steps.iter().any(|step| step.groups.iter().any(Option::is_some));
    let mut of_groups: BTreeMap<usize, Vec<(u32, f64)>> = BTreeMap::new();
    for step in &comparison.steps {
        let means: &[Option<MeanStd>] = if has_accuracy { &step.groups } else { &step.groups_loss };
        for (group, mean) in means.iter().enumerate() {
            of_groups.entry(group).or_default().extend(mean.map(|mean| (step.step, mean.mean)));
        }
    }
    let all = || of_groups.values().flatten().map(|(_, value)| *value);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let rows = of_groups.iter().filter_map(|(group, curve)| {
        let ((first, _), (last, end)) = (curve.first()?, curve.last()?);
        let values: Vec<f64> = curve.iter().map(|(_, value)| *value).collect();
        Some(vec![
            group_name(*group),
            spark::within(&values, (low, high), CURVE_CHARS_MAX, true),
            format!("{first} to {last}"),
            number(Some(*end)),
        ])
    });
    let name = if has_accuracy { "mean accuracy" } else { "mean loss" };
    let table = table(&["group", name, "steps", "at the end"], rows);
    if table.is_empty() {
        table
    } else {
        format!("{table}\nAll curves have one scale: {} is {low:.4}, {} is {high:.4}.", spark::RANGE.0, spark::RANGE.1)
    }
}

fn jobs(jobs: &[JobRow]) -> String {
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
    let row = |job: &JobRow| {
        vec![
            escaped(&job.job),
            escaped(&job.class),
            job.state.to_string(),
            seconds(job.arrived),
            seconds(job.queue_seconds),
            seconds(job.service_seconds),
            seconds(job.response_seconds),
            job.suspensions.to_string(),
        ]
    };
    table(&["job", "task", "state", "arrived s", "queue s", "service s", "response s", "suspensions"], jobs.iter().map(row))
}

fn runs(comparison: &Comparison) -> String {
    let of_run = |index: usize| comparison.groups.iter().position(|group| group.runs.contains(&index));
    let rows = comparison.runs.iter().enumerate().map(|(index, run)| {
        let digest = run.parameters_sha256.as_ref().map_or_else(|| "-".to_owned(), |digest| escaped(digest));
        let group = of_run(index).map_or_else(|| "not counted".to_owned(), group_name);
        let status = run.status.name().to_owned();
        vec![escaped(&run.run), group, run.seed.to_string(), status, number(run.accuracy), number(run.loss), digest]
    });
    table(&["run", "group", "seed", "status", "accuracy", "loss", "SHA-256 of the parameters"], rows)
}

/// Returns the digests and sources of the data.
fn data(descriptions: &[RunDescription]) -> String {
    let mut rows: Vec<(&str, &str)> =
        descriptions.iter().flat_map(|run| run.provenance.iter().map(|(name, source)| (name.as_str(), source.as_str()))).collect();
    rows.sort_unstable();
    rows.dedup();
    table(&["file", "source or digest"], rows.into_iter().map(|(name, source)| vec![escaped(name), escaped(source)]))
}

fn environment(methods: &Methods) -> String {
    let row = |(name, versions): (&String, &std::collections::BTreeSet<String>)| {
        vec![escaped(name), versions.iter().map(|version| escaped(version)).collect::<Vec<_>>().join(", ")]
    };
    table(&["what", "version or kind"], methods.versions.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tables_are_cut() {
        let rows = (0..203).map(|row| vec![row.to_string()]);
        let text = table(&["n"], rows);
        assert!(text.starts_with("| n |\n| --- |\n| 0 |\n") && text.ends_with("| 199 |\n\n3 more rows are left out."), "{text}");
        assert_eq!(table(&["n"], []), "");
    }
}
