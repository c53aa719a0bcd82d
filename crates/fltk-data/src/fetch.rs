//! Getting the published files into the cache: resumable, atomic, safe when several processes fetch at once.
//!
//! ```text
//! lock CACHE/NAME/.lock ── for each file: there and right? done
//!                                          else for each mirror, some times: GET (from where FILE.part ends) ──> FILE.part
//!                                               size and SHA-256 right? sync, rename to FILE      wrong? remove FILE.part
//! ```
//!
//! A file under its own name is always whole and right. What an interruption leaves is `FILE.part`, which the next attempt goes on from; a part
//! that turns out wrong is removed.

mod download;
mod lock;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use fltk_core::experiment::DatasetName;
use fltk_http::{Environment, TrustError};
use sha2::{Digest, Sha256};

use crate::{
    load::Locations,
    sources::{SourceFile, source},
};

/// How long to wait for what, and how often to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// For a name to be resolved, and again for a connection to be made.
    pub connect_timeout: Duration,
    /// Without a byte from the server, before the attempt is given up.
    pub stall_timeout: Duration,
    /// For the whole body of one attempt, however steadily it drips.
    pub body_timeout: Duration,
    /// Passes over all mirrors.
    pub attempts: u32,
    /// Pause after the first pass; doubles with each.
    pub backoff: Duration,
    /// No pause is longer, even if a server's `Retry-After` asks for more.
    pub backoff_max: Duration,
    /// For another process that fetches the same data set.
    pub lock_timeout: Duration,
    /// Whether that says through which proxy, and whose certificates are trusted.
    pub environment: Environment,
}

impl Default for FetchOptions {
    /// For the open internet: patient with slow links (a body may take an hour), not with dead ones (30 s).
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

/// What happens during a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another process holds the lock; we wait.
    Waiting,
    /// The file is in the cache already, and right.
    AlreadyThere {
        /// Its name.
        file: &'a str,
    },
    /// A transfer begins.
    Started {
        /// The file.
        file: &'a str,
        /// From where.
        url: &'a str,
        /// Its size in bytes.
        bytes: u64,
        /// Bytes that an earlier attempt got already.
        offset: u64,
    },
    /// Bytes came in.
    Received {
        /// The file.
        file: &'a str,
        /// Bytes so far, earlier attempts included.
        received: u64,
        /// Its size in bytes.
        bytes: u64,
    },
    /// An attempt failed; there may be others.
    Failed {
        /// The file.
        file: &'a str,
        /// From where.
        url: &'a str,
        /// Why.
        problem: &'a str,
    },
    /// The file is in the cache, and right.
    Done {
        /// Its name.
        file: &'a str,
    },
}

/// Why a data set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The operating system refused.
    #[error("cannot read or write `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody knows where to.
    #[error("neither XDG_CACHE_HOME nor HOME is set\nhint: say where data sets go with `--data DIR`")]
    NoCache,
    /// Another process holds the lock for too long.
    #[error("another process has been fetching into `{}` for {} s\nhint: wait for it, or stop it", folder.display(), waited.as_secs())]
    Locked {
        /// The data set's folder.
        folder: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// No certificates to trust.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No mirror gave the file.
    #[error("cannot fetch `{file}`:{}\nhint: check the connection, or put the file into `{}` by other means", list(.failures), folder.display())]
    Unavailable {
        /// The file.
        file: String,
        /// Where it belongs.
        folder: PathBuf,
        /// The last failure of each mirror.
        failures: Vec<Failure>,
    },
}

/// Why one mirror did not give a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The mirror.
    pub url: String,
    /// Why.
    pub problem: String,
}

fn list(failures: &[Failure]) -> String {
    failures.iter().map(|failure| format!("\n  {}: {}", failure.url, failure.problem)).collect()
}

/// How a file in the cache compares with the table of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Not there.
    Missing,
    /// As published.
    Good,
    /// Something else.
    Wrong {
        /// Its SHA-256, lower-case hex.
        sha256: String,
        /// Its size in bytes.
        bytes: u64,
    },
}

/// Fetches the files of a data set that the cache lacks, with [`FetchOptions::default`]. Does nothing for what is embedded.
///
/// # Errors
/// See [`FetchError`].
pub fn fetch(name: DatasetName, locations: &Locations, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), FetchError> {
    let source = source(name);
    if source.files.is_empty() {
        return Ok(());
    }
    let folder = locations.cache_of(&source).ok_or(FetchError::NoCache)?;
    fetch_files(&source.files, &folder, &FetchOptions::default(), progress)
}

/// Fetches those of `files` that `folder` lacks or has wrong.
///
/// # Errors
/// See [`FetchError`]. Files that came before the error are kept.
pub fn fetch_files(
    files: &[SourceFile],
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
        // Whoever held the lock before may have fetched it.
        if state(file, folder)? == FileState::Good {
            progress(Progress::AlreadyThere { file: &file.name });
            continue;
        }
        let agent = match &agent {
            Some(agent) => agent,
            None => agent.insert(download::agent(options)?),
        };
        download::download(agent, file, folder, options, progress)?;
        progress(Progress::Done { file: &file.name });
    }
    Ok(())
}

/// Compares the cache's files of a data set with the table: each file's name and state. Changes nothing.
///
/// # Errors
/// [`FetchError::Io`] where a file is there but can't be read.
pub fn verify(name: DatasetName, locations: &Locations) -> Result<Vec<(String, FileState)>, FetchError> {
    let source = source(name);
    let folder = locations.cache_of(&source);
    let state = |file: &SourceFile| folder.as_ref().map_or(Ok(FileState::Missing), |folder| state(file, folder));
    source.files.iter().map(|file| Ok((file.name.clone(), state(file)?))).collect()
}

fn state(file: &SourceFile, folder: &Path) -> Result<FileState, FetchError> {
    let path = folder.join(&file.name);
    match digest(&path) {
        Ok((sha256, bytes)) if sha256 == file.sha256 && bytes == file.bytes => Ok(FileState::Good),
        Ok((sha256, bytes)) => Ok(FileState::Wrong { sha256, bytes }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FileState::Missing),
        Err(source) => Err(FetchError::Io { path, source }),
    }
}

/// SHA-256 and size of a file, read in pieces.
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
