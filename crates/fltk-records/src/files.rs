//! Reads files within limits and without following links, and writes them so that a file is either the old one or the new one.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _, Write as _},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use fltk_core::terminal;
use rustix::{
    fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with},
    io::Errno,
};
use tempfile::{NamedTempFile, TempDir};

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system returned an error.
    #[error("can't {action} `{}`", path.display())]
    Io {
        /// The action that was tried: `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is larger than anything fltk writes.
    #[error("`{}` has more than {bytes_max} bytes, the most that is read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        bytes_max: u64,
    },
    /// A plain file was expected, but the path is a link, a folder or a device.
    #[error("`{}` is not a plain file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A folder was expected, but the path is a link or something else.
    #[error("`{}` is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
}

impl FileError {
    /// For `map_err`: the action that was tried, and the path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Returns true if the error is about a file that doesn't exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Refuses anything but a plain file: run folders may come from another machine, and a link or a pipe in one would lead out of it or block.
/// Only for inspecting a path: to read a file use [`open`], because the file may have been replaced by then.
pub(crate) fn require_plain(path: &Path) -> Result<Metadata, FileError> {
    let metadata = fs::symlink_metadata(path).map_err(FileError::io("read", path))?;
    if metadata.is_file() { Ok(metadata) } else { Err(FileError::NotAFile { path: path.to_owned() }) }
}

/// Refuses anything but a folder, including a link to a folder.
pub(crate) fn require_folder(path: &Path) -> Result<(), FileError> {
    let metadata = fs::symlink_metadata(path).map_err(FileError::io("read", path))?;
    if metadata.is_dir() { Ok(()) } else { Err(FileError::NotAFolder { path: path.to_owned() }) }
}

/// Returns true if something is at `path`, even if it is a dangling link.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Opens the plain file at `path`. Nothing else is ever opened, even if the file is replaced meanwhile: links aren't followed, and pipes
/// aren't waited for.
pub(crate) fn open(path: &Path, access: OFlags) -> Result<(File, Metadata), FileError> {
    open_at(CWD, path, path, access)
}

/// Like [`open`], for `name` in an open folder; `path` is for errors.
fn open_at(folder: impl AsFd, name: &Path, path: &Path, access: OFlags) -> Result<(File, Metadata), FileError> {
    let not_a_file = || FileError::NotAFile { path: path.to_owned() };
    let action = if access == OFlags::RDONLY { "read" } else { "open" };
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, name, flags, Mode::from_raw_mode(FILE_MODE)) {
        Ok(file) => File::from(file),
        // The path is a link; a socket or a pipe; or a folder, opened for writing.
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Err(not_a_file()),
        Err(errno) => return Err(FileError::io(action, path)(errno.into())),
    };
    let metadata = file.metadata().map_err(FileError::io("read", path))?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(not_a_file()) }
}

/// The most memory, in bytes, that is reserved based on a file's claimed size.
const CAPACITY_BYTES_MAX: u64 = 16 << 20;

/// Returns the content of the plain file at `path`, if it has at most `bytes_max` bytes.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    read_open(open(path, OFlags::RDONLY)?, path, bytes_max)
}

/// Returns the content of the plain file `name` in `folder`, if it has at most `bytes_max` bytes. Neither may be a link.
///
/// # Errors
/// If the file or the folder isn't of the expected type, or the file can't be read.
pub fn read_in(folder: &Path, name: &str, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match openat(CWD, folder, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(FileError::NotAFolder { path: folder.to_owned() }),
        Err(errno) => return Err(FileError::io("read", folder)(errno.into())),
    };
    let path = folder.join(name);
    read_open(open_at(opened, Path::new(name), &path, OFlags::RDONLY)?, &path, bytes_max)
}

fn read_open((file, metadata): (File, Metadata), path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let too_large = || FileError::TooLarge { path: path.to_owned(), bytes_max };
    let size = metadata.len();
    if size > bytes_max {
        return Err(too_large());
    }
    // A sparse file can claim any size: beyond this, memory is allocated only for bytes that are read.
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(CAPACITY_BYTES_MAX)).unwrap_or(0));
    // The file may have grown since, so the limit also applies while reading.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes) }
}

