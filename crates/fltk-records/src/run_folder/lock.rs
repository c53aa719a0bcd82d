//! One writer per run: a lock on the file `lock`, which the operating system gives back when the process ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    path::Path,
    time::Duration,
};

use super::{LOCK, RunError};
use crate::files::{self, FileError};

/// Readers take the lock for an instant to see whether there is a writer; a writer looks again this many times, this far apart.
const ATTEMPTS: u32 = 20;
const ATTEMPT_GAP: Duration = Duration::from_millis(5);

/// The right to write a run's folder. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct RunLock {
    _file: File,
}

pub(crate) fn take(folder: &Path, who: &str) -> Result<RunLock, RunError> {
    let path = folder.join(LOCK);
    if path.exists() {
        files::require_plain(&path)?;
    }
    // Not truncated on opening: it may be another's, with a name in it.
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(FileError::io("open", &path))?;
    for attempt in 1..=ATTEMPTS {
        match file.try_lock() {
            Ok(()) => {
                let written = file.set_len(0).and_then(|()| file.write_all(files::printable(who).as_bytes()));
                written.map_err(FileError::io("write", &path))?;
                return Ok(RunLock { _file: file });
            }
            Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => std::thread::sleep(ATTEMPT_GAP),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(source)) => return Err(FileError::io("lock", &path)(source).into()),
        }
    }
    let mut holder = String::new();
    let read = file.take(1000).read_to_string(&mut holder);
    if read.is_err() || holder.trim().is_empty() {
        holder = "another process".into();
    }
    Err(RunError::Locked { path: folder.to_owned(), holder: files::printable(holder.trim()) })
}

pub(crate) fn is_taken(folder: &Path) -> bool {
    let path = folder.join(LOCK);
    if files::require_plain(&path).is_err() {
        return false;
    }
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
