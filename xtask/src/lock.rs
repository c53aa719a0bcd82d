//! A lock file that several processes take in turn. The system releases the lock when its holder ends, in whatever way.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// The longest wait: longer than the longest work under a lock, a whole `cargo xtask test` from scratch.
const WAIT_MAX: Duration = Duration::from_secs(2 * 3600);

/// The interval between attempts to take a lock that another process holds.
const POLL: Duration = Duration::from_millis(200);

/// Takes the lock `path`, which is held until the returned file is dropped. `purpose` appears in the message while waiting.
pub fn take(path: &Path, purpose: &str) -> anyhow::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    }
    let file = File::options().create(true).append(true).open(path).with_context(|| format!("can't open `{}`", path.display()))?;
    let deadline = Instant::now() + WAIT_MAX;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("can't lock `{}`", path.display())),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                bail!("`{}` was not released in {} s; another process is still {purpose}", path.display(), WAIT_MAX.as_secs())
            }
            Err(TryLockError::WouldBlock) => {
                if !said {
                    eprintln!("waiting for another process that is {purpose}");
                    said = true;
                }
                thread::sleep(POLL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_process_waits_for_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("lock");
        let first = take(&path, "testing").unwrap();
        let other = File::options().append(true).open(&path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        let second = thread::spawn({
            let path = path.clone();
            move || take(&path, "testing").map(drop)
        });
        drop(first);
        second.join().unwrap().unwrap();
    }
}