/// Writes a new file at `path`, which must not exist, and syncs it. Its folder is not synced: the caller does that once for several files.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = File::create_new(path).map_err(FileError::io("create", path))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    file.sync_all().map_err(FileError::io("sync", path))
}

/// Puts a file with this content at `path`: temporary file, sync, rename, sync of the folder. An existing file is replaced atomically.
/// Returns the new file, open for appending.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<File, FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = temporary(path, folder, bytes)?;
    file.as_file().sync_all().map_err(FileError::io("sync", path))?;
    let file = file.persist(path).map_err(|error| FileError::io("rename to", path)(error.error))?;
    sync_folder(folder)?;
    Ok(file)
}

/// Like [`replace`], but the file and its name become durable only when the caller syncs them and the folder.
pub(crate) fn replace_unsynced(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = temporary(path, folder, bytes)?;
    file.persist(path).map(drop).map_err(|error| FileError::io("rename to", path)(error.error))
}

/// Writes a temporary file in `folder` with the content for `path`.
fn temporary(path: &Path, folder: &Path, bytes: &[u8]) -> Result<NamedTempFile, FileError> {
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(file_permissions())
        .tempfile_in(folder)
        .map_err(FileError::io("write in", folder))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    Ok(file)
}

/// Names that begin with this are unfinished and always ignored.
pub(crate) const TEMPORARY_PREFIX: &str = ".new-";
/// A folder with this prefix holds what is being replaced, until the replacement is in place.
const ASIDE_PREFIX: &str = ".old-";

/// Exchanges the folder `new`, which is in the same folder as `path`, with what is at `path`. The old content is removed once the returned
/// folder is dropped. After an error nothing has changed, or the error says where the old content is.
pub(crate) fn put_in_place_of(new: TempDir, path: &Path) -> Result<TempDir, FileError> {
    match renameat_with(CWD, new.path(), CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(new),
        // Not every file system supports an exchange.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => put_in_place_in_two_steps(new, path),
        Err(errno) => Err(FileError::io("rename to", path)(errno.into())),
    }
}

/// Makes the names in `folder` durable, then removes `old`, which [`put_in_place_of`] returned; in this order, so that one of the two
/// always exists.
pub(crate) fn sync_then_remove(folder: &Path, old: TempDir) -> Result<(), FileError> {
    let synced = sync_folder(folder);
    if synced.is_err() {
        let _perhaps_all_there_is = old.keep();
    }
    synced
}

/// Like [`put_in_place_of`], but for a moment nothing is at `path`.
fn put_in_place_in_two_steps(new: TempDir, path: &Path) -> Result<TempDir, FileError> {
    let (folder, name) = (path.parent().unwrap_or(Path::new(".")), path.file_name().unwrap_or_default());
    let old = tempfile::Builder::new().prefix(ASIDE_PREFIX).tempdir_in(folder).map_err(FileError::io("create a folder in", folder))?;
    let aside = old.path().join(name);
    fs::rename(path, &aside).map_err(FileError::io("rename", path))?;
    let Err(error) = fs::rename(new.path(), path) else {
        let _renamed_not_removed = new.keep();
        return Ok(old);
    };
    if let Err(error) = fs::rename(&aside, path) {
        let _all_there_is = old.keep();
        return Err(FileError::io("put back", &aside)(error));
    }
    Err(FileError::io("rename to", path)(error))
}

