//! The download of one file over HTTP: mirrors, attempts, resumption, and the checks that make wrong or truncated answers harmless.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use fltk_http::TrustError;
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
};

use super::{Failure, FetchError, FetchOptions, Progress, digest};
use crate::sources::SourceFile;

/// The number of bytes between two reports of progress.
const PIECE: usize = 64 << 10;
/// The largest number of redirects: mirrors redirect to their storage, once or twice.
const REDIRECTS_MAX: u32 = 5;

pub(super) fn agent(options: &FetchOptions) -> Result<Agent, TrustError> {
    let config = fltk_http::config(options.environment)?
        .max_redirects(REDIRECTS_MAX)
        // If the server packed or unpacked a `.gz` file on the way, its size and digest would differ.
        .accept_encoding("identity")
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(Some(options.stall_timeout))
        .timeout_per_write(Some(options.stall_timeout))
        .timeout_recv_response(Some(options.stall_timeout))
        .timeout_recv_body(Some(options.body_timeout));
    Ok(config.build().new_agent())
}

/// The reason why one attempt failed.
#[derive(Debug, thiserror::Error)]
enum Problem {
    /// This is our problem, not the mirror's, and fatal.
    #[error("cannot write `{}`: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Network(String),
    #[error("it answers {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("it ends after {received} of {expected} bytes")]
    Truncated { received: u64, expected: u64 },
    #[error("it offers {offered} bytes where {expected} are expected")]
    Size { offered: u64, expected: u64 },
    #[error("it resumes at another offset than requested (`{0}`)")]
    Range(String),
    #[error("its SHA-256 is {found}, not {expected}")]
    Checksum { found: String, expected: String, resumed: bool },
}

impl Problem {
    /// True if the same mirror may succeed next time.
    fn is_passing(&self) -> bool {
        match self {
            Self::Network(_) | Self::Truncated { .. } | Self::Range(_) => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::RANGE_NOT_SATISFIABLE)
            }
            // In a resumed file, the wrong part may be the one that was there before.
            Self::Checksum { resumed, .. } => *resumed,
            Self::Disk { .. } | Self::Size { .. } => false,
        }
    }
}

/// Fetches `file` into `folder`, trying every mirror `options.attempts` times.
pub(super) fn download(
    agent: &Agent,
    file: &SourceFile<'_>,
    folder: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), FetchError> {
    let mut mirrors: Vec<&str> = file.urls.to_vec();
    let mut failures: Vec<Failure> = Vec::new();
    let mut pause = Duration::ZERO;
    for pass in 0..options.attempts {
        thread::sleep(pause);
        pause = options.backoff.saturating_mul(1 << pass.min(16)).min(options.backoff_max);
        for url in mirrors.clone() {
            let problem = match attempt(agent, file, folder, url, progress) {
                Ok(()) => return Ok(()),
                Err(Problem::Disk { path, source }) => return Err(FetchError::Io { path, source }),
                Err(problem) => problem,
            };
            if let Problem::Status { retry_after: Some(asked), .. } = problem {
                pause = pause.max(asked).min(options.backoff_max);
            }
            if !problem.is_passing() {
                mirrors.retain(|&mirror| mirror != url);
            }
            let problem = problem.to_string();
            progress(Progress::Failed { file: file.name, url, problem: &problem });
            failures.retain(|failure| failure.url != url);
            failures.push(Failure { url: url.to_owned(), problem });
        }
        if mirrors.is_empty() {
            break;
        }
    }
    Err(FetchError::Unavailable { file: file.name.to_owned(), folder: folder.to_path_buf(), failures })
}

/// Makes one attempt at one mirror. If it fails, the bytes that arrived stay in the part file, unless they are known to be wrong.
fn attempt(agent: &Agent, file: &SourceFile<'_>, folder: &Path, url: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Problem> {
    let mut part = Part::open(folder.join(format!("{}.part", file.name)), file.bytes)?;
    let resumed = part.len > 0;
    let result = if part.len < file.bytes { transfer(agent, file, url, &mut part, progress) } else { Ok(()) };
    match result.and_then(|()| part.check(file, resumed)) {
        Ok(()) => part.rename_to(&folder.join(file.name)),
        Err(problem) => {
            let is_worthless = matches!(problem, Problem::Size { .. } | Problem::Checksum { .. } | Problem::Range(_))
                || matches!(problem, Problem::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. });
            if is_worthless || part.len == 0 {
                part.remove()?;
            }
            Err(problem)
        }
    }
}

