//! The lock that lets one process at a time fetch into a folder. The operating system releases the lock with its holder, so a killed process
//! leaves none.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{FetchError, Progress};

/// The interval between attempts to take a held lock: long enough to cost nothing, short enough to go unnoticed next to a download.
const POLL: Duration = Duration::from_millis(50);

/// Takes the folder's lock, waiting at most `timeout` for the current holder. The lock is held as long as the returned file is open.
pub(super) fn acquire(folder: &Path, timeout: Duration, progress: &mut dyn FnMut(Progress<'_>)) -> Result<File, FetchError> {
    let path = folder.join(".lock");
    let io = |source| FetchError::Io { path: path.clone(), source };
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(io)?;
    let started = Instant::now();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(io(source)),
            Err(TryLockError::WouldBlock) if started.elapsed() >= timeout => {
                return Err(FetchError::Locked { folder: folder.to_path_buf(), waited: started.elapsed() });
            }
            Err(TryLockError::WouldBlock) => {
                if !told {
                    progress(Progress::Waiting);
                    told = true;
                }
                thread::sleep(POLL.min(timeout));
            }
        }
    }
}
