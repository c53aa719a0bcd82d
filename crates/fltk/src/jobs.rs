//! The jobs of a stream as rows of a table, JSON or CSV.

use std::{fmt::Write as _, path::PathBuf};

use fltk_core::experiment::Duration;
use fltk_plan::{Orchestrator, StreamEvent, plan::Job};
use fltk_records::{
    StreamFolder,
    stream_folder::derived::{self, JobRow},
};

use crate::{
    cli::{Cli, Output},
    exit::{Exit, OrExit as _, failure},
    output,
    stream::{Begun, JobFiles},
    timeline::clock,
    work::Work,
};

/// Returns a row for every job of the stream in `folder` that has arrived so far; jobs of the current replication that haven't arrived are left out.
#[must_use]
pub fn rows(orchestrator: &Orchestrator<'_>, folder: &StreamFolder) -> Vec<JobRow> {
    let files = JobFiles::of(folder);
    let has_come = |job: &&Job| job.record.arrived.is_some() || job.record.ended.is_some();
    let row = |job| row(job, orchestrator.began(job.spec.replication), files.run(&job.spec.id));
    orchestrator.all_jobs().filter(has_come).map(row).collect()
}

/// Returns the same rows from the journal of the stream in `folder`, which an orchestrator may be running.
///
/// # Errors
/// If the folder is damaged.
pub fn read(folder: StreamFolder) -> anyhow::Result<Vec<JobRow>> {
    let _work = Work::wait("reading the stream");
    let begun = Begun::open(folder)?;
    let replay = begun.folder.replay::<StreamEvent>().or_exit(Exit::Records)?;
    Ok(rows(&begun.look(&replay.entries)?, &begun.folder))
}

/// Returns the course of the stream in `folder`, which an orchestrator may be running.
///
/// # Errors
/// If the folder is damaged.
#[cfg(feature = "web")]
pub fn timeline(folder: StreamFolder) -> anyhow::Result<fltk_records::stream_folder::timeline::Timeline> {
    let begun = Begun::open(folder)?;
    let replay = begun.folder.replay::<StreamEvent>().or_exit(Exit::Records)?;
    let orchestrator = begun.look_back(&replay.entries)?;
    let files = JobFiles::of(&begun.folder);
    let now = begun.folder.is_taken().then(|| begun.elapsed(jiff::Timestamp::now()));
    let run = |job: &fltk_plan::JobId| Some(files.run(job)?.file_name()?.to_string_lossy().into_owned());
    Ok(fltk_plan::timeline::timeline(&orchestrator, begun.folder.description(), now, &run))
}

