//! TensorBoard event files: scalars per round or epoch, and the settings for the HParams tab.
//!
//! Each step is a round or epoch, with these tags: `accuracy/test` (fraction), `loss/test`, `loss/train` (means per sample),
//! `learning_rate`, `time/train_seconds`, `time/test_seconds` (of this step alone), `samples/train`, `clients/selected` (federated only),
//! and, where clients are tested on samples of their own, `clients/accuracy_mean`, `clients/accuracy_worst_decile`, `clients/accuracy_variance`.
//! Where time is simulated, there is `time/virtual_seconds`, and the accuracy and loss over it as `virtual_milliseconds/accuracy` and
//! `virtual_milliseconds/loss`, whose steps are these milliseconds.
//! Figures that a program of the user's own reports have the same tags, and others `figures/NAME`.
//! Wall times are the journal's. Scalars are `float32`, as in TensorBoard itself; exact numbers are in `metrics.csv`.
//!
//! For the HParams tab, a session begins with the task's settings, and ends with success or failure. Runs of the same experiment, task and
//! settings that differ only in their seed are sessions of one group, which TensorBoard averages.
//!
//! **A file for each start.** TensorBoard keeps open the file that it is reading, and goes on to later files in the order of their names;
//! it never notices a file that is replaced under the same name. So a run that is resumed continues in a new file, and so does a stream in
//! which earlier jobs have changed. Each file begins with `opening`, which declares the step from which earlier data is void. The content
//! of the files is a function of the journal alone (`run_files`); if a file already exists and only lacks its end, the end is appended
//! (`complete`).
//!
//! **One end.** TensorBoard accepts the first end of a session that it reads. So an end that is followed by a later start isn't written to
//! any file.

mod proto;
mod record;
mod run_events;
mod run_files;
mod step_files;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use prost::Message as _;
use rustix::fs::OFlags;

pub use self::record::frame;
pub(crate) use self::step_files::Steps;
use self::{
    proto::{Event, SessionLog, What},
    run_files::run_files,
};
use crate::{
    RunDescription,
    files::{self, FileError, TEMPORARY_PREFIX},
    history::{End, Row},
    journal::Entry,
};

/// The prefix of event files' names, by which TensorBoard recognizes them. As in the names that torch's writer makes, seconds and the name
/// of the writer follow.
const EVENTS_PREFIX: &str = "events.out.tfevents.";
const EVENTS_SUFFIX: &str = ".fltk";
/// `SessionLog.SessionStatus.START`.
const START: i32 = 1;
/// More names than there ever are at the top level of a folder of records.
const NAMES_MAX: usize = 1_000_000;

/// Returns the name of an event file for a start `started_at` seconds after 1970. It has ten digits, so that names sort as text, which is
/// how TensorBoard sorts them.
pub(crate) fn file_name(started_at: i64) -> String {
    format!("{EVENTS_PREFIX}{started_at:010}{EVENTS_SUFFIX}")
}

/// Returns the seconds in the name of one of our files.
fn seconds_of(name: &str) -> Option<i64> {
    name.strip_prefix(EVENTS_PREFIX)?.strip_suffix(EVENTS_SUFFIX)?.parse().ok()
}

/// Returns true if a file of this name is one of ours.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(EVENTS_PREFIX) && name.ends_with(EVENTS_SUFFIX)
}

/// Returns the first events of a file. `wall_time` is in seconds since 1970, here and below; `from` is the first step of this file that
/// replaces steps of earlier files, if there are any.
///
/// When TensorBoard's slow loader reads a session start, it discards all steps from there on, except at the first start that it reads,
/// which it takes for the beginning of the run; and files of the first version contain no start. So the start is written twice.
fn opening(wall_time: f64, from: Option<i64>) -> Vec<Event> {
    let version = Event { wall_time, step: 0, what: Some(What::FileVersion("brain.Event:2".into())) };
    let start = |step| Event { wall_time, step, what: Some(What::SessionLog(SessionLog { status: START })) };
    match from {
        None => vec![version, start(0)],
        Some(step) => vec![version, start(step), start(step)],
    }
}

