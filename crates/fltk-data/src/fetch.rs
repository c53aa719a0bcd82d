//! Downloads of the published files into the cache: resumable, atomic, and safe when several processes fetch at once.
//!
//! ```text
//! lock CACHE/NAME/.lock ── for each file: there and right? done
//!                                          else for each mirror, some times: GET (from where FILE.part ends) ──> FILE.part
//!                                               size and SHA-256 right? sync, rename to FILE      wrong? remove FILE.part
//! ```
//!
//! A file under its own name is always complete and correct. An interruption leaves `FILE.part`, which the next attempt resumes; a partial file
//! that turns out to be wrong is removed.

mod download;
mod lock;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use fltk_http::{Environment, TrustError};
use sha2::{Digest, Sha256};

use crate::{
    load::Locations,
    sources::{Source, SourceFile},
};

/// The time limits of a fetch, and the number of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// The limit for resolving a name, and again for making a connection.
    pub connect_timeout: Duration,
    /// The limit for waiting without a byte from the server, after which the attempt fails.
    pub stall_timeout: Duration,
    /// The limit for the whole body of one attempt, even if bytes keep arriving.
    pub body_timeout: Duration,
    /// The number of passes over all mirrors.
    pub attempts: u32,
    /// The pause after the first pass; it doubles with each pass.
    pub backoff: Duration,
    /// The longest pause, even if a server's `Retry-After` asks for more.
    pub backoff_max: Duration,
    /// The limit for waiting for another process that fetches the same data set.
    pub lock_timeout: Duration,
    /// The setting that says whether the environment determines the proxy and the trusted certificates.
    pub environment: Environment,
}

impl Default for FetchOptions {
    /// Returns limits for the open internet: patient with slow links (a body may take an hour), but not with dead ones (30 s).
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(3600),
            attempts: 4,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(3600),
            environment: Environment::Applies,
        }
    }
}

/// The progress of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another process holds the lock, and this one waits.
    Waiting,
    /// The file is already in the cache, and correct.
    AlreadyThere {
        /// The name of the file.
        file: &'a str,
    },
    /// A transfer begins.
    Started {
        /// The file.
        file: &'a str,
        /// The URL.
        url: &'a str,
        /// The size of the file, in bytes.
        bytes: u64,
        /// The number of bytes that an earlier attempt has already fetched.
        offset: u64,
    },
    /// Bytes arrived.
    Received {
        /// The file.
        file: &'a str,
        /// The number of bytes so far, including earlier attempts.
        received: u64,
        /// The size of the file, in bytes.
        bytes: u64,
    },
    /// An attempt failed; others may follow.
    Failed {
        /// The file.
        file: &'a str,
        /// The URL.
        url: &'a str,
        /// The reason.
        problem: &'a str,
    },
    /// The file is in the cache, and correct.
    Done {
        /// The name of the file.
        file: &'a str,
    },
}

/// The reason why a data set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The operating system reported an error.
    #[error("cannot read or write `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// No cache folder is known.
    #[error("neither XDG_CACHE_HOME nor HOME is set\nhint: set the folder of data sets with `--data DIR`")]
    NoCache,
    /// Another process held the lock for too long.
    #[error("another process has been fetching into `{}` for {} s\nhint: wait for it, or stop it", folder.display(), waited.as_secs())]
    Locked {
        /// The data set's folder.
        folder: PathBuf,
        /// The time waited.
        waited: Duration,
    },
    /// There are no trusted certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No mirror provided the file.
    #[error("cannot fetch `{file}`:{}\nhint: check the connection, or put the file into `{}` by other means", list(.failures), folder.display())]
    Unavailable {
        /// The file.
        file: String,
        /// The folder where it belongs.
        folder: PathBuf,
        /// The last failure of each mirror.
        failures: Vec<Failure>,
    },
}

/// The reason why one mirror did not provide a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The mirror.
    pub url: String,
    /// The reason.
    pub problem: String,
}

fn list(failures: &[Failure]) -> String {
    failures.iter().map(|failure| format!("\n  {}: {}", failure.url, failure.problem)).collect()
}

/// The state of a file in the cache, compared with the table of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// The file is not there.
    Missing,
    /// The file is as published.
    Good,
    /// The file differs from the published one.
    Wrong {
        /// The SHA-256 of the file, in lower-case hex.
        sha256: String,
        /// The size of the file, in bytes.
        bytes: u64,
    },
}

/// Fetches the files of a data set that the cache lacks, with [`FetchOptions::default`]. Does nothing for an embedded data set.
///
/// # Errors
/// See [`FetchError`].
pub fn fetch(source: &Source, locations: &Locations, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), FetchError> {
    if source.files.is_empty() {
        return Ok(());
    }
    let folder = locations.cache_of(source).ok_or(FetchError::NoCache)?;
    fetch_files(source.files, &folder, &FetchOptions::default(), progress)
}

/// Fetches those of `files` that are missing or wrong in `folder`.
///
/// # Errors
/// See [`FetchError`]. Files that were fetched before the error are kept.
pub fn fetch_files(
    files: &[SourceFile<'_>],
    folder: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), FetchError> {
    if files.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|source| FetchError::Io { path: folder.to_path_buf(), source })?;
    let _lock = lock::acquire(folder, options.lock_timeout, progress)?;
    let mut agent = None;
    for file in files {
        // The process that held the lock before may have fetched the file.
        if state(file, folder)? == FileState::Good {
            progress(Progress::AlreadyThere { file: file.name });
            continue;
        }
        let agent = match &agent {
            Some(agent) => agent,
            None => agent.insert(download::agent(options)?),
        };
        download::download(agent, file, folder, options, progress)?;
        progress(Progress::Done { file: file.name });
    }
    Ok(())
}

/// Compares the cache's files of a data set with the table, and returns each file's name and state. Changes nothing.
///
/// # Errors
/// [`FetchError::Io`] if a file exists but can't be read.
pub fn verify(source: &Source, locations: &Locations) -> Result<Vec<(String, FileState)>, FetchError> {
    let folder = locations.cache_of(source);
    let state = |file: &SourceFile<'_>| folder.as_ref().map_or(Ok(FileState::Missing), |folder| state(file, folder));
    source.files.iter().map(|file| Ok((file.name.to_owned(), state(file)?))).collect()
}

fn state(file: &SourceFile<'_>, folder: &Path) -> Result<FileState, FetchError> {
    let path = folder.join(file.name);
    match digest(&path) {
        Ok((sha256, bytes)) if sha256 == file.sha256 && bytes == file.bytes => Ok(FileState::Good),
        Ok((sha256, bytes)) => Ok(FileState::Wrong { sha256, bytes }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FileState::Missing),
        Err(source) => Err(FetchError::Io { path, source }),
    }
}

/// Returns the SHA-256 and size of a file, which is read in pieces.
fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut hash = HashWriter(Sha256::new());
    let bytes = io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok((hex::encode(hash.0.finalize()), bytes))
}

struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