/// Removes what an interrupted writer left in `folder`. Only the single writer may call it.
pub(crate) fn sweep(folder: &Path) -> Result<(), FileError> {
    /// More names than the folder of a run or of its checkpoints ever has.
    const NAMES_MAX: usize = 1_000_000;
    let names = match names_in(folder, NAMES_MAX) {
        Err(error) if error.is_not_found() => return Ok(()),
        names => names?,
    };
    for name in names.iter().filter(|name| [TEMPORARY_PREFIX, ASIDE_PREFIX].iter().any(|prefix| name.starts_with(prefix))) {
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

/// The mode of new files before the umask is applied. It is set explicitly: records begin as temporary files, which only their owner could
/// read.
const FILE_MODE: u32 = 0o666;

fn file_permissions() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(FILE_MODE)
}

/// The names in `folder`, sorted; names that aren't UTF-8 aren't ours and are left out. At most `num_max` entries are read.
pub(crate) fn names_in(folder: &Path, num_max: usize) -> Result<Vec<String>, FileError> {
    names_of(folder, num_max, |_| true)
}

/// The names of the folders in `folder`, links to folders left out, like [`names_in`]. Most file systems tell which these are with their names.
pub(crate) fn folders_in(folder: &Path, num_max: usize) -> Result<Vec<String>, FileError> {
    names_of(folder, num_max, |entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

fn names_of(folder: &Path, num_max: usize, is_wanted: impl Fn(&fs::DirEntry) -> bool) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::io("list", folder))?.take(num_max) {
        let entry = entry.map_err(FileError::io("list", folder))?;
        if is_wanted(&entry) {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The longest text in a description or a summary, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;

/// Returns true if a text from elsewhere can be displayed as it is: no control characters, and not too long.
pub(crate) fn is_printable(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Text from a file, made fit for a table: one line of at most 500 characters.
pub(crate) fn printable(text: &str) -> String {
    terminal::one_line(text, 500)
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
    fn links_and_pipes_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, file) = (folder.path().join("inner"), folder.path().join("inner/file"));
        fs::create_dir(&inner).unwrap();
        write_new(&file, b"12345").unwrap();
        assert_eq!(read_in(&inner, "file", 5).unwrap(), b"12345");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&inner, &link).unwrap();
        assert!(matches!(read_in(&link, "file", 5), Err(FileError::NotAFolder { .. })));
        assert!(matches!(read_in(&file, "file", 5), Err(FileError::NotAFolder { .. })));
        assert!(
            read_in(&inner, "none", 5).unwrap_err().is_not_found() && read_in(&inner.join("none"), "file", 5).unwrap_err().is_not_found()
        );
        std::os::unix::fs::symlink(&file, inner.join("link")).unwrap();
        rustix::fs::mkfifoat(CWD, inner.join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(inner.join("socket")).unwrap();
        for name in ["link", "pipe", "socket", "."] {
            assert!(matches!(read_in(&inner, name, 5), Err(FileError::NotAFile { .. })), "{name}");
            for access in [OFlags::RDONLY, OFlags::RDWR] {
                assert!(matches!(open(&inner.join(name), access), Err(FileError::NotAFile { .. })), "{name}");
            }
        }
        drop(socket);
    }

    #[test]
    fn existing_folder_is_kept_until_replaced() {
        for put in [put_in_place_of, put_in_place_in_two_steps] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            fs::create_dir(&path).unwrap();
            fs::write(path.join("old"), "").unwrap();
            let new = || tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(folder.path()).unwrap();
            // The replacement can't be put in place.
            let gone = new();
            fs::remove_dir(gone.path()).unwrap();
            put(gone, &path).unwrap_err();
            assert_eq!(
                (names_in(folder.path(), 10).unwrap(), names_in(&path, 10).unwrap()),
                (vec!["a".to_owned()], vec!["old".to_owned()])
            );
            let whole = new();
            fs::write(whole.path().join("new"), "").unwrap();
            let old = put(whole, &path).unwrap();
            assert_eq!((names_in(folder.path(), 10).unwrap().len(), names_in(&path, 10).unwrap()), (2, vec!["new".to_owned()]));
            drop(old);
            assert_eq!(names_in(folder.path(), 10).unwrap(), ["a"]);
            // The single writer sweeps what a kill leaves behind.
            fs::create_dir(folder.path().join(format!("{ASIDE_PREFIX}1"))).unwrap();
            sweep(folder.path()).unwrap();
            assert_eq!(names_in(folder.path(), 10).unwrap(), ["a"]);
        }
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
