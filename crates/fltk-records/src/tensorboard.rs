//! TensorBoard event files: scalars per round or epoch, and the settings for the HParams tab.
//!
//! Tags, with the step being the round or epoch: `accuracy/test` (fraction), `loss/test`, `loss/train` (means per sample), `learning_rate`,
//! `time/train_seconds`, `time/test_seconds` (of this step alone), `samples/train`, `clients/selected` (federated only). Wall times are the
//! journal's. Scalars are `float32`, as TensorBoard has them; exact numbers are in `metrics.csv`.
//!
//! For the HParams tab: a session begins with the task's settings, and ends with success or failure. Runs of the same experiment, task and
//! settings that differ in their seed are sessions of one group, which TensorBoard averages.
//!
//! **A file for each start.** TensorBoard keeps open what it reads and goes on to files that come later, in the order of their names; one that is replaced under
//! its name it never sees. So a run that is taken up again goes on in a new file, and so does a stream whose jobs are others than before. Each file
//! begins with `opening`: from which step on what was shown before is void. What is in them is a function of the journal alone (`run_files`); where one
//! is there already and only lacks its end, that is appended (`complete`).
//!
//! **One end.** TensorBoard believes the first end of a session that it meets. So an end that a later start follows isn't in any file.

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

/// What the names of event files begin with: TensorBoard looks for it. Behind it, torch's writer has seconds and who wrote it, and so have we.
const EVENTS_PREFIX: &str = "events.out.tfevents.";
const EVENTS_SUFFIX: &str = ".fltk";
/// `SessionLog.SessionStatus.START`.
const START: i32 = 1;
/// More names than a folder of records ever has at its top.
const NAMES_MAX: usize = 1_000_000;

/// The name of the event file of what began `started_at` seconds after 1970. Ten digits: they sort as text, as TensorBoard sorts them.
pub(crate) fn file_name(started_at: i64) -> String {
    format!("{EVENTS_PREFIX}{started_at:010}{EVENTS_SUFFIX}")
}

/// The seconds in the name of one of our files.
fn seconds_of(name: &str) -> Option<i64> {
    name.strip_prefix(EVENTS_PREFIX)?.strip_suffix(EVENTS_SUFFIX)?.parse().ok()
}

/// Whether a file of this name is one of ours.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(EVENTS_PREFIX) && name.ends_with(EVENTS_SUFFIX)
}

/// What a file begins with. `wall_time` is in seconds since 1970, here and below; `from` is the first step that is in this file and not in those before,
/// where there are some.
///
/// TensorBoard's slow loader forgets all steps from there on when it meets a start, but for the first that it meets, which is the run's beginning to it; and
/// files of the first version have none. So it stands there twice.
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

/// Makes `path` a file with these bytes, open for appending. One that has their beginning is appended to, since TensorBoard may have it open; any other is
/// replaced.
pub(crate) fn complete(path: &Path, bytes: &[u8]) -> Result<File, FileError> {
    let Ok(there) = files::read(path, bytes.len() as u64) else { return files::replace(path, bytes) };
    let Some(rest) = bytes.strip_prefix(&there[..]) else { return files::replace(path, bytes) };
    let (mut file, _) = files::open(path, OFlags::WRONLY | OFlags::APPEND)?;
    file.write_all(rest).and_then(|()| file.sync_data()).map_err(FileError::io("write", path))?;
    Ok(file)
}

/// Removes the event files of ours in `folder` whose names aren't among `names`.
fn remove_others(folder: &Path, names: &[String]) -> Result<(), FileError> {
    for name in files::names_in(folder, NAMES_MAX)?.into_iter().filter(|name| is_ours(name) && !names.contains(name)) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(FileError::io("remove", &path))?;
    }
    Ok(())
}

/// Makes event files in the folder `new` those of `old` with more at their ends, as far as these are their beginnings: TensorBoard, which has them open, reads
/// on. `old` has more in them then too, which does no harm: they are made from its journal again.
///
/// # Errors
/// If a file can't be written.
pub(crate) fn keep_open(old: &Path, new: &Path) -> Result<(), FileError> {
    /// Largest that is compared, in bytes: that of a journal of the largest size has less.
    const BYTES_MAX: u64 = 1 << 30;
    for name in files::names_in(new, NAMES_MAX)?.into_iter().filter(|name| is_ours(name)) {
        let (from, to) = (old.join(&name), new.join(&name));
        let (Ok(there), Ok(bytes)) = (files::read(&from, BYTES_MAX), files::read(&to, BYTES_MAX)) else { continue };
        let aside = new.join(format!("{TEMPORARY_PREFIX}{name}"));
        // Where there are no second names it's a new file.
        if bytes.starts_with(&there) && fs::hard_link(&from, &aside).is_ok() {
            fs::rename(&aside, &to).map_err(FileError::io("rename to", &to))?;
            // A rename onto another name of the same file does nothing.
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
    /// Brings the event files of a run in `folder` to what its journal says, and opens the last. Where nothing was recorded, that has no step yet.
    ///
    /// # Errors
    /// If one can't be written.
    pub fn update(folder: &Path, run: &RunDescription, entries: &[Entry]) -> Result<Self, FileError> {
        let all = run_files(run, entries);
        let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
        remove_others(folder, &names)?;
        let mut last = None;
        // The first first: TensorBoard, which may look at any moment, never goes back to an earlier one.
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
        self.append(&run_events::row(row))
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
