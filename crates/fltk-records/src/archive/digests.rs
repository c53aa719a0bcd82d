//! Digests of the files of a record, for comparing copies.

use std::{
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    ArchiveError,
    walk::{Exact, Node, walk},
};

/// The number of bytes that are read at once.
const PIECE: usize = 64 << 10;
/// The number of bytes between two progress reports: seconds, on a slow volume.
const TELL_EVERY: u64 = 16 << 20;

/// One file of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// The path, beginning with the record's name.
    pub path: String,
    /// The size, in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
}

/// The progress of [`hash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Some more megabytes of a file were read.
    Within,
    /// A file is done.
    Done(FileDigest),
}

/// Returns the digests of all files of the folder `name` in `root` that [`pack`](super::pack) would pack, in that order.
///
/// # Errors
/// If a file can't be read, or became shorter.
pub fn digests(root: &Path, name: &str) -> Result<Vec<FileDigest>, ArchiveError> {
    let mut all = Vec::new();
    hash(root, name, &mut |step| {
        if let Hashing::Done(file) = step {
            all.push(file);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Like [`digests`], but reports each digest to `tell` when it is done, and the progress within large files now and then. An error from
/// `tell` stops it.
///
/// # Errors
/// If a file can't be read, or became shorter; or [`ArchiveError::Broken`] with the error of `tell`.
pub fn hash(root: &Path, name: &str, tell: &mut dyn FnMut(Hashing) -> io::Result<()>) -> Result<(), ArchiveError> {
    let broken = ArchiveError::broken(name);
    let mut untold = 0;
    walk(root, name, &mut |path, node| {
        let Node::File(file, metadata) = node else { return Ok(()) };
        let (mut file, mut digest, mut piece) = (Exact::new(file, metadata.len()), Sha256::new(), vec![0; PIECE]);
        loop {
            let read = match file.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(ArchiveError::file("read", &root.join(path)))?,
            };
            if read == 0 {
                break;
            }
            digest.update(&piece[..read]);
            untold += read as u64;
            if untold >= TELL_EVERY {
                untold = 0;
                tell(Hashing::Within).map_err(&broken)?;
            }
        }
        let sha256 = hex::encode(digest.finalize());
        tell(Hashing::Done(FileDigest { path: path.to_owned(), bytes: metadata.len(), sha256 })).map_err(&broken)
    })
}
