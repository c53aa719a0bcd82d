//! TensorBoard event files: scalars per round or epoch, and the settings for the HParams tab.
//!
//! Tags, with the step being the round or epoch: `accuracy/test` (fraction), `loss/test`, `loss/train` (means per sample), `learning_rate`,
//! `time/train_seconds`, `time/test_seconds` (of this step alone), `samples/train`, `clients/selected` (federated only). Wall times are the
//! journal's. Scalars are `float32`, as TensorBoard has them; exact numbers are in `metrics.csv`.
//!
//! For the HParams tab: a session begins with the task's settings, and ends with success or failure. Runs of the same experiment, task and
//! settings that differ in their seed are sessions of one group, which TensorBoard averages.

mod proto;
mod record;
mod run_events;

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use prost::Message as _;

pub use self::record::frame;
use crate::{
    RunDescription,
    files::{self, FileError},
    history::{End, History, Row},
};

/// What the names of event files begin with: TensorBoard looks for it. Behind it, torch's writer has seconds and who wrote it, and so have we.
const EVENTS_PREFIX: &str = "events.out.tfevents.";
const EVENTS_SUFFIX: &str = ".fltk";

/// The name of the event file of what began `started_at` seconds after 1970.
pub(crate) fn file_name(started_at: i64) -> String {
    format!("{EVENTS_PREFIX}{started_at:010}{EVENTS_SUFFIX}")
}

/// Whether a file of this name is one of ours.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(EVENTS_PREFIX) && name.ends_with(EVENTS_SUFFIX)
}

/// The line that an event file begins with. `wall_time` is in seconds since 1970, here and below.
pub(crate) fn version(wall_time: f64) -> proto::Event {
    run_events::version(wall_time)
}

/// Scalars of one step.
pub(crate) fn scalars(wall_time: f64, step: i64, values: impl Iterator<Item = (String, f64)>) -> proto::Event {
    run_events::scalars(wall_time, step, values)
}

/// An event file that is open for appending.
#[derive(Debug)]
pub struct EventFileWriter {
    file: File,
    path: PathBuf,
}

impl EventFileWriter {
    /// Makes the event file of a run in `folder` from its history; one that is there is replaced.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn create(folder: &Path, run: &RunDescription, history: &History) -> Result<Self, FileError> {
        let path = folder.join(file_name(run.started_at.as_second()));
        let mut events = run_events::opening(run);
        events.extend(history.rows().map(run_events::row));
        events.extend(history.end().map(run_events::end));
        let bytes: Vec<u8> = events.iter().flat_map(|event| frame(&event.encode_to_vec())).collect();
        Ok(Self { file: files::replace(&path, &bytes)?, path })
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

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, event: &proto::Event) -> Result<(), FileError> {
        self.file.write_all(&frame(&event.encode_to_vec())).map_err(FileError::io("write", &self.path))
    }
}