fn encoded(events: &[Event]) -> Vec<u8> {
    events.iter().flat_map(|event| frame(&event.encode_to_vec())).collect()
}

/// Makes `path` a file with these bytes, open for appending. A file that holds a prefix of them is appended to, since TensorBoard may have
/// it open; any other file is replaced.
pub(crate) fn complete(path: &Path, bytes: &[u8]) -> Result<File, FileError> {
    let Ok(there) = files::read(path, bytes.len() as u64) else { return files::replace(path, bytes) };
    let Some(rest) = bytes.strip_prefix(&there[..]) else { return files::replace(path, bytes) };
    let (mut file, _) = files::open(path, OFlags::WRONLY | OFlags::APPEND)?;
    file.write_all(rest).and_then(|()| file.sync_data()).map_err(FileError::io("write", path))?;
    Ok(file)
}

/// Removes those of our event files in `folder` whose names aren't among `names`.
fn remove_others(folder: &Path, names: &[String]) -> Result<(), FileError> {
    for name in files::names_in(folder, NAMES_MAX)?.into_iter().filter(|name| is_ours(name) && !names.contains(name)) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(FileError::io("remove", &path))?;
    }
    Ok(())
}

/// Makes the event files in the folder `new` the same files as in `old`, with the rest appended, if the old ones are prefixes of the new
/// ones: TensorBoard, which has them open, continues reading. The files in `old` grow too, which does no harm: they are rebuilt from its
/// journal.
///
/// # Errors
/// If a file can't be written.
pub(crate) fn keep_open(old: &Path, new: &Path) -> Result<(), FileError> {
    /// The largest file that is compared, in bytes: the event file of the largest possible journal is smaller.
    const BYTES_MAX: u64 = 1 << 30;
    for name in files::names_in(new, NAMES_MAX)?.into_iter().filter(|name| is_ours(name)) {
        let (from, to) = (old.join(&name), new.join(&name));
        let (Ok(there), Ok(bytes)) = (files::read(&from, BYTES_MAX), files::read(&to, BYTES_MAX)) else { continue };
        let aside = new.join(format!("{TEMPORARY_PREFIX}{name}"));
        // Without hard links it is a new file.
        if bytes.starts_with(&there) && fs::hard_link(&from, &aside).is_ok() {
            fs::rename(&aside, &to).map_err(FileError::io("rename to", &to))?;
            // Renaming a file onto another name of the same file does nothing.
            let _ = fs::remove_file(&aside);
            complete(&to, &bytes)?;
        }
    }
    Ok(())
}

/// The event files of a run; the last is open for appending.
#[derive(Debug)]
pub struct EventFiles {
    file: File,
    path: PathBuf,
}

impl EventFiles {
    /// Updates the event files of a run in `folder` to match its journal, and opens the last one. If nothing was recorded, that has no
    /// steps yet.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn update(folder: &Path, run: &RunDescription, entries: &[Entry]) -> Result<Self, FileError> {
        let all = run_files(run, entries);
        let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
        remove_others(folder, &names)?;
        let mut last = None;
        // Earlier files are written first: TensorBoard, which may read at any moment, never goes back to an earlier file.
        for (name, bytes) in all {
            let path = folder.join(name);
            last = Some((complete(&path, &bytes)?, path));
        }
        let (file, path) = match last {
            Some(last) => last,
            None => {
                let path = folder.join(file_name(run.started_at.as_second()));
                (files::replace(&path, &[])?, path)
            }
        };
        Ok(Self { file, path })
    }

    /// Appends one round's or epoch's scalars.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn add_row(&mut self, row: &Row) -> Result<(), FileError> {
        self.append(&run_events::row(row))?;
        run_events::over_virtual_time(row).map_or(Ok(()), |event| self.append(&event))
    }

    /// Appends the end of the session.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn add_end(&mut self, end: &End) -> Result<(), FileError> {
        self.append(&run_events::end(end))
    }

    fn append(&mut self, event: &Event) -> Result<(), FileError> {
        self.file.write_all(&frame(&event.encode_to_vec())).map_err(FileError::io("write", &self.path))
    }
}
