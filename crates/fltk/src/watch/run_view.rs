//! A run as it is shown: from its records alone.

use std::collections::BTreeMap;

use fltk_core::{
    attendance::{Absence, Attended},
    ids::{ClientId, Round},
};
use fltk_records::{
    RunRef,
    history::{NodeStay, Row, Status, Unit},
    summary::RunSummary,
};
use jiff::Timestamp;

use super::{
    grid::{Column, Grid},
    view::{Along, Chart, Curve, Progress, RunView, shown},
};
use crate::pace::{self, Pace};

/// The most steps in the table: nobody scrolls further, and a run may have a million.
const STEPS_MAX: usize = 1000;
/// The number of last steps that the pace is computed from.
const PACE_STEPS: usize = 30;
/// The most other figures of a program of the user's own that are shown.
const FIGURES_MAX: usize = 6;
/// The seconds without a record after which a screen says so.
const QUIET: f64 = 10.0;

impl RunView {
    /// Returns the view of `run` at `now`.
    #[must_use]
    pub fn of(run: &RunRef, now: Timestamp) -> Self {
        let summary = RunSummary::of(run);
        let unit = run.history.unit().unwrap_or(if summary.kind == "distributed" { Unit::Epoch } else { Unit::Round });
        let mut tables = vec![("last steps", steps(run, unit))];
        tables.extend(clients(run).map(|grid| ("clients", grid)));
        tables.extend(Some(nodes(run.history.nodes())).filter(|grid| !grid.rows.is_empty()).map(|grid| ("nodes", grid)));
        Self {
            name: shown(&summary.run),
            about: about(&summary),
            status: run.status,
            failure: summary.failure.as_deref().map(shown),
            progress: progress(run, &summary, unit, now),
            figures: figures(run, &summary, unit),
            charts: charts(run, unit),
            tables,
            absences: absences(run),
        }
    }
}

fn about(summary: &RunSummary) -> String {
    let RunSummary { task, kind, network, dataset, seed, .. } = summary;
    let net = match (network.is_empty(), dataset.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(", {network}"),
        (true, false) => format!(", {dataset}"),
        (false, false) => format!(", {network} on {dataset}"),
    };
    let kind = if kind.is_empty() { String::new() } else { format!(", {kind}") };
    shown(&format!("{task}{kind}{net}, seed {seed}"))
}

/// Returns how many seconds after the run first started `at` is.
fn since(run: &RunRef, at: Timestamp) -> f64 {
    at.duration_since(run.folder.description().started_at).as_secs_f64()
}

fn progress(run: &RunRef, summary: &RunSummary, unit: Unit, now: Timestamp) -> Progress {
    let is_running = run.status == Status::Running;
    let last = run.history.rows().next_back();
    let step = last.map_or(0, |row| row.step);
    let words = match summary.num_steps {
        Some(steps) => format!("{} {step} of {steps}", unit.name()),
        None => format!("{} {step}", unit.name()),
    };
    let last_start = run.history.starts().last();
    let last_at = last.map(|row| row.at).max(last_start.map(|start| start.at));
    // Of a run that was killed, nobody recorded when.
    let until = if is_running { now } else { summary.ended_at.or(last_at).unwrap_or(now) };
    let pace = pace_of(run, summary.num_steps);
    let at = since(run, now);
    Progress {
        words,
        part: summary.num_steps.filter(|steps| *steps > 0).map(|steps| (f64::from(step) / f64::from(steps)).clamp(0.0, 1.0)),
        rate: pace
            .per_second(if is_running { at } else { since(run, until) })
            .map_or_else(String::new, |rate| pace::Unit::Named(unit.name()).rate(rate)),
        left: pace.left(at).filter(|_| is_running),
        elapsed: since(run, until).max(0.0),
        quiet: last_at.filter(|_| is_running).map(|last| now.duration_since(last).as_secs_f64()).filter(|quiet| *quiet >= QUIET),
    }
}

/// Returns the pace of the last steps since the run was last started.
fn pace_of(run: &RunRef, num_steps: Option<u32>) -> Pace {
    let mut pace = Pace::new(num_steps.map(f64::from));
    let start = run.history.starts().last();
    let began = start.map_or(run.folder.description().started_at, |start| start.at);
    let rows: Vec<&Row> = run.history.rows().rev().take(PACE_STEPS).take_while(|row| row.at >= began).collect();
    let from = start.map_or(0, |start| start.from.completed);
    // The initial model's evaluation is when the first round begins.
    let has_beginning = rows.last().is_some_and(|row| row.step == 0) || rows.len() == PACE_STEPS;
    if !has_beginning && start.is_some() {
        pace.reach(since(run, began), f64::from(from));
    }
    rows.iter().rev().for_each(|row| pace.reach(since(run, row.at), f64::from(row.step)));
    pace
}

