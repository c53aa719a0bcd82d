//! The index of a folder of runs: a cache of what `runs list` would otherwise read from thousands of folders.
//!
//! The index is a private cache of the user and never the source of truth: every listing first brings it up to date with the folders. It
//! isn't stored among the records, which may come from another machine, but in a folder that the caller chooses, under a name derived from
//! the path of the folder of runs. An index that is damaged, has another version, or holds anything that this module doesn't write is
//! rebuilt. If it can't be written, or if another program's database or a link is in its place, runs are listed without an index. An
//! `index.sqlite` among the records was written by the first version, and is ignored.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, named_params, params};
use sha2::{Digest as _, Sha256};

use crate::{
    Hyperparameters, RunError, RunFolder,
    files::{self, FileError},
    glimpse::Stamp,
    history::Status,
    run_folder::DESCRIPTION,
    side_by_side::side_by_side,
    summary::RunSummary,
};

/// The version of the schema: it changes whenever the tables, [`RunSummary`] or [`Hyperparameters`] change.
const SCHEMA_VERSION: i64 = 7;
/// Distinguishes our index from other programs' databases, which are never touched: `fltk` in ASCII.
const APPLICATION_ID: i64 = 0x666c_746b;
/// The time to wait for another process that is updating the index.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of indexes that are kept; beyond it, the least recently used are removed. An index has a few kilobytes, or megabytes for
/// thousands of runs.
const INDEXES_MAX: usize = 64;
/// The number of SQLite virtual machine steps between two calls of the progress handler.
const STEPS: i32 = 1000;
/// The limits on calls of the progress handler, per run and for an empty index: ten times what is normally needed. An index that takes more
/// is damaged.
const LOOKS_PER_RUN: usize = 10;
const LOOKS: usize = 10_000;

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
        summary TEXT NOT NULL,
        settings TEXT NOT NULL,
        sha256 TEXT NOT NULL
    ) STRICT;
";

/// The runs to list: every field that is given must match exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of RunSummary with that name")]
pub struct Filter {
    pub experiment: Option<String>,
    pub task: Option<String>,
    pub status: Option<Status>,
}

/// The order in which runs are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The most recently started first.
    #[default]
    Newest,
    /// Sorted by experiment, task, and start time.
    Name,
    /// The highest last test accuracy first; runs without one last.
    Accuracy,
    /// The longest training first.
    TrainSeconds,
}

/// The result of a listing.
#[derive(Debug, Default)]
pub struct Listing {
    /// The runs that match.
    pub runs: Vec<RunSummary>,
    /// The settings of each of these runs; runs with the same settings share one value.
    pub settings: Vec<Arc<Hyperparameters>>,
    /// Folders that could not be read, for a warning.
    pub skipped: Vec<(PathBuf, RunError)>,
}

/// Lists the runs in `root` that match `filter`; none if `root` doesn't exist. The folder `indexes` is created if it doesn't exist; if it
/// is `None`, no index is kept.
///
/// # Errors
/// If `root` can't be listed.
pub fn list(root: &Path, indexes: Option<&Path>, filter: &Filter, sort: Sort) -> Result<Listing, RunError> {
    list_of(root, &RunFolder::list(root)?, indexes, filter, sort)
}

/// Like [`list`], for these folders in `root` only: no others are read.
///
/// # Errors
/// If `root` can't be listed.
pub fn list_of(root: &Path, folders: &[PathBuf], indexes: Option<&Path>, filter: &Filter, sort: Sort) -> Result<Listing, RunError> {
    if folders.is_empty() {
        return Ok(Listing::default());
    }
    let file = indexes.map(|indexes| file(root, indexes)).transpose()?;
    let in_file = || {
        let file = file.as_ref().ok_or(Problem::Unusable)?;
        let list = || list_with(open(file)?, folders, filter, sort);
        match list() {
            Err(Problem::Damaged) => {
                remove(file)?;
                list()
            }
            listed => listed,
        }
    };
    let without_file = || list_with(Connection::open_in_memory()?, folders, filter, sort);
    in_file().or_else(|_| without_file()).map_err(|problem| FileError::io("index", root)(std::io::Error::other(problem)).into())
}

/// Returns true if a file of this name is an index that the first version kept among the records, or one of SQLite's files next to it.
pub(crate) fn was_one(name: &str) -> bool {
    name.strip_prefix("index.sqlite").is_some_and(|rest| matches!(rest, "" | "-journal" | "-wal" | "-shm"))
}

/// Returns the path of the index of `root`.
fn file(root: &Path, indexes: &Path) -> Result<PathBuf, FileError> {
    let root = root.canonicalize().map_err(FileError::io("list", root))?;
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    Ok(indexes.join(format!("{}.sqlite", hex::encode(&digest[..16]))))
}

