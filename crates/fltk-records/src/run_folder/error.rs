//! What can go wrong with a run's folder.

use std::path::PathBuf;

use fltk_core::experiment::Report;

use super::NAME_LENGTH_MAX;
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
    /// Its journal holds events in an order that can't be.
    #[error("`{}`", path.display())]
    Order {
        /// The journal.
        path: PathBuf,
        /// Which, and why.
        source: OrderError,
    },
    /// One of its checkpoints can't be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A name that could lead out of the runs folder, or that no other part of fltk would take.
    #[error("`{name}` can't be {what}: letters, digits, `-` and `_` are allowed, 1 to {NAME_LENGTH_MAX} of them")]
    Name {
        /// Which kind of name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that isn't one of a folder within another.
    #[error("`{name}` can't be the name of a folder of records: one step down a path, not hidden, of at most 100 bytes")]
    FolderName {
        /// The name.
        name: String,
    },
    /// There is such a folder already.
    #[error("`{}` exists", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// It isn't a folder that [`RunFolder::create`](super::RunFolder::create) made.
    #[error("`{}` is not a run's folder: there is no `{missing}` in it\nhint: `fltk runs list` shows the runs there are", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// It isn't the folder of a stream.
    #[error("`{}` is not a stream's folder: there is no `{missing}` in it\nhint: `fltk runs jobs` without a name lists the streams there are", path.display())]
    NotAStream {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// Its `run.json` is not one that we wrote, or would not be read back.
    #[error("`{}` does not describe a run or a stream: {problem}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Its `run.json` has the format of a newer version.
    #[error("`{}` has format {format}, this version of fltk reads up to {format_max}\nhint: read it with the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// The newest that we know.
        format_max: u64,
        /// What its group was begun as, as far as that can be told.
        group_name: Option<String>,
    },
    /// Its experiment is not one that this version can read.
    #[error(
        "`{}` is no experiment that this version of fltk can read\n{report}\nhint: fltk {version} wrote it: go on with that, or with a later one",
        path.display()
    )]
    Experiment {
        /// The file.
        path: PathBuf,
        /// The version that wrote it.
        version: String,
        /// What is wrong with it.
        report: Box<Report>,
    },
    /// A text of a stream isn't the one that it was begun with.
    #[error(
        "`{}` is not as it was when the stream was begun: it was begun with {begun}, now it has {now}\nhint: put it back as it was, or begin another stream",
        path.display()
    )]
    OtherText {
        /// The file.
        path: PathBuf,
        /// Its SHA-256 when the stream was begun, or that there was none.
        begun: String,
        /// The same now.
        now: String,
    },
    /// Another process is writing it.
    #[error("`{}` is being written by {holder}\nhint: wait until that has ended", path.display())]
    Locked {
        /// The run's folder.
        path: PathBuf,
        /// Who, as the other one put it.
        holder: String,
    },
}
