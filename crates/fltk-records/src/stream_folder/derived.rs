//! What is made of a stream's journal for other programs: `jobs.csv`, `jobs.sqlite` with one table, and TensorBoard events.
//!
//! In TensorBoard a step is a job, in the order in which they ended: `jobs/queue_seconds`, `jobs/service_seconds`, `jobs/response_seconds`, and each of
//! them by class, such as `jobs_small/queue_seconds`. All three files can be made again at any time.

use std::path::PathBuf;

use prost::Message as _;
use rusqlite::{Connection, OpenFlags, params};
use serde::Serialize;

use crate::{
    StreamFolder,
    files::{self, FileError},
    tensorboard::{self, frame},
};

const CSV: &str = "jobs.csv";
const SQLITE: &str = "jobs.sqlite";

/// A job of a stream with all that was recorded of it. Times are in seconds since its replication began.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each is a column of that name")]
pub struct JobRow {
    pub job: String,
    pub class: String,
    pub replication: u64,
    pub priority: i32,
    /// In decimal: it may be above what SQLite holds.
    pub seed: String,
    pub state: String,
    /// When its replication began, in seconds since the stream did.
    pub began: f64,
    pub arrived: Option<f64>,
    pub admitted: Option<f64>,
    pub created: Option<f64>,
    pub first_pod: Option<f64>,
    pub first_step: Option<f64>,
    pub ended: Option<f64>,
    pub queue_seconds: Option<f64>,
    pub service_seconds: Option<f64>,
    pub response_seconds: Option<f64>,
    pub run_seconds: Option<f64>,
    pub suspensions: u32,
    pub pods: u32,
    /// What its pods ask for together.
    pub resources: String,
    /// Separated by spaces.
    pub nodes: String,
    pub reason: Option<String>,
    /// The folder of its run, where that's known.
    pub run: Option<String>,
}

const TABLE: &str = "
    CREATE TABLE jobs (
        job TEXT PRIMARY KEY, class TEXT NOT NULL, replication INTEGER NOT NULL, priority INTEGER NOT NULL, seed TEXT NOT NULL, state TEXT NOT NULL,
        began REAL NOT NULL, arrived REAL, admitted REAL, created REAL, first_pod REAL, first_step REAL, ended REAL,
        queue_seconds REAL, service_seconds REAL, response_seconds REAL, run_seconds REAL,
        suspensions INTEGER NOT NULL, pods INTEGER NOT NULL, resources TEXT NOT NULL, nodes TEXT NOT NULL, reason TEXT, run TEXT
    ) STRICT;
";

/// The rows as comma-separated values, with a header.
#[must_use]
pub fn csv(rows: &[JobRow]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Plain data into memory.
        writer.serialize(row).expect("columns of texts and numbers can always be written");
    }
    writer.into_inner().unwrap_or_default()
}

/// Writes all three files of `folder`. For who has its lock.
///
/// # Errors
/// If a file can't be written.
pub fn write(folder: &StreamFolder, rows: &[JobRow]) -> Result<(), FileError> {
    files::sweep(folder.path())?;
    files::replace(&folder.path().join(CSV), &csv(rows))?;
    files::replace(&events_path(folder), &events(folder, rows))?;
    let path = folder.path().join(SQLITE);
    let database = database(rows).map_err(|error| FileError::io("write", &path)(std::io::Error::other(error)))?;
    files::replace(&path, &database)?;
    Ok(())
}

fn events_path(folder: &StreamFolder) -> PathBuf {
    folder.path().join(format!("events.out.tfevents.{:010}.fltk", folder.description().started_at.as_second()))
}

fn events(folder: &StreamFolder, rows: &[JobRow]) -> Vec<u8> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 with milliseconds")]
    let began = folder.description().started_at.as_millisecond() as f64 / 1000.0;
    let mut ended: Vec<(f64, &JobRow)> = rows.iter().filter_map(|row| Some((row.began + row.ended?, row))).collect();
    ended.sort_by(|left, right| left.0.total_cmp(&right.0));
    let event = |(step, (at, row)): (i64, (f64, &JobRow))| {
        let times =
            [("queue_seconds", row.queue_seconds), ("service_seconds", row.service_seconds), ("response_seconds", row.response_seconds)];
        let times = times.into_iter().filter_map(|(name, seconds)| Some((name, seconds?)));
        let scalars =
            times.flat_map(|(name, seconds)| [(format!("jobs/{name}"), seconds), (format!("jobs_{}/{name}", row.class), seconds)]);
        tensorboard::scalars(began + at, step, scalars)
    };
    let all = std::iter::once(tensorboard::version(began)).chain((1..).zip(ended).map(event));
    all.flat_map(|event| frame(&event.encode_to_vec())).collect()
}

/// The database's bytes.
fn database(rows: &[JobRow]) -> rusqlite::Result<Vec<u8>> {
    let mut database = Connection::open_in_memory_with_flags(OpenFlags::default())?;
    database.execute_batch(TABLE)?;
    let change = database.transaction()?;
    {
        let mut insert = change.prepare(
            "INSERT OR REPLACE INTO jobs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
        )?;
        for row in rows {
            insert.execute(params![
                row.job,
                row.class,
                i64::try_from(row.replication).unwrap_or(i64::MAX),
                row.priority,
                row.seed,
                row.state,
                row.began,
                row.arrived,
                row.admitted,
                row.created,
                row.first_pod,
                row.first_step,
                row.ended,
                row.queue_seconds,
                row.service_seconds,
                row.response_seconds,
                row.run_seconds,
                row.suspensions,
                row.pods,
                row.resources,
                row.nodes,
                row.reason,
                row.run,
            ])?;
        }
    }
    change.commit()?;
    Ok(database.serialize("main")?.to_vec())
}

#[cfg(test)]
mod tests {
    use fltk_core::event::RunEvent;
    use jiff::Timestamp;

    use super::*;
    use crate::{StreamDescription, StreamTexts};

    #[test]
    fn every_column_is_in_all_that_is_derived() {
        let root = tempfile::tempdir().unwrap();
        let description = StreamDescription {
            fltk_version: "0".to_owned(),
            run: "s-1".to_owned(),
            experiment: "s".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
        };
        let folder = StreamFolder::create::<RunEvent>(root.path(), &description, &StreamTexts::default()).unwrap();
        let row = |job: &str, ended| JobRow {
            job: job.to_owned(),
            class: "small".to_owned(),
            seed: u64::MAX.to_string(),
            state: "succeeded".to_owned(),
            ended: Some(ended),
            queue_seconds: Some(0.5),
            reason: Some("a \"quoted\", one".to_owned()),
            ..JobRow::default()
        };
        let rows = [row("a", 3.0), row("b", 2.0)];
        for _again in 0..2 {
            write(&folder, &rows).unwrap();
        }
        let text = String::from_utf8(csv(&rows)).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("job,class,replication,priority,seed,state,began,arrived,"), "{text}");
        assert!(text.contains("\"a \"\"quoted\"\", one\""), "{text}");
        let database = Connection::open(folder.path().join(SQLITE)).unwrap();
        let columns = database.prepare("SELECT * FROM jobs").unwrap().column_count();
        assert_eq!(columns, text.lines().next().unwrap().split(',').count());
        let sum: f64 = database.query_row("SELECT sum(queue_seconds) FROM jobs", [], |row| row.get(0)).unwrap();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!(std::fs::read(events_path(&folder)).unwrap().len() > 100);
    }
}
