//! A single writer per run: a lock on the file `lock`, which the operating system releases when the process ends.

use std::{
    fs::{File, Metadata, TryLockError},
    io::{Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use rustix::fs::OFlags;

use super::{LOCK, RunError};
use crate::files::{self, FileError};

/// Readers take the lock for an instant to see whether there is a writer, so a writer tries this many times, at this interval.
const ATTEMPTS: u32 = 20;
const ATTEMPT_GAP: Duration = Duration::from_millis(5);

/// The right to write a run's folder. Dropping it releases the lock.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct RunLock {
    _file: File,
}

pub(crate) fn take(folder: &Path, who: &str) -> Result<RunLock, RunError> {
    let path = folder.join(LOCK);
    let mut holder = String::new();
    for attempt in 1..=ATTEMPTS {
        // The file isn't truncated on opening: it may be another process's, with its name in it. It is opened again each time: the folder
        // may have been replaced.
        let (mut file, metadata) = files::open(&path, OFlags::RDWR | OFlags::CREATE)?;
        match file.try_lock() {
            Ok(()) if is_at(&path, &metadata) => {
                let written = file.set_len(0).and_then(|()| file.write_all(files::printable(who).as_bytes()));
                written.map_err(FileError::io("write", &path))?;
                return Ok(RunLock { _file: file });
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => std::thread::sleep(ATTEMPT_GAP),
            Err(TryLockError::WouldBlock) => {
                if file.take(1000).read_to_string(&mut holder).is_err() {
                    holder.clear();
                }
            }
            Err(TryLockError::Error(source)) => return Err(FileError::io("lock", &path)(source).into()),
        }
    }
    let holder = if holder.trim().is_empty() { "another process".into() } else { files::printable(holder.trim()) };
    Err(RunError::Locked { path: folder.to_owned(), holder })
}

/// Returns true if the opened file is still the one at `path`: the previous holder of the lock may have replaced the folder.
fn is_at(path: &Path, opened: &Metadata) -> bool {
    path.symlink_metadata().is_ok_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino()))
}

pub(crate) fn is_taken(folder: &Path) -> bool {
    let opened = files::open(&folder.join(LOCK), OFlags::RDONLY);
    opened.is_ok_and(|(file, _)| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
