//! `runs/index.sqlite`: what `runs list` would otherwise read from thousands of folders.
//!
//! It is a cache and never the truth: every listing first brings it up to date with the folders. One that is damaged or of another
//! version is remade; where it can't be written, or another program's database or a link is in its place, the listing is made
//! without it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, named_params, params};

use crate::{
    RunError, RunFolder,
    files::{self, FileError},
    history::Status,
    summary::RunSummary,
};

/// Changes whenever the tables or [`RunSummary`] do.
const SCHEMA_VERSION: i64 = 2;
/// Tells our index from other programs' databases, which are never touched: `fltk` in ASCII.
const APPLICATION_ID: i64 = 0x666c_746b;
/// How long to wait for another process that brings the index up to date.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE runs (
        name TEXT PRIMARY KEY,
        journal_bytes INTEGER NOT NULL,
        journal_modified_ns INTEGER NOT NULL,
        description_bytes INTEGER NOT NULL,
        description_modified_ns INTEGER NOT NULL,
        experiment TEXT NOT NULL,
        task TEXT NOT NULL,
        status TEXT NOT NULL,
        accuracy REAL,
        train_seconds REAL NOT NULL,
        started_at TEXT NOT NULL,
        summary TEXT NOT NULL
    ) STRICT;
";

/// Which runs to list: all fields that are given must match exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of RunSummary with that name")]
pub struct Filter {
    pub experiment: Option<String>,
    pub task: Option<String>,
    pub status: Option<Status>,
}

/// In which order to list runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The last started first.
    #[default]
    Newest,
    /// By experiment, task, and start.
    Name,
    /// The highest last test accuracy first; runs without one last.
    Accuracy,
    /// The longest training first.
    TrainSeconds,
}

/// What a listing found.
#[derive(Debug, Default)]
pub struct Listing {
    /// The runs that match.
    pub runs: Vec<RunSummary>,
    /// Folders that could not be read, for a warning.
    pub skipped: Vec<(PathBuf, RunError)>,
}

/// The runs in `root` that match `filter`; none if `root` isn't there.
///
/// # Errors
/// If `root` can't be listed.
pub fn list(root: &Path, filter: &Filter, sort: Sort) -> Result<Listing, RunError> {
    list_of(root, &RunFolder::list(root)?, filter, sort)
}

/// The same of these folders in `root` alone: nothing is looked at in others.
///
/// # Errors
/// If `root` can't be listed.
pub fn list_of(root: &Path, folders: &[PathBuf], filter: &Filter, sort: Sort) -> Result<Listing, RunError> {
    if folders.is_empty() {
        return Ok(Listing::default());
    }
    // SQLite refuses links anywhere in the path; those to the root are the user's own.
    let file = root.canonicalize().map_err(FileError::io("list", root))?.join("index.sqlite");
    let in_file = || open(&file).and_then(|index| list_with(index, folders, filter, sort));
    let mut attempt = in_file();
    if attempt.as_ref().is_err_and(is_damage) {
        remove(&file)?;
        attempt = in_file();
    }
    let without_file = || Connection::open_in_memory().and_then(|index| list_with(index, folders, filter, sort));
    attempt.or_else(|_| without_file()).map_err(|error| FileError::io("index", root)(std::io::Error::other(error)).into())
}

