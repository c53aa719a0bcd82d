//! Checkpoints: folders that exist either completely or not at all, and are verified when they are read.
//!
//! `checkpoints/round-000020/` (or `epoch-000020/`; `epoch-000020-step-000500/` within the epoch after it) holds the files that training
//! supplied, and `manifest.json` with the size and SHA-256 of each. It is written as `.new-...`, every file is synced, then it is renamed,
//! then its parent is synced. So after a kill a checkpoint is either complete or not listed. One that was damaged later fails its digests,
//! and the previous one is used.
//!
//! This module doesn't interpret the files. `parameters_sha256` in the journal's events is the digest that training computes over names,
//! shapes and little-endian values in state-dict order; it shows whether two runs agree, independent of file formats.

mod manifest;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use fltk_core::milestone::Milestone;

pub use self::manifest::FileDigest;
use self::manifest::Manifest;
use crate::{
    files::{self, FileError, TEMPORARY_PREFIX},
    history::Unit,
};

/// The limit on files of a checkpoint.
const FILES_MAX: usize = 4096;
/// The limit on bytes of all files of a checkpoint, which are held in memory: ten times the largest net of the catalog with Adam's moments.
const BYTES_MAX: u64 = 8 << 30;
/// The largest `manifest.json`, in bytes.
const MANIFEST_BYTES_MAX: u64 = 2 << 20;
/// The limit on names that are read in the folder of checkpoints.
const CHECKPOINTS_MAX: usize = 100_000;

/// The number of complete checkpoints that a run keeps: the one to resume from, and one before it in case that is damaged.
pub const KEPT: usize = 2;

const MANIFEST: &str = "manifest.json";
/// The name of a checkpoint while it is being removed.
const OLD: &str = "old";

/// The files of one checkpoint, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A checkpoint can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file's name could lead out of the folder.
    #[error(
        "`{name}` can't be the name of a file in a checkpoint: letters, digits, `.`, `-` and `_` are allowed, 1 to 100 of them, not `.` first"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The files exceed the limits of a checkpoint.
    #[error("a checkpoint of {num_files} files with {num_bytes} bytes is too large: it may have {FILES_MAX} files with {BYTES_MAX} bytes")]
    TooLarge {
        /// The number of files.
        num_files: usize,
        /// Their total size, in bytes.
        num_bytes: u64,
    },
    /// The content is not what was written.
    #[error("checkpoint `{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The problem with it.
        problem: String,
    },
}

/// A checkpoint that was read and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The milestone at which it was taken.
    pub at: Milestone,
    /// Its files.
    pub files: Files,
}

/// The newest complete checkpoint, and the damaged ones that were skipped to find it.
#[derive(Debug, Default)]
pub struct Latest {
    /// The checkpoint; `None` if there is no complete one.
    pub checkpoint: Option<Checkpoint>,
    /// The damaged newer ones, for a warning; the newest first.
    pub skipped: Vec<CheckpointError>,
}

/// A checkpoint in a listing: its content has not been verified.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// The milestone at which it was taken.
    pub at: Milestone,
    /// Its folder.
    pub path: PathBuf,
    /// The size of its files, in bytes.
    pub num_bytes: u64,
}

/// The checkpoints of one run. A caller that saves or prunes must hold the run's [lock](crate::RunFolder::lock).
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    unit: Unit,
}

impl CheckpointStore {
    /// Creates the store of the checkpoints in `folder`, each taken after a round or an epoch according to `unit`.
    #[must_use]
    pub fn new(folder: PathBuf, unit: Unit) -> Self {
        Self { folder, unit }
    }

