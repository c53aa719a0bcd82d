//! Reading within limits, and writing so that a file is either the old one or the new one.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("can't {action} `{}`", path.display())]
    Io {
        /// What was tried: `read`, `write`, ...
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It is larger than anything fltk writes.
    #[error("`{}` has more than {bytes_max} bytes, the most that is read", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit, in bytes.
        bytes_max: u64,
    },
    /// A link, a folder or a device where a plain file should be.
    #[error("`{}` is not a plain file", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
}

impl FileError {
    /// For `map_err`: what was tried, and where.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether it is about a file that isn't there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Refuses what is not a plain file: run folders come from elsewhere, and a link or a pipe in one would lead out of it or block.
pub(crate) fn require_plain(path: &Path) -> Result<fs::Metadata, FileError> {
    let metadata = fs::symlink_metadata(path).map_err(FileError::io("read", path))?;
    if metadata.is_file() { Ok(metadata) } else { Err(FileError::NotAFile { path: path.to_owned() }) }
}

/// Most bytes of memory that are set aside on a file's word.
const CAPACITY_BYTES_MAX: u64 = 16 << 20;

/// The content of the plain file at `path`, if it has at most `bytes_max` bytes.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let too_large = || FileError::TooLarge { path: path.to_owned(), bytes_max };
    let size = require_plain(path)?.len();
    if size > bytes_max {
        return Err(too_large());
    }
    // A sparse file claims any size: beyond this, room is made for what is read only.
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(CAPACITY_BYTES_MAX)).unwrap_or(0));
    let file = File::open(path).map_err(FileError::io("read", path))?;
    // It may have grown since: the limit holds while reading too.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes) }
}

/// Writes a new file at `path`, which must not exist, and syncs it. Its folder is not synced: several files share that.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = File::create_new(path).map_err(FileError::io("create", path))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    file.sync_all().map_err(FileError::io("sync", path))
}

/// Puts a file with this content at `path`: temporary file, sync, rename, sync of the folder. What stood there before is replaced in
/// one step. Returns the new file, open for appending.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<File, FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(file_permissions())
        .tempfile_in(folder)
        .map_err(FileError::io("write in", folder))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    file.as_file().sync_all().map_err(FileError::io("sync", path))?;
    let file = file.persist(path).map_err(|error| FileError::io("rename to", path)(error.error))?;
    sync_folder(folder)?;
    Ok(file)
}

/// Names that begin with this are unfinished and never looked at.
pub(crate) const TEMPORARY_PREFIX: &str = ".new-";

/// Removes what an interrupted writer left in `folder`. Only for its one writer.
pub(crate) fn sweep(folder: &Path) -> Result<(), FileError> {
    /// More names than a run's folder or its checkpoints ever have.
    const NAMES_MAX: usize = 1_000_000;
    let names = match names_in(folder, NAMES_MAX) {
        Err(error) if error.is_not_found() => return Ok(()),
        names => names?,
    };
    for name in names.iter().filter(|name| name.starts_with(TEMPORARY_PREFIX)) {
        let path = folder.join(name);
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(FileError::io("remove", &path))?;
    }
    Ok(())
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(FileError::io("sync", folder))
}

/// A new file's permissions before the umask: temporary files are private to their owner, a run's records are as the umask says.
fn file_permissions() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o666)
}

/// The names in `folder`, sorted; those that aren't UTF-8 are none of ours. At most `num_max` are looked at.
pub(crate) fn names_in(folder: &Path, num_max: usize) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::io("list", folder))?.take(num_max) {
        let entry = entry.map_err(FileError::io("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Longest text of a description or a summary, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;

/// Whether a text from elsewhere can be shown as it is: no control characters, not too long.
pub(crate) fn is_printable(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Text from a file for a terminal or a table: control characters, which could move a cursor, become spaces; at most 500 characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_new(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(read(&path, 4), Err(FileError::TooLarge { bytes_max: 4, .. })));
        assert!(matches!(read(folder.path(), 5), Err(FileError::NotAFile { .. })));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(read(&link, 5), Err(FileError::NotAFile { .. })));
    }

    #[test]
    fn replacing_leaves_no_temporary_file_and_the_handle_appends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"old").unwrap();
        let mut file = replace(&path, b"new").unwrap();
        file.write_all(b"er").unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"newer");
        assert_eq!(names_in(folder.path(), 10).unwrap(), ["file"]);
        let plain = folder.path().join("plain");
        write_new(&plain, b"").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions(), fs::metadata(&plain).unwrap().permissions());
        assert!(matches!(write_new(&path, b""), Err(FileError::Io { action: "create", .. })));
    }
}