fn figures(run: &RunRef, summary: &RunSummary, unit: Unit) -> Vec<(String, String)> {
    let number = |name: &str, value: Option<f64>| value.map(|value| (name.to_owned(), pace::figure(value)));
    let best =
        summary.best_accuracy.zip(summary.best_step).map(|(best, step)| (format!("best in {} {step}", unit.name()), format!("{best:.4}")));
    let last = run.history.rows().next_back();
    let clients = run.history.last_client_test();
    let others =
        last.into_iter().flat_map(|row| row.other_figures()).take(FIGURES_MAX).map(|(name, value)| (shown(name), pace::figure(value)));
    let resumed = (summary.num_resumptions > 0).then(|| ("resumed".to_owned(), format!("{} times", summary.num_resumptions)));
    [
        number("accuracy", summary.accuracy),
        best,
        number("loss", summary.loss),
        number("train loss", last.and_then(Row::train_loss)),
        number("mean of clients", clients.map(|clients| clients.accuracy)),
        number("worst tenth", clients.map(|clients| clients.worst_decile)),
        summary.virtual_seconds.map(|seconds| ("virtual time".to_owned(), pace::time(seconds))),
        resumed,
    ]
    .into_iter()
    .flatten()
    .chain(others)
    .collect()
}

fn charts(run: &RunRef, unit: Unit) -> Vec<Chart> {
    let curve = |name: &str, of: fn(&Row) -> Option<f64>| {
        let points = run.history.rows().filter_map(move |row| Some((f64::from(row.step), of(row)?)));
        Some(Curve::new(name, points)).filter(|curve| !curve.points.is_empty())
    };
    let chart = |title: &str, curves: Vec<Option<Curve>>| {
        let mut curves: Vec<Curve> = curves.into_iter().flatten().collect();
        // A single curve that is what the title says needs no name.
        if let [only] = curves.as_mut_slice()
            && only.name == "test"
        {
            only.name.clear();
        }
        Chart { title: title.to_owned(), curves, along: Along::Steps(unit.name()) }
    };
    let accuracy =
        chart("accuracy", vec![curve("test", Row::accuracy), curve("mean of clients", |row| row.client_test.map(|test| test.accuracy))]);
    let loss = chart("loss", vec![curve("test", Row::loss), curve("train", Row::train_loss)]);
    let names = run.history.rows().next_back().into_iter().flat_map(|row| row.other_figures()).map(|(name, _)| name);
    let others = names.take(FIGURES_MAX).map(|name| {
        let points = run.history.rows().filter_map(|row| Some((f64::from(row.step), row.figures.get(name).copied()?)));
        Chart { title: shown(name), curves: vec![Curve::new("", points)], along: Along::Steps(unit.name()) }
    });
    let all: Vec<Chart> = [accuracy, loss].into_iter().chain(others).collect();
    let (with, without): (Vec<Chart>, Vec<Chart>) = all.into_iter().partition(|chart| !chart.curves.is_empty());
    if with.is_empty() { without.into_iter().take(2).collect() } else { with }
}

fn steps(run: &RunRef, unit: Unit) -> Grid {
    let columns = vec![
        Column::number(unit.name(), 0),
        Column::number("accuracy", 1),
        Column::number("loss", 2),
        Column::number("train loss", 3),
        Column::number("clients' mean", 6),
        Column::number("took", 4),
        Column::number("clients", 5),
        Column::number("absent", 5),
        Column::number("learning rate", 8),
        Column::number("virtual s", 7),
        Column::number("sent", 9),
    ];
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), pace::figure);
    let cells = |row: &Row| {
        let seconds = row.train_seconds + row.test_seconds;
        let absent = absent_in(run, row.step);
        let has_clients = !row.clients.is_empty();
        #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
        let sent = row.sent_bytes.map_or_else(String::new, |bytes| pace::bytes(bytes as f64));
        vec![
            row.step.to_string(),
            number(row.accuracy()),
            number(row.loss()),
            number(row.train_loss()),
            row.client_test.map_or_else(String::new, |test| format!("{:.4}", test.accuracy)),
            if seconds > 0.0 { format!("{seconds:.1} s") } else { String::new() },
            if has_clients { row.clients.len().to_string() } else { String::new() },
            if absent > 0 { absent.to_string() } else { String::new() },
            row.learning_rate.map_or_else(String::new, |rate| rate.to_string()),
            row.virtual_seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}")),
            sent,
        ]
    };
    Grid { columns, rows: run.history.rows().rev().take(STEPS_MAX).map(cells).collect() }
}

