//! A glimpse of folders of records: all that can be seen without reading them, so that a change is noticed cheaply.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    files::{self, FileError},
    run_folder,
    side_by_side::side_by_side,
};

/// The sizes in bytes and modification times in nanoseconds of the journal and of the description of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub journal: (i64, i64),
    pub description: (i64, i64),
}

impl Stamp {
    /// Returns the stamp of the folder whose description is the file `description`.
    pub(crate) fn of(folder: &Path, description: &str) -> Result<Self, FileError> {
        let of_file = |name: &str| {
            let metadata = files::require_plain(&folder.join(name))?;
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let clamp = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
            Ok((clamp(metadata.len().into()), clamp(modified.as_nanos())))
        };
        Ok(Self { journal: of_file(run_folder::JOURNAL)?, description: of_file(description)? })
    }
}

/// Folders of runs or streams as they were seen at one moment: two that are equal had the same events and the same writers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glimpse(BTreeMap<OsString, Look>);

/// A folder: its files, the time at which its lock was last taken, and whether it is held.
type Look = (Option<Stamp>, Option<SystemTime>, bool);

impl Glimpse {
    /// Looks at the folders of `kind` at `paths`, which were seen before as in `earlier`. A folder that has not changed since, and had no
    /// writer, is taken to have none: the first thing that a writer does is to take the lock, and to
    /// write its name into it.
    #[must_use]
    pub fn of(kind: crate::RecordKind, paths: impl IntoIterator<Item = PathBuf>, earlier: &Self) -> Self {
        let look = |path: &PathBuf| {
            let stamp = Stamp::of(path, kind.description()).ok();
            // Whoever takes it writes into it.
            let taken = fs::symlink_metadata(path.join(run_folder::LOCK)).and_then(|metadata| metadata.modified()).ok();
            let was_idle =
                earlier.0.get(path.as_os_str()).is_some_and(|(before, then, is_locked)| (*before, *then) == (stamp, taken) && !is_locked);
            let is_locked = !was_idle && run_folder::is_locked(path);
            (stamp, taken, is_locked)
        };
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        let looks = side_by_side(&paths, look);
        Self(paths.into_iter().map(PathBuf::into_os_string).zip(looks).collect())
    }

    /// Returns true if no folder was looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        RecordKind, RunFolder, RunRecorder,
        samples::{at, recorded, round, started},
    };

    #[test]
    fn changes_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let mut seen = Glimpse::default();
        let mut has_changed = |what: &str, expected: bool| {
            let next = Glimpse::of(RecordKind::Run, RunFolder::list(root.path()).unwrap(), &seen);
            assert_eq!(next != seen, expected, "{what}");
            seen = next;
        };
        has_changed("an empty folder", false);
        let run = recorded(root.path(), 1, &[started(0)]);
        has_changed("a new run", true);
        has_changed("nothing", false);
        let (mut recorder, _) = RunRecorder::open(run.clone(), "a test").unwrap();
        recorder.record(&round(1, 0.5), at(5)).unwrap();
        has_changed("a writer", true);
        has_changed("nothing while it is there", false);
        recorder.record(&round(2, 0.5), at(6)).unwrap();
        has_changed("an event", true);
        drop(recorder);
        has_changed("the writer is gone", true);
        has_changed("nothing after it", false);
        fs::remove_dir_all(run.path()).unwrap();
        has_changed("the run is gone", true);
    }
}
