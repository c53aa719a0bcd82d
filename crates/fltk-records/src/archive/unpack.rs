//! Unpacks a tar archive as a folder of records: under a temporary name first, and put in place when it is complete.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};
use tempfile::TempDir;

use super::{
    ArchiveError, DEPTH_MAX, ENTRIES_MAX, FileDigest, Record,
    carry::carry,
    check_name, is_name,
    verify::{self, Seen},
};
use crate::{
    files::{self, TEMPORARY_PREFIX},
    run_folder::{JOURNAL, lock},
};

/// The limit on the bytes of one archive: more than any record has. If the disk is full before that, what was unpacked is removed.
const BYTES_MAX: u64 = 1 << 40;
/// The number of bytes of zeros that end an archive.
const END_BYTES: u64 = 1024;
/// The limit on zeros after the end: some programs pad archives to blocks of this size.
const PADDING_BYTES_MAX: u64 = 10_240;
/// The number of bytes that are read at once.
const PIECE: usize = 64 << 10;

/// The outcome of unpacking an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// The folder is new.
    New,
    /// The folder replaced an older copy, and kept what only that had.
    Replaced,
}

/// An archive that is unpacked under a temporary name, and is removed unless it is put in place.
#[derive(Debug)]
pub struct Staged<'a> {
    new: TempDir,
    into: &'a Path,
    record: &'a Record,
    /// The files in it.
    seen: Vec<Seen>,
}

/// Unpacks `archive` as the folder of `record` in `into`, which is created if it doesn't exist. An older copy, whose journal is a prefix of
/// the new one, is replaced: files that it has and the archive lacks are kept, except derived files and checkpoints superseded by newer
/// ones. Nothing else is replaced. After an error nothing has changed, or the error says where the old content is.
///
/// # Errors
/// If the archive breaks off, or holds anything other than the plain files and folders of that record; or if another folder is in its
/// place, or a folder that another process is writing.
pub fn unpack(archive: impl Read, into: &Path, record: &Record) -> Result<Unpacked, ArchiveError> {
    stage(archive, into, record, &[])?.put_in_place()
}

/// The first half of [`unpack`]: unpacks and hashes. `known` lists the files that the archive is said to contain, for [`Staged::check`].
///
/// # Errors
/// Those of [`unpack`].
pub fn stage<'a>(archive: impl Read, into: &'a Path, record: &'a Record, known: &[FileDigest]) -> Result<Staged<'a>, ArchiveError> {
    let Record { kind, name } = record;
    check_name(name)?;
    fs::create_dir_all(into).map_err(ArchiveError::file("create", into))?;
    let new = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(into).map_err(ArchiveError::file("create a folder in", into))?;
    let known = known.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut unpacking =
        Unpacking { name, known, folder: new.path(), folders: vec![new.path().to_owned()], seen: Vec::new(), entries: 0, bytes: 0 };
    unpacking.all(archive)?;
    // The names in folders are synced last, the innermost folder first.
    unpacking.folders.iter().rev().try_for_each(|folder| files::sync_folder(folder))?;
    let seen = unpacking.seen;
    for needed in [kind.description(), JOURNAL] {
        if !new.path().join(needed).is_file() {
            return Err(ArchiveError::Entry { name: name.clone(), entry: needed.to_owned(), problem: "or rather has not" });
        }
    }
    Ok(Staged { new, into, record, seen })
}