fn row(job: &Job, began: Duration, run: Option<PathBuf>) -> JobRow {
    let record = &job.record;
    JobRow {
        job: job.spec.id.to_string(),
        class: record.class.clone(),
        replication: job.spec.replication,
        priority: record.priority,
        seed: job.spec.arrival.seed.0,
        state: job.state_name(),
        began: seconds(began),
        arrived: record.arrived.map(seconds),
        admitted: record.admitted.map(seconds),
        created: record.created.map(seconds),
        first_pod: record.first_pod.map(seconds),
        first_step: record.first_step.map(seconds),
        ended: record.ended.map(seconds),
        queue_seconds: record.queue_seconds(),
        service_seconds: record.service_seconds(),
        response_seconds: record.response_seconds(),
        run_seconds: record.ended.and_then(|_| record.run_seconds()),
        suspensions: record.suspensions,
        pods: job.spec.num_pods(),
        resources: job.spec.requests().to_string(),
        nodes: record.nodes.iter().cloned().collect(),
        reason: record.reason.clone(),
        run: run.map(|run| run.display().to_string()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 ms")]
fn seconds(at: Duration) -> f64 {
    at.as_millis() as f64 / 1000.0
}

/// Prints `rows` in the command line's output format.
///
/// # Errors
/// If standard output is closed.
pub fn print(cli: &Cli, rows: &[JobRow]) -> anyhow::Result<()> {
    match cli.output {
        Output::Json => output::json(&rows),
        Output::Text => output::text(&table(rows)),
    }
}

/// Returns the outcome of the stream in `folder`, whose jobs are over.
///
/// # Errors
/// If a job failed.
pub fn verdict(rows: &[JobRow], folder: &StreamFolder) -> anyhow::Result<()> {
    match rows.iter().filter(|row| row.state != "succeeded").count() {
        0 => {
            if rows.is_empty() {
                tracing::warn!("no job arrived\nhint: `fltk plan` with the same files shows what arrives, and when");
            }
            Ok(())
        }
        failed => {
            let path = folder.path().display();
            // Only failed jobs can be retried, not those that were removed or never ended.
            let retry = if rows.iter().any(|row| row.state == "failed") {
                format!("; `--resume {path} --retry-failed` retries failed jobs")
            } else {
                String::new()
            };
            let message =
                format!("{failed} of {} jobs didn't succeed\nhint: `fltk explain JOB --stream {path}` shows why{retry}", rows.len());
            Err(failure(Exit::Run, message))
        }
    }
}

/// Returns `rows` as a table for people, with a summary.
#[must_use]
pub fn table(rows: &[JobRow]) -> String {
    let header = ["job", "task", "priority", "state", "arrived", "queue s", "service s", "response s", "nodes", "why"];
    let mut table = output::table(&header, &[2, 4, 5, 6, 7]);
    let number = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
    let arrived = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), clock_of);
    for row in rows {
        let why = row.reason.as_deref().filter(|_| row.state != "succeeded").unwrap_or_default();
        let pushed_out = match row.suspensions {
            0 => String::new(),
            count => format!(" (suspended {count}x)"),
        };
        table.add_row([
            row.job.clone(),
            row.class.clone(),
            row.priority.to_string(),
            format!("{}{pushed_out}", row.state),
            arrived(row.arrived),
            number(row.queue_seconds),
            number(row.service_seconds),
            number(row.response_seconds),
            row.nodes.join(" "),
            why.chars().take(WHY_CHARS_MAX).collect(),
        ]);
    }
    let mut text = format!("{table}\n");
    let _ = writeln!(text, "\n{}", summary(rows));
    text
}

/// The maximum length of a reason in a table, in characters; `explain` prints all of it.
const WHY_CHARS_MAX: usize = 80;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and far below 2^64")]
fn clock_of(seconds: f64) -> String {
    clock(Duration::from_millis((seconds * 1000.0) as u64))
}

/// Returns a summary such as `12 jobs: 10 succeeded, 1 failed, 1 running; queue 1.2 s, response 30.1 s in the mean`.
#[must_use]
pub fn summary(rows: &[JobRow]) -> String {
    if rows.is_empty() {
        return "no jobs".to_owned();
    }
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        match counts.iter_mut().find(|(state, _)| *state == row.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((row.state, 1)),
        }
    }
    let states = counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
    let mean = |of: fn(&JobRow) -> Option<f64>| {
        let values: Vec<f64> = rows.iter().filter_map(of).collect();
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let mut text = format!("{}: {states}", output::counted(rows.len(), "job"));
    if let (Some(queue), Some(response)) = (mean(|row| row.queue_seconds), mean(|row| row.response_seconds)) {
        let _ = write!(text, "; queue {queue:.1} s, response {response:.1} s in the mean");
    }
    text
}

/// Returns `rows` as comma-separated values with a header.
#[must_use]
pub fn csv(rows: &[JobRow]) -> String {
    String::from_utf8_lossy(&derived::csv(rows)).into_owned()
}

/// Writes `rows` beside the journal of `folder`, for other programs: CSV, SQLite and TensorBoard events. The caller must hold the folder's lock.
///
/// # Errors
/// If a file can't be written.
pub fn keep(rows: &[JobRow], folder: &StreamFolder) -> anyhow::Result<()> {
    derived::write(folder, rows).or_exit(Exit::Records)
}
