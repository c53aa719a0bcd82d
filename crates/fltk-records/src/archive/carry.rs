//! Carries over what an older copy has and the new one lacks: the older copy may contain notes, or the only checkpoints that are left.
//!
//! ```text
//! older copy: journal (10 lines)  metrics.csv  checkpoints/5, 6, 9  notes.txt
//! new copy:   journal (20 lines)  metrics.csv  checkpoints/9, 10
//! together:   the new copy, and notes.txt of the older one
//! ```
//!
//! Files that are in both are taken from the new copy. TensorBoard's event files, of which the older copy has the beginning, remain the
//! older copy's files with the rest appended, since TensorBoard may have them open. Anything that the writer itself would have removed is
//! left out, namely checkpoints older than those that are kept and states of clients that these don't need; and so are derived files.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use fltk_core::ids::Round;

use super::{ArchiveError, DEPTH_MAX, ENTRIES_MAX};
use crate::{
    FileError,
    checkpoint::{CheckpointStore, KEPT},
    client_states, derived,
    files::{self, TEMPORARY_PREFIX},
    history::Unit,
    index,
    run_folder::{CHECKPOINTS, CLIENT_STATES, LOCK},
    stream_folder, tensorboard,
};

/// Adds to the folder `new` what only `old` has. `old` isn't changed, except that its event files grow: files are hard-linked, or copied if
/// linking fails.
///
/// # Errors
/// [`ArchiveError::Another`] if a folder in one copy is something else in the other; or if a file can't be linked or copied.
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

/// Returns the checkpoints and the states of clients in `old` that would have been removed when those in `new` were saved.
fn outdated(old: &Path, new: &Path) -> Result<BTreeSet<PathBuf>, ArchiveError> {
    let folder = old.join(CHECKPOINTS);
    let mut outdated = BTreeSet::new();
    for unit in [Unit::Round, Unit::Epoch] {
        let newer = CheckpointStore::new(new.join(CHECKPOINTS), unit);
        let Some(oldest) = newer.oldest_of(KEPT).map_err(crate::RunError::from)? else { continue };
        let names = CheckpointStore::new(folder.clone(), unit).outdated(oldest).map_err(crate::RunError::from)?;
        outdated.extend(names.into_iter().map(|name| folder.join(name)));
        if unit == Unit::Round {
            outdated.extend(client_states::outdated(&old.join(CLIENT_STATES), Round(oldest.completed))?);
        }
    }
    Ok(outdated)
}

struct Carry<'a> {
    old: &'a Path,
    /// Returns true if the path is not carried over.
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

/// Makes a hard link to a file, or to a link itself; or a copy if the file system has no hard links.
fn link(from: &Path, to: &Path) -> Result<(), FileError> {
    let Err(problem) = fs::hard_link(from, to) else { return Ok(()) };
    if files::require_plain(from).is_err() {
        return Err(FileError::io("keep", from)(problem));
    }
    let copied = fs::copy(from, to).and_then(|_| fs::File::open(to)?.sync_all());
    copied.map_err(FileError::io("copy", from))
}