impl Staged<'_> {
    /// Checks that the unpacked files match the original folder, by the digests that were computed before the archive was sent (those given
    /// to [`stage`]) and after.
    ///
    /// # Errors
    /// [`ArchiveError::Entry`] for the first file that doesn't match. If a record is being written meanwhile, a file may legitimately
    /// differ: then the archive should be fetched again.
    pub fn check(&self, before: &[FileDigest], after: &[FileDigest]) -> Result<(), ArchiveError> {
        match verify::first_other(&self.seen, before, after) {
            None => Ok(()),
            Some(path) => {
                let problem = "which differs from the digests of its origin";
                Err(ArchiveError::Entry { name: self.record.name.clone(), entry: files::printable(path), problem })
            }
        }
    }

    /// The second half of [`unpack`]: puts the folder in its place.
    ///
    /// # Errors
    /// Those of [`unpack`].
    pub fn put_in_place(self) -> Result<Unpacked, ArchiveError> {
        let Self { new, into, record, seen: _ } = self;
        let path = into.join(&record.name);
        match fs::symlink_metadata(&path) {
            Ok(there) => {
                replace(new, &path, into, there.is_dir())?;
                Ok(Unpacked::Replaced)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A non-empty folder is never replaced: one that was created meanwhile stays.
                fs::rename(new.path(), &path).map_err(ArchiveError::file("rename to", &path))?;
                let _renamed_not_removed = new.keep();
                files::sync_folder(into)?;
                Ok(Unpacked::New)
            }
            Err(error) => Err(ArchiveError::file("read", &path)(error)),
        }
    }
}

/// Replaces the older copy at `path` by `new`.
fn replace(new: TempDir, path: &Path, into: &Path, is_folder: bool) -> Result<(), ArchiveError> {
    let check = || if is_folder && is_older(path, new.path())? { Ok(()) } else { Err(ArchiveError::Another { path: path.to_owned() }) };
    // The check comes before the lock, since any other folder must be left untouched; and again after it, since the copy may have changed
    // until then. The lock is held until the copy is removed: nobody resumes a run in a folder that is about to be removed.
    check()?;
    let _lock = lock::take(path, "`fltk extract`")?;
    check()?;
    carry(path, new.path())?;
    let old = files::put_in_place_of(new, path)?;
    Ok(files::sync_then_remove(into, old)?)
}

struct Unpacking<'a> {
    name: &'a str,
    /// The files that it is said to contain, by path.
    known: BTreeMap<&'a str, &'a FileDigest>,
    seen: Vec<Seen>,
    folder: &'a Path,
    folders: Vec<PathBuf>,
    entries: usize,
    bytes: u64,
}

impl Unpacking<'_> {
    fn all(&mut self, archive: impl Read) -> Result<(), ArchiveError> {
        let broken = ArchiveError::broken(self.name);
        let position = Rc::new(Cell::new(0));
        let mut archive = Archive::new(Counted { inner: archive, position: Rc::clone(&position) });
        let mut end = 0;
        // Raw: extensions, such as those for long names, are refused instead of being read into memory at a size that the archive claims.
        for entry in archive.entries().map_err(&broken)?.raw(true) {
            let mut entry = entry.map_err(&broken)?;
            let size = entry.header().entry_size().map_err(&broken)?;
            end = entry.raw_file_position() + size.div_ceil(512) * 512;
            self.entry(&mut entry, size)?;
        }
        // An archive that is cut off at the end of an entry would otherwise go unnoticed.
        let mut rest = archive.into_inner();
        let seen = position.get().saturating_sub(end);
        let zeros = zeros(&mut rest).map_err(&broken)?;
        if seen + zeros < END_BYTES {
            return Err(broken(io::Error::new(io::ErrorKind::UnexpectedEof, "its end is missing")));
        }
        Ok(())
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>, size: u64) -> Result<(), ArchiveError> {
        let bytes = entry.path_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let refuse = |problem| ArchiveError::Entry { name: self.name.to_owned(), entry: files::printable(&text), problem };
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.entries > ENTRIES_MAX || self.bytes > BYTES_MAX {
            return Err(refuse("which is more than a record ever has"));
        }
        let path = self.place(&text).ok_or_else(|| refuse("which is no name within it"))?;
        match entry.header().entry_type() {
            EntryType::Directory if path == self.folder => Ok(()),
            EntryType::Directory => {
                fs::create_dir(&path).map_err(ArchiveError::file("create", &path))?;
                self.folders.push(path);
                Ok(())
            }
            EntryType::Regular => {
                let known_bytes = self.known.get(text.as_str()).map(|file| file.bytes);
                self.seen.push(write(self.name, entry, size, &path, text, known_bytes)?);
                Ok(())
            }
            _ => Err(refuse("which is neither a plain file nor a folder")),
        }
    }

    /// Returns the path of an entry: within the folder, by plain path components only.
    fn place(&self, text: &str) -> Option<PathBuf> {
        let mut steps = text.strip_suffix('/').unwrap_or(text).split('/');
        if steps.next() != Some(self.name) {
            return None;
        }
        let steps: Vec<&str> = steps.collect();
        let fits = steps.len() <= DEPTH_MAX && steps.iter().all(|step| is_name(step));
        fits.then(|| steps.iter().fold(self.folder.to_owned(), |path, step| path.join(step)))
    }
}