fn absent_in(run: &RunRef, step: u32) -> usize {
    run.history.absences().range((Round(step), ClientId(0))..=(Round(step), ClientId(u32::MAX))).count()
}

/// Returns the clients of the last round that had some; `None` if none had.
fn clients(run: &RunRef) -> Option<Grid> {
    let history = &run.history;
    let (counted, absent) = (history.clients().keys().next_back(), history.absences().keys().next_back());
    let round = counted.into_iter().chain(absent).map(|(round, _)| *round).max()?;
    let all = (round, ClientId(0))..=(round, ClientId(u32::MAX));
    let columns = vec![
        Column::number("client", 0),
        Column::number("round", 2),
        Column::number("samples", 3),
        Column::number("train loss", 1),
        Column::number("took", 2),
        Column::number("accuracy", 4),
        Column::number("staleness", 5),
        Column::text("", 1, 40),
    ];
    let reason = |client: ClientId| match history.attendance().of(round).and_then(|clients| clients.get(&client)) {
        Some(Attended::Absent { reason: Some(reason), .. }) => format!(": {}", shown(reason)),
        _ => String::new(),
    };
    let mut rows: BTreeMap<ClientId, Vec<String>> = BTreeMap::new();
    for ((_, client), row) in history.clients().range(all.clone()) {
        let test = history.client_tests().get(&(round, *client)).and_then(|test| test.accuracy);
        rows.insert(
            *client,
            vec![
                client.0.to_string(),
                round.0.to_string(),
                row.train.num_samples.to_string(),
                row.train.loss.map_or_else(|| "-".to_owned(), pace::figure),
                format!("{:.2} s", row.seconds),
                test.map_or_else(String::new, |accuracy| format!("{accuracy:.4}")),
                row.staleness.map_or_else(String::new, |staleness| staleness.to_string()),
                if row.malicious { "malicious".to_owned() } else { String::new() },
            ],
        );
    }
    for ((_, client), absence) in history.absences().range(all) {
        let mut cells = vec![client.0.to_string(), round.0.to_string()];
        cells.extend(std::iter::repeat_n("-".to_owned(), 5));
        cells.push(format!("{}{}", absence.words(), reason(*client)));
        rows.insert(*client, cells);
    }
    Some(Grid { columns, rows: rows.into_values().take(STEPS_MAX).collect() })
}

fn nodes(nodes: &[NodeStay]) -> Grid {
    let columns = vec![
        Column::text("node", 0, 24),
        Column::text("state", 1, 40),
        Column::text("client", 3, 20),
        Column::number("workers", 4),
        Column::number("updates", 2),
        Column::number("busy", 4),
        Column::number("received", 5),
        Column::number("sent", 5),
        Column::text("processor", 6, 40),
    ];
    let cells = |stay: &NodeStay| {
        let end = stay.end.as_ref();
        let figure = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
        let state = match end {
            None => "is there".to_owned(),
            Some(end) => end.reason.as_deref().map_or_else(|| "left".to_owned(), |reason| format!("left: {}", shown(reason))),
        };
        #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
        let bytes = |bytes: u64| pace::bytes(bytes as f64);
        vec![
            shown(&stay.name),
            state,
            stay.client.as_deref().map(shown).unwrap_or_default(),
            stay.workers.to_string(),
            figure(end.map(|end| end.num_updates.to_string())),
            figure(end.map(|end| pace::time(end.busy_seconds))),
            figure(end.map(|end| bytes(end.bytes_received))),
            figure(end.map(|end| bytes(end.bytes_sent))),
            shown(&stay.processor),
        ]
    };
    // Those that are there first.
    let (there, gone): (Vec<_>, Vec<_>) = nodes.iter().rev().partition(|stay| stay.end.is_none());
    Grid { columns, rows: there.into_iter().chain(gone).take(STEPS_MAX).map(cells).collect() }
}

fn absences(run: &RunRef) -> String {
    let mut counts: BTreeMap<Absence, u64> = BTreeMap::new();
    run.history.absences().values().for_each(|absence| *counts.entry(*absence).or_default() += 1);
    counts.into_iter().map(|(absence, count)| absence.counted(count)).collect::<Vec<_>>().join(", ")
}
