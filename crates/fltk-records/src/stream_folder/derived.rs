//! The files that are derived from a stream's journal for other programs: `jobs.csv`, `jobs.sqlite` with one table, and TensorBoard events.
//!
//! In TensorBoard a step is a job, in the order in which they ended: `jobs/queue_seconds`, `jobs/service_seconds`, `jobs/response_seconds`,
//! and each of them by class, such as `jobs_small/queue_seconds`. All of these files can be rebuilt at any time.

use rusqlite::{Connection, OpenFlags, params_from_iter, types::Value};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{
    StreamFolder,
    files::{self, FileError},
    tensorboard::{self, Steps},
};

pub(super) const CSV: &str = "jobs.csv";
const SQLITE: &str = "jobs.sqlite";

/// Returns true if a file of this name in a stream's folder is derived from the journal.
pub(crate) fn is_derived(name: &str) -> bool {
    [CSV, SQLITE].contains(&name) || tensorboard::is_ours(name)
}

/// A job of a stream with everything that was recorded of it. Times are in seconds since its replication began.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each is a column of that name")]
pub struct JobRow {
    pub job: String,
    pub class: String,
    pub replication: usize,
    pub priority: i32,
    pub seed: u64,
    pub state: &'static str,
    /// The start of its replication, in seconds since the stream started.
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
    /// The total resource requests of its pods.
    pub resources: String,
    pub nodes: Vec<String>,
    pub reason: Option<String>,
    /// The folder of its run, if it is known.
    pub run: Option<String>,
}

impl JobRow {
    /// Returns the columns by name, in order.
    fn columns(&self) -> Map<String, Json> {
        match serde_json::to_value(self) {
            Ok(Json::Object(columns)) => columns,
            _ => unreachable!("a struct of texts and numbers is an object"),
        }
    }
}

const TABLE: &str = "
    CREATE TABLE jobs (
        job TEXT PRIMARY KEY, class TEXT NOT NULL, replication INTEGER NOT NULL, priority INTEGER NOT NULL, seed TEXT NOT NULL, state TEXT NOT NULL,
        began REAL NOT NULL, arrived REAL, admitted REAL, created REAL, first_pod REAL, first_step REAL, ended REAL,
        queue_seconds REAL, service_seconds REAL, response_seconds REAL, run_seconds REAL,
        suspensions INTEGER NOT NULL, pods INTEGER NOT NULL, resources TEXT NOT NULL, nodes TEXT NOT NULL, reason TEXT, run TEXT
    ) STRICT;
";

/// Returns the rows as comma-separated values, with a header. Nodes are separated by spaces.
#[must_use]
pub fn csv(rows: &[JobRow]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = JobRow::default().columns();
    // Writing into memory, with the same number of fields in every record, can't fail.
    let mut write = |fields: Vec<String>| writer.write_record(fields).expect("records of one length can be written");
    write(header.keys().cloned().collect());
    rows.iter().for_each(|row| write(row.columns().values().map(text).collect()));
    writer.into_inner().unwrap_or_default()
}

/// Returns a value as text; empty if it is null.
fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

/// Returns a value as SQLite stores it.
fn sql(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Number(number) => match (number.as_i64(), number.is_f64()) {
            (Some(whole), _) => whole.into(),
            (None, true) => number.as_f64().into(),
            // A seed above the largest integer of SQLite.
            (None, false) => number.to_string().into(),
        },
        value => text(value).into(),
    }
}

/// Writes all three files of `folder`. The caller must hold its lock.
///
/// # Errors
/// If a file can't be written.
pub fn write(folder: &StreamFolder, rows: &[JobRow]) -> Result<(), FileError> {
    files::sweep(folder.path())?;
    files::replace(&folder.path().join(CSV), &csv(rows))?;
    events(folder, rows).write(folder.path())?;
    let path = folder.path().join(SQLITE);
    let database = database(rows).map_err(|error| FileError::io("write", &path)(std::io::Error::other(error)))?;
    files::replace(&path, &database)?;
    Ok(())
}

fn events(folder: &StreamFolder, rows: &[JobRow]) -> Steps {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 with milliseconds")]
    let began = folder.description().started_at.as_millisecond() as f64 / 1000.0;
    let mut ended: Vec<(f64, &JobRow)> = rows.iter().filter_map(|row| Some((row.began + row.ended?, row))).collect();
    ended.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut steps = Steps::new(began);
    for (at, row) in ended {
        let times =
            [("queue_seconds", row.queue_seconds), ("service_seconds", row.service_seconds), ("response_seconds", row.response_seconds)];
        let times = times.into_iter().filter_map(|(name, seconds)| Some((name, seconds?)));
        let scalars =
            times.flat_map(|(name, seconds)| [(format!("jobs/{name}"), seconds), (format!("jobs_{}/{name}", row.class), seconds)]);
        steps.add(began + at, scalars);
    }
    steps
}

/// Returns the bytes of the database.
fn database(rows: &[JobRow]) -> rusqlite::Result<Vec<u8>> {
    let mut database = Connection::open_in_memory_with_flags(OpenFlags::default())?;
    database.execute_batch(TABLE)?;
    let change = database.transaction()?;
    let names: Vec<String> = JobRow::default().columns().keys().cloned().collect();
    let places = vec!["?"; names.len()].join(", ");
    let insert = format!("INSERT OR REPLACE INTO jobs ({}) VALUES ({places})", names.join(", "));
    for row in rows {
        change.prepare_cached(&insert)?.execute(params_from_iter(row.columns().values().map(sql)))?;
    }
    change.commit()?;
    Ok(database.serialize("main")?.to_vec())
}

#[cfg(test)]
mod tests {
    use fltk_core::event::RunEvent;

    use super::*;
    use crate::{StreamDescription, StreamTexts};

    #[test]
    fn columns_are_in_all_derived_files() {
        let root = tempfile::tempdir().unwrap();
        let folder = StreamFolder::create::<RunEvent>(root.path(), &StreamDescription::example(), &StreamTexts::default()).unwrap();
        let row = |job: &str, ended| JobRow {
            job: job.to_owned(),
            class: "small".to_owned(),
            seed: u64::MAX,
            state: "succeeded",
            ended: Some(ended),
            queue_seconds: Some(0.5),
            nodes: vec!["n0".to_owned(), "n1".to_owned()],
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
        let texts: (String, String) = database.query_row("SELECT seed, nodes FROM jobs", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(texts, (u64::MAX.to_string(), "n0 n1".to_owned()));
        assert!(std::fs::read(folder.path().join(tensorboard::file_name(0))).unwrap().len() > 100);
    }
}