    /// Saves `files` as the checkpoint at `at`; it is on disk when this returns. An existing checkpoint is replaced, unless it is
    /// identical.
    ///
    /// # Errors
    /// If a name isn't allowed, the files are too large, or the checkpoint can't be written. No checkpoint has changed then.
    pub fn save(&self, at: Milestone, files: &Files) -> Result<(), CheckpointError> {
        let num_bytes = files.values().map(|bytes| bytes.len() as u64).sum();
        if files.len() > FILES_MAX || num_bytes > BYTES_MAX {
            return Err(CheckpointError::TooLarge { num_files: files.len(), num_bytes });
        }
        if let Some(name) = files.keys().find(|name| !is_allowed(name)) {
            return Err(CheckpointError::Name { name: files::printable(name) });
        }
        // Copies of runs often lack empty folders.
        fs::create_dir_all(&self.folder).map_err(FileError::io("create", &self.folder))?;
        files::require_folder(&self.folder)?;
        files::sweep(&self.folder)?;
        let manifest = Manifest::of(self.unit, at, files);
        let path = self.path(at);
        if self.read_manifest(at).is_ok_and(|there| there == manifest) && self.load(at).is_ok() {
            return Ok(());
        }

        let new = self.temporary()?;
        for (name, bytes) in files {
            files::write_new(&new.path().join(name), bytes)?;
        }
        files::write_new(&new.path().join(MANIFEST), &manifest.to_json())?;
        files::sync_folder(new.path())?;
        // A folder can't be renamed over a non-empty one.
        if files::is_there(&path) {
            let old = files::put_in_place_of(new, &path)?;
            return Ok(files::sync_then_remove(&self.folder, old)?);
        }
        fs::rename(new.path(), &path).map_err(FileError::io("rename to", &path))?;
        let _renamed_not_removed = new.keep();
        Ok(files::sync_folder(&self.folder)?)
    }

    /// Reads and verifies the checkpoint at `at`.
    ///
    /// # Errors
    /// If it doesn't exist, can't be read, or isn't what was written.
    pub fn load(&self, at: Milestone) -> Result<Checkpoint, CheckpointError> {
        let manifest = self.read_manifest(at)?;
        let path = self.path(at);
        let mut files = Files::new();
        for (name, digest) in manifest.files {
            let bytes = files::read_in(&path, &name, digest.num_bytes)?;
            if FileDigest::of(&bytes) != digest {
                return Err(CheckpointError::Damaged { path, problem: format!("`{name}` is not what was written: its SHA-256 differs") });
            }
            files.insert(name, bytes);
        }
        Ok(Checkpoint { at, files })
    }

    /// Returns the newest complete checkpoint, among those whose milestone `is_known`.
    ///
    /// # Errors
    /// If the checkpoints can't be listed.
    pub fn latest(&self, is_known: impl Fn(Milestone) -> bool) -> Result<Latest, CheckpointError> {
        let mut latest = Latest::default();
        for at in self.milestones()?.into_iter().rev().filter(|at| is_known(*at)) {
            match self.load(at) {
                Ok(checkpoint) => {
                    latest.checkpoint = Some(checkpoint);
                    break;
                }
                Err(error) => latest.skipped.push(error),
            }
        }
        Ok(latest)
    }

    /// Lists the checkpoints with an intact manifest and files of the right sizes, the oldest first.
    ///
    /// # Errors
    /// If they can't be listed.
    pub fn list(&self) -> Result<Vec<Listed>, CheckpointError> {
        Ok(self.milestones()?.into_iter().filter_map(|at| self.look_at(at)).collect())
    }

    /// Removes all but the `keep` newest (at least one) of those whose milestone `is_known`. Damaged and unknown ones don't count; all that
    /// are older than the oldest one kept are removed too. Returns the milestone of the oldest one kept; `None` if there is none.
    ///
    /// # Errors
    /// If one can't be removed.
    pub fn prune(&self, keep: usize, is_known: impl Fn(Milestone) -> bool) -> Result<Option<Milestone>, CheckpointError> {
        files::sweep(&self.folder)?;
        let whole: Vec<Listed> = self.list()?.into_iter().filter(|listed| is_known(listed.at)).collect();
        let Some(oldest_kept) = whole.get(whole.len().saturating_sub(keep.max(1))) else { return Ok(None) };
        for at in self.milestones()?.into_iter().filter(|at| *at < oldest_kept.at) {
            drop(self.move_away(&self.path(at))?);
        }
        files::sync_folder(&self.folder)?;
        Ok(Some(oldest_kept.at))
    }