/// Writes and hashes the file `text` of the archive; its first `known_bytes` are also hashed separately.
fn write(name: &str, entry: &mut impl Read, size: u64, path: &Path, text: String, known_bytes: Option<u64>) -> Result<Seen, ArchiveError> {
    // No link can be in the way: none is ever created, and a second file of the same name is refused.
    let mut file = File::create_new(path).map_err(ArchiveError::file("create", path))?;
    let (mut digest, mut done) = (Sha256::new(), 0);
    let mut beginning = (known_bytes == Some(0)).then(|| hex::encode(digest.clone().finalize()));
    let mut piece = vec![0; PIECE];
    while done < size {
        // A piece ends at the end of the known beginning.
        let until = known_bytes.filter(|known| done < *known).unwrap_or(size).min(size);
        let most = usize::try_from(until - done).unwrap_or(PIECE).min(PIECE);
        let read = match entry.read(&mut piece[..most]) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file in it is cut")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        }
        .map_err(ArchiveError::broken(name))?;
        file.write_all(&piece[..read]).map_err(ArchiveError::file("write", path))?;
        digest.update(&piece[..read]);
        done += read as u64;
        if known_bytes == Some(done) {
            beginning = Some(hex::encode(digest.clone().finalize()));
        }
    }
    file.sync_all().map_err(ArchiveError::file("sync", path))?;
    Ok(Seen { file: FileDigest { path: text, bytes: size, sha256: hex::encode(digest.finalize()) }, beginning })
}

/// A reader that counts the bytes read through it.
struct Counted<R> {
    inner: R,
    position: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

/// Reads to the end, accepting only zeros; returns how many there were.
fn zeros(rest: &mut impl Read) -> io::Result<u64> {
    let mut all = Vec::new();
    rest.take(PADDING_BYTES_MAX + 1).read_to_end(&mut all)?;
    if all.len() as u64 > PADDING_BYTES_MAX || all.iter().any(|byte| *byte != 0) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "there is something behind its end"));
    }
    Ok(all.len() as u64)
}

/// Returns true if the journal in `new` begins with that in `old`, ignoring a torn last line.
fn is_older(old: &Path, new: &Path) -> Result<bool, ArchiveError> {
    let (old, new) = (old.join(JOURNAL), new.join(JOURNAL));
    let Ok((mut old_file, _)) = files::open(&old, OFlags::RDONLY) else { return Ok(false) };
    let (mut new_file, _) = files::open(&new, OFlags::RDONLY)?;
    loop {
        let (left, right) = (piece(&mut old_file, &old)?, piece(&mut new_file, &new)?);
        let whole_lines = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let is_last = left.len() < PIECE;
        let compared = if is_last { whole_lines(&left) } else { left.len() };
        if right.len() < compared || left[..compared] != right[..compared] {
            return Ok(false);
        }
        if is_last {
            return Ok(true);
        }
    }
}

fn piece(file: &mut File, path: &Path) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::with_capacity(PIECE);
    file.take(PIECE as u64).read_to_end(&mut bytes).map_err(ArchiveError::file("read", path))?;
    Ok(bytes)
}