/// The reason why an index can't be used.
#[derive(Debug, thiserror::Error)]
enum Problem {
    /// The index isn't what this version writes.
    #[error("it is damaged")]
    Damaged,
    /// The index can't be opened or created, or isn't one of ours.
    #[error("it can't be used")]
    Unusable,
    /// SQLite returned an error.
    #[error(transparent)]
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType, SqlInputError};
        // Our statements are valid, so if SQLite rejects one, the tables aren't ours.
        let is_damage = matches!(error, SqlInputError { .. } | FromSqlConversionFailure(..) | InvalidColumnType(..))
            || matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::OperationInterrupted | ErrorCode::Unknown)
            );
        if is_damage { Self::Damaged } else { Self::Sql(error) }
    }
}

fn remove(file: &Path) -> Result<(), Problem> {
    for suffix in ["", "-journal"] {
        match fs::remove_file(beside(file, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Problem::Unusable),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the path of the file itself (no suffix), or of one of SQLite's files next to it.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

fn open(file: &Path) -> Result<Connection, Problem> {
    let unusable = |_| Problem::Unusable;
    let indexes = file.parent().ok_or(Problem::Unusable)?;
    // The names and accuracies of runs are private to their owner.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(indexes).map_err(unusable)?;
    // SQLite refuses links anywhere in the path; links in the path of the folder are the user's own, so they are resolved.
    let file = indexes.canonicalize().map_err(unusable)?.join(file.file_name().ok_or(Problem::Unusable)?);
    // SQLite would block on a pipe, also in the place of its own side files.
    for suffix in ["", "-journal", "-wal"] {
        match files::require_plain(&beside(&file, suffix)) {
            Err(error) if !error.is_not_found() => return Err(Problem::Unusable),
            Err(_) if suffix.is_empty() => make_room(indexes),
            _ => {}
        }
    }
    let index = Connection::open_with_flags(&file, OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW)?;
    index.busy_timeout(BUSY_TIMEOUT)?;
    // The index may be damaged and may be lost, so it is neither trusted nor synced.
    index.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA synchronous = OFF;")?;
    Ok(index)
}

/// Removes the least recently used indexes, so that there is room for one more. Files that can't be removed stay.
fn make_room(indexes: &Path) {
    let used = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
    let is_one = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sqlite");
    let entries = fs::read_dir(indexes).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut all: Vec<_> = entries.filter(is_one).map(|path| (used(&path), path)).collect();
    all.sort();
    let too_many = (all.len() + 1).saturating_sub(INDEXES_MAX);
    for (_, path) in &all[..too_many] {
        let _ = remove(path);
    }
}

fn list_with(mut index: Connection, folders: &[PathBuf], filter: &Filter, sort: Sort) -> Result<Listing, Problem> {
    let mut looks_left = LOOKS + folders.len() * LOOKS_PER_RUN;
    index.progress_handler(
        STEPS,
        Some(move || {
            looks_left = looks_left.saturating_sub(1);
            looks_left == 0
        }),
    )?;
    let change = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i64 = change.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let schema = schema_of(&change)?;
    let is_new = application == 0 && schema.is_empty();
    if application != APPLICATION_ID && !is_new {
        return Err(Problem::Unusable);
    }
    let version: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if is_new {
        change.execute_batch(SCHEMA)?;
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    } else if version != SCHEMA_VERSION || schema != our_schema()? {
        return Err(Problem::Damaged);
    }
    let skipped = refresh(&change, folders)?;
    let (runs, settings) = select(&change, folders, filter, sort)?;
    change.commit()?;
    Ok(Listing { runs, settings, skipped })
}

/// Everything that a database defines: type, name, table and SQL statement.
type Schema = Vec<(String, String, String, Option<String>)>;

fn schema_of(index: &Connection) -> rusqlite::Result<Schema> {
    let mut statement = index.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    rows.collect()
}

/// The schema of a new index.
fn our_schema() -> rusqlite::Result<Schema> {
    let index = Connection::open_in_memory()?;
    index.execute_batch(SCHEMA)?;
    schema_of(&index)
}

/// Reads the folders whose journal or description changed, and removes from the index those that no longer exist.
fn refresh(index: &Connection, folders: &[PathBuf]) -> Result<Vec<(PathBuf, RunError)>, Problem> {
    let (mut skipped, mut changed) = (Vec::new(), Vec::new());
    index.execute_batch("CREATE TEMP TABLE present (name TEXT PRIMARY KEY) STRICT;")?;
    let is_present = |path: &Path| index.prepare_cached("INSERT INTO present VALUES (?1)")?.execute(params![name(path)]);
    for path in folders {
        match Stamp::of(path, DESCRIPTION) {
            Ok(stamp) if is_current(index, path, stamp)? => {
                is_present(path)?;
            }
            Ok(stamp) => changed.push((path, stamp)),
            Err(error) => skipped.push((path.clone(), error.into())),
        }
    }
    for ((path, stamp), read) in changed.iter().zip(read_all(&changed)) {
        match read {
            Ok((summary, settings)) => {
                insert(index, &name(path), *stamp, &summary, &settings)?;
                is_present(path)?;
            }
            Err(error) => skipped.push(((*path).clone(), error)),
        }
    }
    skipped.sort_by(|(one, _), (other, _)| one.cmp(other));
    index.execute_batch("DELETE FROM runs WHERE name NOT IN (SELECT name FROM present); DROP TABLE present;")?;
    Ok(skipped)
}

/// The entry of a run in the index.
type Summarized = Result<(RunSummary, Hyperparameters), RunError>;

/// Reads these folders, several at a time: parsing the journals of thousands of runs takes seconds.
fn read_all(folders: &[(&PathBuf, Stamp)]) -> Vec<Summarized> {
    let read = |path: &PathBuf| {
        let run = RunFolder::open(path.clone()).and_then(RunFolder::read)?;
        Ok((RunSummary::of(&run), run.folder.description().hyperparameters.clone()))
    };
    side_by_side(folders, |(path, _)| read(path))
}

/// Returns true if the index is up to date with the folder. The status of a run without an end also depends on whether it is being written.
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

fn insert(index: &Connection, name: &str, stamp: Stamp, summary: &RunSummary, settings: &Hyperparameters) -> rusqlite::Result<()> {
    let invalid = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let json = serde_json::to_string(summary).map_err(invalid)?;
    let settings = serde_json::to_string(settings).map_err(invalid)?;
    let sha256 = row_digest(name, summary.status, &json, &settings);
    index.prepare_cached("INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)")?.execute(
        params![
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
            // Text that sorts by time: always nine decimals of a second.
            format!("{:.9}", summary.started_at),
            json,
            settings,
            sha256,
        ],
    )?;
    Ok(())
}

/// The digest that detects a damaged row. The other columns repeat fields of the summary, so the summary's text covers them.
fn row_digest(name: &str, status: Status, json: &str, settings: &str) -> String {
    let status = status.name();
    hex::encode(Sha256::digest(format!("{name}\n{status}\n{json}\n{settings}")))
}

/// Runs, and the settings of each.
type Selected = (Vec<RunSummary>, Vec<Arc<Hyperparameters>>);

fn select(index: &Connection, folders: &[PathBuf], filter: &Filter, sort: Sort) -> rusqlite::Result<Selected> {
    let invalid = |error: &'static str| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into());
    let order = match sort {
        Sort::Newest => "started_at DESC, name DESC",
        Sort::Name => "experiment, task, started_at, name",
        Sort::Accuracy => "accuracy DESC NULLS LAST, started_at DESC, name DESC",
        Sort::TrainSeconds => "train_seconds DESC, started_at DESC, name DESC",
    };
    let root = folders.first().and_then(|folder| folder.parent()).unwrap_or(Path::new(""));
    let mut statement = index.prepare(&format!(
        "SELECT name, summary, status, experiment, task, accuracy, train_seconds, started_at, sha256, settings FROM runs \
         WHERE (:experiment IS NULL OR experiment = :experiment) AND (:task IS NULL OR task = :task) \
         AND (:status IS NULL OR status = :status) ORDER BY {order}"
    ))?;
    let values = named_params! {
        ":experiment": filter.experiment, ":task": filter.task, ":status": filter.status.map(Status::name),
    };
    // The runs of a sweep have few different settings: each text is parsed once.
    let mut known: BTreeMap<String, Arc<Hyperparameters>> = BTreeMap::new();
    let rows = statement.query_map(values, |row| {
        let (name, json, settings): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(9)?);
        let mut summary: RunSummary = serde_json::from_str(&json).map_err(|_| invalid("no summary"))?;
        let columns: (String, String, String, Option<f64>, f64, String) =
            (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?);
        let RunSummary { status, experiment, task, accuracy, train_seconds, started_at, .. } = &summary;
        let (experiment, task, started_at) = (experiment.clone(), task.clone(), format!("{started_at:.9}"));
        if columns != (status.name().to_owned(), experiment, task, *accuracy, *train_seconds, started_at)
            || row.get::<_, String>(8)? != row_digest(&name, *status, &json, &settings)
            || !summary.is_printable()
        {
            return Err(invalid("another row than was written"));
        }
        // The folder of runs may have been moved, and the folder's name counts, whatever the index says.
        summary.run = files::printable(&name);
        summary.path = root.join(name);
        let parsed = match known.get(&settings) {
            Some(parsed) => Arc::clone(parsed),
            None => Arc::new(serde_json::from_str(&settings).map_err(|_| invalid("no settings"))?),
        };
        known.entry(settings).or_insert_with(|| Arc::clone(&parsed));
        Ok((summary, parsed))
    })?;
    rows.collect::<rusqlite::Result<Vec<_>>>().map(|rows| rows.into_iter().unzip())
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
