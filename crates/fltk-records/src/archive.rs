//! The folder of a run or a stream as a tar archive, and back: for copies between machines.
//!
//! ```text
//! runs/NAME ── walk: plain files and folders only ──> pack ──> unpack ──> INTO/.new-... ── whole? older copy? ──> INTO/NAME
//!                                                 └──> digests: are two copies the same?
//! ```
//!
//! A folder can be packed while it is being written: checkpoints and derived files are read before the journal, so a copy is in the same
//! state as a folder whose writer was killed. Unpacking trusts nothing in the archive.
//!
//! Not for: archives made by other programs, permissions, owners, links.

mod carry;
mod digests;
mod pack;
mod unpack;
mod verify;
mod walk;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    digests::{FileDigest, Hashing, digests, hash},
    pack::pack,
    unpack::{Staged, Unpacked, stage, unpack},
};
use crate::{FileError, RunError, files, folder};

/// The longest name, in bytes: the limit of a tar archive for the last component of a path. The names that fltk makes are shorter.
const NAME_BYTES_MAX: usize = 100;
/// The limit on files and folders of one record. A stream of a million jobs, with three files per job on one machine, exceeds it: archives
/// aren't meant for that.
const ENTRIES_MAX: usize = 1_000_000;
/// The limit on nested folders: our own records nest two deep.
const DEPTH_MAX: usize = 16;

/// The kind of a folder of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// The folder of a run.
    Run,
    /// The folder of a stream.
    Stream,
}

impl RecordKind {
    /// Returns `run` or `stream`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Stream => "stream",
        }
    }

    /// Returns the file that only a folder of this kind has.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Run => crate::run_folder::DESCRIPTION,
            Self::Stream => crate::stream_folder::DESCRIPTION,
        }
    }
}

/// A folder of records, by name. Damaged folders are included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// The kind of the folder.
    pub kind: RecordKind,
    /// The folder's name.
    pub name: String,
}

impl Record {
    /// Lists all folders of this kind in `root`, sorted by name. Links to folders are left out, because what they point to is not in
    /// `root`, and so are names that an archive can't store.
    ///
    /// # Errors
    /// If `root` can't be listed.
    pub fn list(root: &Path, kind: RecordKind) -> Result<Vec<Self>, RunError> {
        // Nothing inside a folder that is a link is read, and what can't be packed isn't listed.
        Ok(folder::list_here(root, kind.description(), is_name)?.into_iter().map(|name| Self { kind, name }).collect())
    }

    /// Returns true if the name is a valid folder name and can be displayed: a record that was deserialized may come from another machine.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        is_name(&self.name)
    }

    /// Returns the folder of that name in `root`.
    ///
    /// # Errors
    /// If the name could lead out of `root`, or there is no such folder.
    pub fn find(root: &Path, kind: RecordKind, name: &str) -> Result<PathBuf, RunError> {
        check_name(name)?;
        let path = root.join(name);
        let missing = kind.description();
        if is_folder(&path) && files::is_there(&path.join(missing)) {
            return Ok(path);
        }
        Err(match kind {
            RecordKind::Run => RunError::NotARun { path, missing },
            RecordKind::Stream => RunError::NotAStream { path, missing },
        })
    }
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Returns true if `name` is a single path component, not hidden, and printable.
fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && !name.contains(['/', '\\']) && files::is_printable(name)
}

fn check_name(name: &str) -> Result<(), RunError> {
    if is_name(name) { Ok(()) } else { Err(RunError::FolderName { name: files::printable(name) }) }
}

/// A folder can't be packed, or an archive can't be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder isn't a valid folder of records, or is in use.
    #[error(transparent)]
    Folder(#[from] RunError),
    /// The archive could not be read or written, or isn't an archive.
    #[error("the archive of `{name}` breaks off")]
    Broken {
        /// The folder's name.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// The archive holds something that [`pack`] doesn't write.
    #[error("the archive of `{name}` has `{entry}`, {problem}: it is not unpacked")]
    Entry {
        /// The folder's name.
        name: String,
        /// The entry.
        entry: String,
        /// The problem with it.
        problem: &'static str,
    },
    /// The folder exceeds a limit.
    #[error("`{name}` has {problem}")]
    TooMuch {
        /// The folder's name.
        name: String,
        /// The limit that is exceeded, in words.
        problem: &'static str,
    },
    /// The destination already has a folder that isn't an older copy of this one.
    #[error("`{}` is there and has other records\nhint: move it away, or unpack into another folder", path.display())]
    Another {
        /// That folder.
        path: PathBuf,
    },
}

impl ArchiveError {
    fn broken(name: &str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Broken { name: name.to_owned(), source }
    }

    /// For `map_err`: an error of the operating system on one of our own files.
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let error = FileError::io(action, path);
        move |source| error(source).into()
    }
}

#[cfg(test)]
mod tests;
