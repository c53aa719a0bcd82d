//! What the files of a record hold, in short: for comparing copies.

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

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// One file of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Where it is, beginning with the record's name.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
}

/// All files of the folder `name` in `root` that [`pack`](super::pack) would pack, in that order.
///
/// # Errors
/// If a file can't be read, or became shorter.
pub fn digests(root: &Path, name: &str) -> Result<Vec<FileDigest>, ArchiveError> {
    let mut all = Vec::new();
    walk(root, name, &mut |path, node| {
        if let Node::File(file, metadata) = node {
            let sha256 = sha256(Exact::new(file, metadata.len())).map_err(ArchiveError::file("read", &root.join(path)))?;
            all.push(FileDigest { path: path.to_owned(), bytes: metadata.len(), sha256 });
        }
        Ok(())
    })?;
    Ok(all)
}

fn sha256(mut file: impl Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&piece[..read]),
        }
    }
}
