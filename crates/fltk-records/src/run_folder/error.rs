//! The errors of a run's folder.

use std::path::PathBuf;

use fltk_experiment::Report;

use crate::{checkpoint::CheckpointError, files::FileError, history::OrderError, journal::JournalError};

/// A run's folder can't be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file in it can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its journal can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The events in its journal are in an impossible order.
    #[error("`{}`", path.display())]
    Order {
        /// The journal.
        path: PathBuf,
        /// The event, and the problem with it.
        source: OrderError,
    },
    /// One of its checkpoints can't be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The id of a run could lead out of the runs folder.
    #[error("`{id}` can't be the id of a run: 1 to 32 hexadecimal digits in small letters")]
    Id {
        /// The id.
        id: String,
    },
    /// A name can't be that of a folder within another.
    #[error("`{name}` can't be the name of a folder of records: one step down a path, not hidden, of at most 100 bytes")]
    FolderName {
        /// The name.
        name: String,
    },
    /// The folder already exists.
    #[error("`{}` exists", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder wasn't made by [`RunFolder::create`](super::RunFolder::create).
    #[error("`{}` is not a run's folder: there is no `{missing}` in it\nhint: `fltk runs list` shows the existing runs", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// The folder isn't that of a stream.
    #[error("`{}` is not a stream's folder: there is no `{missing}` in it\nhint: `fltk runs jobs` without a name lists the existing streams", path.display())]
    NotAStream {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// Its `run.json` or `stream.json` is not one that we wrote, or could not be read back.
    #[error("`{}` does not describe a run or a stream: {problem}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The problem with it.
        problem: String,
    },
    /// Its `run.json` has the format of a newer version.
    #[error("`{}` has format {format}, this version of fltk reads up to {format_max}\nhint: read it with the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// The newest format that this version knows.
        format_max: u64,
        /// The name that its group was started with, if it can be determined.
        group_name: Option<String>,
    },
    /// Its experiment can't be read by this version.
    #[error(
        "`{}` is no experiment that this version of fltk can read\n{report}\nhint: fltk {version} wrote it: use that version, or a later one",
        path.display()
    )]
    Experiment {
        /// The file.
        path: PathBuf,
        /// The version that wrote it.
        version: String,
        /// The problems with it.
        report: Box<Report>,
    },
    /// A text of a stream has changed since the stream was started.
    #[error(
        "`{}` has changed since the stream was started: it was started with {begun}, now it has {now}\nhint: restore it, or start another stream",
        path.display()
    )]
    OtherText {
        /// The file.
        path: PathBuf,
        /// The SHA-256 of the file when the stream was started, or that there was no such file.
        begun: String,
        /// The SHA-256 of the file now, or that there is none.
        now: String,
    },
    /// Another process is writing the run.
    #[error("`{}` is being written by {holder}\nhint: wait until that has ended", path.display())]
    Locked {
        /// The run's folder.
        path: PathBuf,
        /// The other process, as it described itself.
        holder: String,
    },
}