/// Appends the missing bytes to `part`.
fn transfer(
    agent: &Agent,
    file: &SourceFile<'_>,
    url: &str,
    part: &mut Part,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Problem> {
    let mut request = agent.get(url);
    if part.len > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", part.len));
    }
    let response = request.call().map_err(|error| Problem::Network(fltk_http::problem(&error)))?;
    let offset = offset(&response, part.len, file.bytes)?;
    part.truncate(offset)?;
    progress(Progress::Started { file: file.name, url, bytes: file.bytes, offset });
    let body = response.into_body();
    if let Some(length) = body.content_length()
        && offset.saturating_add(length) != file.bytes
    {
        return Err(Problem::Size { offered: offset.saturating_add(length), expected: file.bytes });
    }
    receive(body, file, part, progress)
}

fn receive(body: Body, file: &SourceFile<'_>, part: &mut Part, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Problem> {
    let mut reader = body.into_reader();
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) if part.len == file.bytes => return Ok(()),
            Ok(0) => return Err(Problem::Truncated { received: part.len, expected: file.bytes }),
            Ok(read) if part.len + read as u64 > file.bytes => {
                return Err(Problem::Size { offered: part.len + read as u64, expected: file.bytes });
            }
            Ok(read) => part.append(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Problem::Network(error.to_string())),
        }
        progress(Progress::Received { file: file.name, received: part.len, bytes: file.bytes });
    }
}

/// Returns the position in the file at which the response's body begins, given that we have `have` bytes. A server may ignore our `Range`
/// and start over.
fn offset(response: &Response<Body>, have: u64, total: u64) -> Result<u64, Problem> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    match response.status() {
        StatusCode::OK => Ok(0),
        StatusCode::PARTIAL_CONTENT => {
            let range = text(header::CONTENT_RANGE).unwrap_or_default();
            let expected = format!("bytes {have}-{}/", total - 1);
            let size = range.strip_prefix(&expected);
            if size.is_some_and(|size| size == "*" || size == total.to_string()) { Ok(have) } else { Err(Problem::Range(range.to_owned())) }
        }
        status => {
            let retry_after = text(header::RETRY_AFTER).and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
            Err(Problem::Status { status, retry_after })
        }
    }
}

/// The file that is being fetched, under its temporary name.
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Part {
    /// Opens the file that an earlier attempt left. If it is longer than the whole file, it can only be wrong and is discarded.
    fn open(path: PathBuf, bytes_max: u64) -> Result<Self, Problem> {
        let open = || {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        let (file, len) = open().map_err(disk(&path))?;
        let mut part = Self { path, file, len };
        part.truncate(if len > bytes_max { 0 } else { len })?;
        Ok(part)
    }

    /// Keeps the first `len` bytes, and appends after them.
    fn truncate(&mut self, len: u64) -> Result<(), Problem> {
        let truncate = || {
            self.file.set_len(len)?;
            (&self.file).seek(SeekFrom::Start(len))
        };
        truncate().map_err(disk(&self.path))?;
        self.len = len;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file.write_all(bytes).map_err(disk(&self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn check(&self, file: &SourceFile<'_>, resumed: bool) -> Result<(), Problem> {
        let (found, _) = digest(&self.path).map_err(disk(&self.path))?;
        if found == file.sha256 { Ok(()) } else { Err(Problem::Checksum { found, expected: file.sha256.to_owned(), resumed }) }
    }

    /// Gives the file its final name, once its content is safely on disk.
    fn rename_to(self, path: &Path) -> Result<(), Problem> {
        let rename = || {
            self.file.sync_all()?;
            fs::rename(&self.path, path)?;
            // The name must be on disk too: a directory is synced by opening it.
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        rename().map_err(disk(path))
    }

    fn remove(self) -> Result<(), Problem> {
        fs::remove_file(&self.path).map_err(disk(&self.path))
    }
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> Problem {
    let path = path.to_path_buf();
    |source| Problem::Disk { path, source }
}
