//! The folder of a run or a stream as a tar archive, and back: for copies between machines.
//!
//! ```text
//! runs/NAME ── walk: plain files and folders only ──> pack ──> unpack ──> INTO/.new-... ── whole? older copy? ──> INTO/NAME
//!                                                 └──> digests: are two copies the same?
//! ```
//!
//! Packing may be done while the folder is written: what is made from the journal, and checkpoints, are read before it, so a copy is what a kill would
//! have left. Unpacking trusts nobody.
//!
//! Not for: archives of others, permissions, owners, links.

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

/// Longest name, in bytes: what a tar archive holds of the last step of a path. Names that are made here are shorter.
const NAME_BYTES_MAX: usize = 100;
/// Files and folders of one record: a stream of a million jobs has three files for each on one machine, which this isn't for.
const ENTRIES_MAX: usize = 1_000_000;
/// Folders within folders: ours have two.
const DEPTH_MAX: usize = 16;

/// What a folder of records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// Of a run.
    Run,
    /// Of a stream.
    Stream,
}

impl RecordKind {
    /// `run` or `stream`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Stream => "stream",
        }
    }

    /// The file that only a folder of this kind has.
    fn description(self) -> &'static str {
        match self {
            Self::Run => crate::run_folder::DESCRIPTION,
            Self::Stream => crate::stream_folder::DESCRIPTION,
        }
    }
}

/// A folder of records, by name. Damaged ones are there too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The folder's name.
    pub name: String,
}

impl Record {
    /// All of this kind in `root`, by name. Links to folders are left out: what they lead to is not in `root`. So are names that an archive can't have.
    ///
    /// # Errors
    /// If `root` can't be listed.
    pub fn list(root: &Path, kind: RecordKind) -> Result<Vec<Self>, RunError> {
        // Nothing is looked at in a folder that is a link, and what can't be packed isn't shown.
        let names = folder::names(root)?.into_iter().filter(|name| is_name(name) && is_folder(&root.join(name)));
        let ours = names.filter(|name| files::is_there(&root.join(name).join(kind.description())));
        Ok(ours.map(|name| Self { kind, name }).collect())
    }

    /// Whether its name is one of a folder, and can be shown: one that was read may come from elsewhere.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        is_name(&self.name)
    }

    /// The folder that is called so in `root`.
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

/// Whether `name` is one step down a path, which stays one, and can be shown.
fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && !name.contains(['/', '\\']) && files::is_printable(name)
}

fn check_name(name: &str) -> Result<(), RunError> {
    if is_name(name) { Ok(()) } else { Err(RunError::FolderName { name: files::printable(name) }) }
}

/// A folder can't be packed, or an archive unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder isn't what it should be, or is in use.
    #[error(transparent)]
    Folder(#[from] RunError),
    /// What the archive goes to, or comes from, failed; or it's no archive.
    #[error("the archive of `{name}` breaks off")]
    Broken {
        /// The folder's name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It holds something that [`pack`] doesn't put there.
    #[error("the archive of `{name}` has `{entry}`, {problem}: it is not unpacked")]
    Entry {
        /// The folder's name.
        name: String,
        /// Which.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is more in a folder than is looked at.
    #[error("`{name}` has {problem}")]
    TooMuch {
        /// The folder's name.
        name: String,
        /// What.
        problem: &'static str,
    },
    /// A folder is in the place that isn't an older copy of it.
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

    /// For errors of the operating system on a file of ours.
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let error = FileError::io(action, path);
        move |source| error(source).into()
    }
}

#[cfg(test)]
mod tests;