fn remove(file: &Path) -> Result<(), FileError> {
    for suffix in ["", "-journal"] {
        let path = beside(file, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(FileError::io("remove", &path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The file itself, or one that SQLite has beside it.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType, SqlInputError};
    // Our statements are right, so one that is refused met tables of another making.
    matches!(error, SqlInputError { .. } | FromSqlConversionFailure(..) | InvalidColumnType(..))
        || matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown))
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    // SQLite would wait for a pipe, in place of its own files too.
    for suffix in ["", "-journal", "-wal"] {
        match files::require_plain(&beside(file, suffix)) {
            Err(error) if !error.is_not_found() => return Err(rusqlite::Error::InvalidPath(file.to_owned())),
            _ => {}
        }
    }
    let index = Connection::open_with_flags(file, OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW)?;
    index.busy_timeout(BUSY_TIMEOUT)?;
    // It may come from elsewhere, and it may be lost: neither trusted nor synced.
    index.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA synchronous = OFF;")?;
    Ok(index)
}

fn list_with(mut index: Connection, folders: &[PathBuf], filter: &Filter, sort: Sort) -> rusqlite::Result<Listing> {
    let change = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i64 = change.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let num_tables: i64 = change.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = application == 0 && num_tables == 0;
    if application != APPLICATION_ID && !is_new {
        return Err(rusqlite::Error::InvalidPath("another program's database".into()));
    }
    let version: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if is_new || version != SCHEMA_VERSION {
        change.execute_batch("DROP TABLE IF EXISTS runs;")?;
        change.execute_batch(SCHEMA)?;
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    let skipped = refresh(&change, folders)?;
    let runs = select(&change, folders, filter, sort)?;
    change.commit()?;
    Ok(Listing { runs, skipped })
}

/// Reads the folders whose journal or description changed, and forgets those that are gone.
fn refresh(index: &Connection, folders: &[PathBuf]) -> rusqlite::Result<Vec<(PathBuf, RunError)>> {
    let mut skipped = Vec::new();
    index.execute_batch("CREATE TEMP TABLE present (name TEXT PRIMARY KEY) STRICT;")?;
    for path in folders {
        let read = match Stamp::of(path) {
            Ok(stamp) if is_current(index, path, stamp)? => Ok(()),
            Ok(stamp) => match RunFolder::open(path.clone()).and_then(RunFolder::read) {
                Ok(run) => {
                    insert(index, &name(path), stamp, &RunSummary::of(&run))?;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        };
        match read {
            Ok(()) => {
                index.execute("INSERT INTO present VALUES (?1)", params![name(path)])?;
            }
            Err(error) => skipped.push((path.clone(), error)),
        }
    }
    index.execute_batch("DELETE FROM runs WHERE name NOT IN (SELECT name FROM present); DROP TABLE present;")?;
    Ok(skipped)
}

/// Sizes in bytes and times of change in nanoseconds of the journal and of `run.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    journal: (i64, i64),
    description: (i64, i64),
}

impl Stamp {
    fn of(folder: &Path) -> Result<Self, FileError> {
        let of_file = |name: &str| {
            let metadata = files::require_plain(&folder.join(name))?;
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let clamp = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
            Ok((clamp(metadata.len().into()), clamp(modified.as_nanos())))
        };
        Ok(Self { journal: of_file("journal.jsonl")?, description: of_file("run.json")? })
    }
}

/// Whether the index has what the folder has. A run without an end also depends on whether it is being written.
fn is_current(index: &Connection, folder: &Path, stamp: Stamp) -> rusqlite::Result<bool> {
    let known: Option<(Stamp, String)> = index
        .prepare_cached(
            "SELECT journal_bytes, journal_modified_ns, description_bytes, description_modified_ns, status FROM runs WHERE name = ?1",
        )?
        .query_row(params![name(folder)], |row| {
            let stamp = Stamp { journal: (row.get(0)?, row.get(1)?), description: (row.get(2)?, row.get(3)?) };
            Ok((stamp, row.get(4)?))
        })
        .optional()?;
    let Some((_, status)) = known.filter(|(known, _)| *known == stamp) else { return Ok(false) };
    let is_locked = || crate::run_folder::is_locked(folder);
    Ok(match status.as_str() {
        "running" => is_locked(),
        "interrupted" => !is_locked(),
        _ => true,
    })
}

fn insert(index: &Connection, name: &str, stamp: Stamp, summary: &RunSummary) -> rusqlite::Result<()> {
    let json = serde_json::to_string(summary).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    index.prepare_cached("INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?.execute(params![
        name,
        stamp.journal.0,
        stamp.journal.1,
        stamp.description.0,
        stamp.description.1,
        summary.experiment,
        summary.task,
        summary.status.name(),
        summary.accuracy,
        summary.train_seconds,
        // As text that sorts by time: always nine digits of a second.
        format!("{:.9}", summary.started_at),
        json,
    ])?;
    Ok(())
}

fn select(index: &Connection, folders: &[PathBuf], filter: &Filter, sort: Sort) -> rusqlite::Result<Vec<RunSummary>> {
    let order = match sort {
        Sort::Newest => "started_at DESC, name DESC",
        Sort::Name => "experiment, task, started_at, name",
        Sort::Accuracy => "accuracy DESC NULLS LAST, started_at DESC, name DESC",
        Sort::TrainSeconds => "train_seconds DESC, started_at DESC, name DESC",
    };
    let root = folders.first().and_then(|folder| folder.parent()).unwrap_or(Path::new(""));
    let mut statement = index.prepare(&format!(
        "SELECT name, summary FROM runs WHERE (:experiment IS NULL OR experiment = :experiment) AND (:task IS NULL OR task = :task) \
         AND (:status IS NULL OR status = :status) ORDER BY {order}"
    ))?;
    let values = named_params! {
        ":experiment": filter.experiment, ":task": filter.task, ":status": filter.status.map(Status::name),
    };
    let rows = statement.query_map(values, |row| {
        let (name, json): (String, String) = (row.get(0)?, row.get(1)?);
        let invalid = |error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error);
        let mut summary: RunSummary = serde_json::from_str(&json).map_err(|error| invalid(error.into()))?;
        if !summary.is_printable() {
            return Err(invalid("control characters".into()));
        }
        // The folder of runs may have been moved, and the name is the folder's, whatever the index says.
        summary.run = files::printable(&name);
        summary.path = root.join(name);
        Ok(summary)
    })?;
    rows.collect()
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