    /// Returns the milestone of the oldest checkpoint that pruning to `keep` would leave here; `None` if there are fewer whole ones.
    pub(crate) fn oldest_of(&self, keep: usize) -> Result<Option<Milestone>, CheckpointError> {
        let whole = self.list()?;
        Ok(whole.len().checked_sub(keep.max(1)).and_then(|at| whole.get(at)).map(|listed| listed.at))
    }

    /// Returns the names of the checkpoints here that pruning would have removed if `oldest_kept` were the oldest to stay.
    pub(crate) fn outdated(&self, oldest_kept: Milestone) -> Result<Vec<String>, CheckpointError> {
        let outdated = self.milestones()?.into_iter().filter(|at| *at < oldest_kept);
        Ok(outdated.filter_map(|at| Some(self.path(at).file_name()?.to_str()?.to_owned())).collect())
    }

    /// Returns the path that the checkpoint at `at` has, or would have.
    #[must_use]
    pub fn path(&self, at: Milestone) -> PathBuf {
        let Milestone { completed, steps } = at;
        let whole = format!("{}-{completed:06}", self.unit.name());
        self.folder.join(if steps == 0 { whole } else { format!("{whole}-step-{steps:06}") })
    }

    /// Returns the milestones that have a folder, ascending; their content isn't checked.
    fn milestones(&self) -> Result<Vec<Milestone>, FileError> {
        // A link would lead to another run's checkpoints.
        let listed = files::require_folder(&self.folder).and_then(|()| files::names_in(&self.folder, CHECKPOINTS_MAX));
        let names = match listed {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            names => names?,
        };
        let milestone = |name: &str| -> Option<Milestone> {
            let name_at = name.strip_prefix(self.unit.name())?.strip_prefix('-')?;
            let (completed, steps) = name_at.split_once("-step-").unwrap_or((name_at, "0"));
            let at = Milestone { completed: completed.parse().ok()?, steps: steps.parse().ok()? };
            // The name must be exactly as we write it: no sign, and the same number of zeros.
            (self.path(at).file_name()? == name).then_some(at)
        };
        let mut milestones: Vec<Milestone> = names.iter().filter_map(|name| milestone(name)).collect();
        milestones.sort_unstable();
        Ok(milestones)
    }

    fn look_at(&self, at: Milestone) -> Option<Listed> {
        let path = self.path(at);
        let manifest = self.read_manifest(at).ok()?;
        let is_there = |(name, digest): (&String, &FileDigest)| {
            files::require_plain(&path.join(name)).is_ok_and(|metadata| metadata.len() == digest.num_bytes)
        };
        manifest.files.iter().all(is_there).then(|| Listed { at, num_bytes: manifest.num_bytes(), path })
    }

    fn read_manifest(&self, at: Milestone) -> Result<Manifest, CheckpointError> {
        let path = self.path(at);
        let bytes = files::read_in(&path, MANIFEST, MANIFEST_BYTES_MAX)?;
        let damaged = |problem| CheckpointError::Damaged { path, problem };
        let manifest = Manifest::from_json(&bytes).map_err(damaged.clone())?;
        manifest.check(self.unit, at).map_err(damaged)?;
        Ok(manifest)
    }

    fn temporary(&self) -> Result<tempfile::TempDir, FileError> {
        let new = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(&self.folder);
        new.map_err(FileError::io("create a folder in", &self.folder))
    }

    /// Takes a checkpoint out of the list in one step; it is removed when the returned folder is dropped, or by the next sweep.
    fn move_away(&self, path: &Path) -> Result<tempfile::TempDir, FileError> {
        let away = self.temporary()?;
        fs::rename(path, away.path().join(OLD)).map_err(FileError::io("remove", path))?;
        Ok(away)
    }
}

/// Returns true if a checkpoint may have a file of this name.
fn is_allowed(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    (1..=100).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed) && name != MANIFEST
}

#[cfg(test)]
mod tests;
