//! `fltk runs show RUN`.

use std::collections::BTreeSet;

use fltk_records::{
    Hyperparameter, RunRef,
    summary::{RunReport, RunSummary},
};

use super::number;
use crate::{
    cli::{Cli, Output},
    exit::{Exit, OrExit as _},
    output,
};

/// The number of reported figures that a table has columns for; JSON has all.
const FIGURES_MAX: usize = 8;

/// Prints the settings, steps and results of `run`.
///
/// # Errors
/// If its checkpoints can't be listed, or standard output is closed.
pub fn run(cli: &Cli, run: &RunRef) -> anyhow::Result<()> {
    let report = RunReport::of(run).or_exit(Exit::Records)?;
    if cli.output == Output::Json {
        return output::json(&report);
    }
    let of_classes = (report.summary.kind != "command").then(|| classes(&report));
    let parts: Vec<String> =
        [head(&report), settings(&report), steps(&report)].into_iter().chain(of_classes).chain([tail(&report)]).collect();
    output::text(&parts.join("\n\n"))
}

fn head(report: &RunReport) -> String {
    let RunSummary { run, task, seed, status, failure, num_resumptions, .. } = &report.summary;
    let resumed = match num_resumptions {
        0 => String::new(),
        1 => ", resumed once".to_owned(),
        times => format!(", resumed {times} times"),
    };
    let failure = failure.as_ref().map(|reason| format!("\nfailed: {reason}")).unwrap_or_default();
    format!("{run}: {task}, seed {seed}, {}{resumed}{failure}", status.name())
}

fn settings(report: &RunReport) -> String {
    let mut table = output::table(&["setting", "value"], &[]);
    for (name, value) in &report.description.hyperparameters.0 {
        let value = match value {
            Hyperparameter::Bool(value) => value.to_string(),
            Hyperparameter::Number(value) => value.to_string(),
            Hyperparameter::Text(value) => value.clone(),
        };
        table.add_row([name.clone(), value]);
    }
    table.to_string()
}

fn steps(report: &RunReport) -> String {
    let unit = report.summary.unit.map_or("step", |unit| unit.name());
    let has_clients = report.rows.iter().any(|row| row.client_test.is_some());
    let of_clients: &[&str] = if has_clients { &["clients", "mean of clients", "worst tenth", "variance"] } else { &[] };
    let is_virtual = report.rows.iter().any(|row| row.virtual_seconds.is_some());
    let of_time: &[&str] = if is_virtual { &["virtual s"] } else { &[] };
    // Without compression, it is the size of the models.
    let is_compressed = report.description.hyperparameters.0.contains_key("federated.compression.type");
    let of_updates: &[&str] = if is_compressed { &["sent MB"] } else { &[] };
    let reported: BTreeSet<&str> = report.rows.iter().flat_map(|row| row.other_figures()).map(|(name, _)| name).collect();
    let reported: Vec<&str> = reported.into_iter().take(FIGURES_MAX).collect();
    // A program of the user's own says nothing of its times.
    let is_command = report.summary.kind == "command";
    let of_training: &[&str] =
        if is_command { &["train loss", "learning rate"] } else { &["train loss", "learning rate", "train s", "test s"] };
    let header = [&[unit, "accuracy", "loss"], of_clients, of_training, of_time, of_updates, &reported].concat();
    let mut table = output::table(&header, &(0..header.len()).collect::<Vec<_>>());
    for row in &report.rows {
        let mut cells = vec![row.step.to_string(), number(row.accuracy()), number(row.loss())];
        if has_clients {
            let clients = row.client_test;
            cells.extend([
                clients.map_or_else(|| "-".to_owned(), |clients| clients.num_clients.to_string()),
                number(clients.map(|clients| clients.accuracy)),
                number(clients.map(|clients| clients.worst_decile)),
                number(clients.map(|clients| clients.variance)),
            ]);
        }
        cells.extend([number(row.train_loss()), row.learning_rate.map_or_else(|| "-".to_owned(), |rate| rate.to_string())]);
        if !is_command {
            cells.extend([format!("{:.2}", row.train_seconds), format!("{:.2}", row.test_seconds)]);
        }
        if is_virtual {
            cells.push(row.virtual_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.3}")));
        }
        if is_compressed {
            cells.push(row.sent_bytes.map_or_else(|| "-".to_owned(), megabytes));
        }
        cells.extend(reported.iter().map(|name| number(row.figures.get(*name).copied())));
        table.add_row(cells);
    }
    table.to_string()
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
fn megabytes(bytes: u64) -> String {
    format!("{:.3}", bytes as f64 / 1e6)
}

fn classes(report: &RunReport) -> String {
    let mut table = output::table(&["class", "samples", "precision", "recall"], &[0, 1, 2, 3]);
    for class in &report.classes {
        table.add_row([class.class.to_string(), class.num_samples.to_string(), number(class.precision), number(class.recall)]);
    }
    table.to_string()
}

fn tail(report: &RunReport) -> String {
    let host = &report.description.host;
    let mut lines = vec![format!("machine   {}, {} cores, {}", host.cpu, host.cores, host.os)];
    if let Some(source) = report.description.provenance.get("source") {
        lines.push(format!("data      {source}"));
    }
    if !report.absences.is_empty() {
        let counts: Vec<String> = report.absences.iter().map(|(absence, count)| absence.counted(*count)).collect();
        lines.push(format!("absent    over all rounds: {}", counts.join(", ")));
    }
    if !report.malicious.is_empty() {
        let clients: Vec<String> = report.malicious.iter().map(ToString::to_string).collect();
        lines.push(format!("malicious  clients {}", clients.join(", ")));
    }
    if let Some(digest) = &report.summary.parameters_sha256 {
        lines.push(format!("model     sha256 {digest}"));
    }
    if let Some(last) = report.checkpoints.last() {
        lines.push(format!("last checkpoint  {}", last.path.display()));
    }
    lines.join("\n")
}
