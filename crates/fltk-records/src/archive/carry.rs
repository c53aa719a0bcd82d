//! What an older copy has and the new one hasn't goes on: a copy may have notes in it, or the only checkpoints that are left.
//!
//! ```text
//! older copy: journal (10 lines)  metrics.csv  checkpoints/5, 6, 9  notes.txt
//! new copy:   journal (20 lines)  metrics.csv  checkpoints/9, 10
//! together:   the new copy, and of the older one notes.txt
//! ```
//!
//! Files that are in both are as in the new one; TensorBoard's, of which the older copy has the beginning, are the older copy's with the rest at their end,
//! since it may have them open. Left out is what the writer itself would have removed: checkpoints before those that are kept; and what is
//! made from the journal.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{ArchiveError, DEPTH_MAX, ENTRIES_MAX};
use crate::{
    FileError,
    checkpoint::{CheckpointStore, KEPT},
    derived,
    files::{self, TEMPORARY_PREFIX},
    history::Unit,
    index,
    run_folder::{CHECKPOINTS, LOCK},
    stream_folder, tensorboard,
};

/// Adds to the folder `new` what only `old` has. `old` stays as it is, but for more in its event files: files are linked, or copied where that can't be.
///
/// # Errors
/// [`ArchiveError::Another`] if a folder in one is something else in the other; or if a file can't be linked or copied.
pub(super) fn carry(old: &Path, new: &Path) -> Result<(), ArchiveError> {
    let outdated = outdated(old, new)?;
    let is_left = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_top = path.parent() == Some(old);
        name.starts_with(TEMPORARY_PREFIX)
            || index::was_one(name)
            || is_top && (name == LOCK || derived::is_derived(name) || stream_folder::derived::is_derived(name))
            || outdated.contains(path)
    };
    Carry { old, is_left: &is_left, entries: 0 }.folder(old, new, 1)?;
    Ok(tensorboard::keep_open(old, new)?)
}

/// Checkpoints in `old` that would have been removed when those in `new` were saved.
fn outdated(old: &Path, new: &Path) -> Result<BTreeSet<PathBuf>, ArchiveError> {
    let folder = old.join(CHECKPOINTS);
    let mut outdated = BTreeSet::new();
    for unit in [Unit::Round, Unit::Epoch] {
        let store = |folder: PathBuf| CheckpointStore::new(folder, unit);
        let names = store(folder.clone()).outdated(&store(new.join(CHECKPOINTS)), KEPT).map_err(crate::RunError::from)?;
        outdated.extend(names.into_iter().map(|name| folder.join(name)));
    }
    Ok(outdated)
}

struct Carry<'a> {
    old: &'a Path,
    /// Whether something is not carried over.
    is_left: &'a dyn Fn(&Path) -> bool,
    entries: usize,
}

impl Carry<'_> {
    fn folder(&mut self, old: &Path, new: &Path, depth: usize) -> Result<(), ArchiveError> {
        let mut is_changed = false;
        for entry in fs::read_dir(old).map_err(ArchiveError::file("list", old))? {
            let entry = entry.map_err(ArchiveError::file("list", old))?;
            let (from, to) = (entry.path(), new.join(entry.file_name()));
            self.entries += 1;
            if depth > DEPTH_MAX || self.entries > ENTRIES_MAX {
                return Err(ArchiveError::Another { path: self.old.to_owned() });
            }
            if (self.is_left)(&from) {
                continue;
            }
            let is_folder = entry.file_type().map_err(ArchiveError::file("read", &from))?.is_dir();
            match fs::symlink_metadata(&to) {
                Ok(there) if there.is_dir() != is_folder => return Err(ArchiveError::Another { path: self.old.to_owned() }),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    is_changed = true;
                    if is_folder {
                        fs::create_dir(&to).map_err(ArchiveError::file("create", &to))?;
                    } else {
                        link(&from, &to)?;
                    }
                }
                Err(error) => return Err(ArchiveError::file("read", &to)(error)),
            }
            if is_folder {
                self.folder(&from, &to, depth + 1)?;
            }
        }
        if is_changed { Ok(files::sync_folder(new)?) } else { Ok(()) }
    }
}

/// A second name for a file, or a link itself; where the file system has none, a copy.
fn link(from: &Path, to: &Path) -> Result<(), FileError> {
    let Err(problem) = fs::hard_link(from, to) else { return Ok(()) };
    if files::require_plain(from).is_err() {
        return Err(FileError::io("keep", from)(problem));
    }
    let copied = fs::copy(from, to).and_then(|_| fs::File::open(to)?.sync_all());
    copied.map_err(FileError::io("copy", from))
}
