//! Visits the plain files and folders of a folder, in the order in which they are copied.
//!
//! Every step starts from the open folder above it, without following links: another process that can write there can't lead the walk out
//! of the folder at any moment.

use std::{
    ffi::CStr,
    fs::{File, Metadata},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat},
    io::Errno,
};

use super::{ArchiveError, DEPTH_MAX, ENTRIES_MAX, is_name};
use crate::{FileError, index, run_folder};

/// A file or folder that is visited. Paths begin with the folder's name.
pub(super) enum Node<'a> {
    /// A folder; its contents come next.
    Folder,
    /// A plain file, open, and its metadata at that time.
    File(&'a File, &'a Metadata),
}

/// The callback for each node.
pub(super) type Visit<'a> = dyn FnMut(&str, Node<'_>) -> Result<(), ArchiveError> + 'a;

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Visits the folder `name` in `root`. It skips links and everything else that is neither a file nor a folder, hidden names, the lock,
/// indexes of earlier versions, names that an archive can't store, and anything that has been removed by the time its turn comes.
///
/// # Errors
/// If something can't be read, or a limit is exceeded; or the errors of `visit`.
pub(super) fn walk(root: &Path, name: &str, visit: &mut Visit<'_>) -> Result<(), ArchiveError> {
    let unreadable = |errno: Errno| ArchiveError::from(FileError::io("read", &root.join(name))(errno.into()));
    let outer = openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(unreadable)?;
    let folder = openat(&outer, name, FLAGS | OFlags::DIRECTORY, Mode::empty()).map_err(unreadable)?;
    let mut walk = Walk { root, name, visit, entries: 0 };
    walk.folder(&folder, name, 1)
}

struct Walk<'a, 'b> {
    root: &'a Path,
    name: &'a str,
    visit: &'a mut Visit<'b>,
    entries: usize,
}

impl Walk<'_, '_> {
    fn folder(&mut self, folder: &OwnedFd, path: &str, depth: usize) -> Result<(), ArchiveError> {
        if depth > DEPTH_MAX {
            return Err(self.too_much("folders are nested deeper than in any record"));
        }
        (self.visit)(path, Node::Folder)?;
        let (folders, files) = self.list(folder, path)?;
        // The newest checkpoints come first, since the oldest are removed first. The states that they need come after them: they are there before
        // the checkpoint is, and stay longer than it.
        let (states, others): (Vec<_>, Vec<_>) = folders.iter().rev().partition(|name| *name == run_folder::CLIENT_STATES);
        for name in others.into_iter().chain(states) {
            if let Some(inner) = self.open(folder, path, name, FLAGS | OFlags::DIRECTORY)? {
                self.folder(&inner, &format!("{path}/{name}"), depth + 1)?;
            }
        }
        // Derived files come before the journal, so that nothing is newer than the journal in the copy.
        let (journal, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|name| name == run_folder::JOURNAL);
        for name in others.into_iter().chain(journal) {
            self.file(folder, path, &name, depth)?;
        }
        Ok(())
    }

    fn file(&mut self, folder: &OwnedFd, path: &str, name: &str, depth: usize) -> Result<(), ArchiveError> {
        if depth == 1 && name == run_folder::LOCK {
            return Ok(());
        }
        // Without `NONBLOCK`, a pipe in place of the file would block.
        let Some(file) = self.open(folder, path, name, FLAGS | OFlags::NONBLOCK)? else { return Ok(()) };
        let file = File::from(file);
        let path = format!("{path}/{name}");
        let metadata = file.metadata().map_err(|source| ArchiveError::from(FileError::io("read", &self.root.join(&path))(source)))?;
        if metadata.is_file() { (self.visit)(&path, Node::File(&file, &metadata)) } else { Ok(()) }
    }

    /// Opens an entry; `None` if it has been removed, or is of another type by now.
    fn open(&self, folder: &OwnedFd, path: &str, name: &str, flags: OFlags) -> Result<Option<OwnedFd>, ArchiveError> {
        match openat(folder, name, flags, Mode::empty()) {
            Ok(open) => Ok(Some(open)),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => Ok(None),
            Err(errno) => Err(FileError::io("read", &self.root.join(path).join(name))(errno.into()).into()),
        }
    }

    /// Returns the names of folders and of files, sorted.
    fn list(&mut self, folder: &OwnedFd, path: &str) -> Result<(Vec<String>, Vec<String>), ArchiveError> {
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        let unreadable = |errno: Errno| ArchiveError::from(FileError::io("list", &self.root.join(path))(errno.into()));
        let entries = Dir::read_from(folder).map_err(unreadable)?;
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let Some(name) = kept(path, entry.file_name()) else { continue };
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(self.too_much("too many files"));
            }
            match kind(folder.as_fd(), entry.file_name(), entry.file_type()).map_err(unreadable)? {
                FileType::Directory => folders.push(name),
                FileType::RegularFile => files.push(name),
                _ => {}
            }
        }
        folders.sort_unstable();
        files.sort_unstable();
        Ok((folders, files))
    }

    fn too_much(&self, problem: &'static str) -> ArchiveError {
        ArchiveError::TooMuch { name: self.name.to_owned(), problem }
    }
}

/// Returns the name if an archive can store it. Hidden names are unfinished, or belong to the file system.
fn kept(path: &str, name: &CStr) -> Option<String> {
    let name = name.to_str().ok().filter(|name| is_name(name) && !index::was_one(name))?;
    tar::Header::new_ustar().set_path(format!("{path}/{name}")).is_ok().then(|| name.to_owned())
}

/// Returns the type of an entry: some file systems don't report it in the listing.
fn kind(folder: BorrowedFd<'_>, name: &CStr, said: FileType) -> Result<FileType, Errno> {
    if said != FileType::Unknown {
        return Ok(said);
    }
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode)),
        Err(Errno::NOENT) => Ok(FileType::Unknown),
        Err(errno) => Err(errno),
    }
}

/// A reader of exactly as many bytes as a file had: a file that grows is cut there, and one that shrank is an error.
pub(super) struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R> Exact<R> {
    pub(super) fn new(inner: R, bytes: u64) -> Self {
        Self { inner, left: bytes }
    }
}

impl<R: io::Read> io::Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
