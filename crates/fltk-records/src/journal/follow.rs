//! A journal that somebody else is writing, read on from where it was read before.

use std::{
    io::{Read as _, Seek as _, SeekFrom},
    marker::PhantomData,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use fltk_core::event::RunEvent;
use rustix::fs::OFlags;

use super::{Entry, JOURNAL_BYTES_MAX, JournalError, JournalEvent, decode};
use crate::files::{self, FileError};

/// A reader of a journal that may grow. Each look at it costs as much as what was added.
#[derive(Clone, Debug)]
pub struct Follower<E = RunEvent> {
    path: PathBuf,
    /// The identity of the file that was read: device and inode.
    file: Option<(u64, u64)>,
    /// The number of bytes that were read, all of them whole lines.
    offset: u64,
    /// The number of lines that were read.
    num_lines: u64,
    of: PhantomData<fn() -> E>,
}

/// The addition to a journal since the last look.
#[derive(Clone, Debug, PartialEq)]
pub struct Added<E = RunEvent> {
    /// The entries that were added, in order.
    pub entries: Vec<Entry<E>>,
    /// True if the file is another one than before: what was read earlier doesn't count, and `entries` is all of it.
    pub is_anew: bool,
}

impl<E: JournalEvent> Follower<E> {
    /// Creates a reader of the journal at `path` that has read nothing.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None, offset: 0, num_lines: 0, of: PhantomData }
    }

    /// Reads what was added since the last call. A line that is still being written is left for the next one.
    ///
    /// # Errors
    /// If the journal can't be read, is too large, or what was added is damaged; the next call tries it again.
    pub fn read_on(&mut self) -> Result<Added<E>, JournalError> {
        let (mut file, metadata) = files::open(&self.path, OFlags::RDONLY)?;
        let (identity, size) = (Some((metadata.dev(), metadata.ino())), metadata.len());
        let is_anew = self.file.is_some() && (self.file != identity || size < self.offset);
        let (offset, num_lines) = if is_anew { (0, 0) } else { (self.offset, self.num_lines) };
        if size > JOURNAL_BYTES_MAX {
            return Err(FileError::TooLarge { path: self.path.clone(), bytes_max: JOURNAL_BYTES_MAX }.into());
        }
        let mut bytes = Vec::new();
        if size > offset {
            file.seek(SeekFrom::Start(offset)).map_err(FileError::io("read", &self.path))?;
            file.take(size - offset).read_to_end(&mut bytes).map_err(FileError::io("read", &self.path))?;
        }
        let replay = decode(&bytes, num_lines, &self.path)?;
        let torn = replay.torn.map_or(0, |torn| torn.num_bytes);
        self.file = identity;
        self.offset = offset + bytes.len() as u64 - torn;
        self.num_lines = num_lines + replay.entries.len() as u64;
        Ok(Added { entries: replay.entries, is_anew })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        history::{History, Status},
        samples::{at, finished, recorded, round, started},
    };

    #[test]
    fn only_what_was_added_is_read() {
        let root = tempfile::tempdir().unwrap();
        let folder = recorded(root.path(), 1, &[started(0), round(0, 0.1)]);
        let mut follower = folder.follow();
        assert_eq!(follower.read_on().unwrap().entries, folder.replay().unwrap().entries);
        assert_eq!(follower.read_on().unwrap(), Added { entries: Vec::new(), is_anew: false });
        let (mut recorder, _) = crate::RunRecorder::open(folder.clone(), "a test").unwrap();
        recorder.record_all(&[round(1, 0.2), round(2, 0.3)], at(5)).unwrap();
        let added = follower.read_on().unwrap().entries;
        assert_eq!(added.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
        // Half a line is read once it is whole.
        recorder.record(&finished(), at(6)).unwrap();
        drop(recorder);
        let (path, whole) = (folder.journal_path(), fs::read(folder.journal_path()).unwrap());
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(whole.len() as u64 - 9).unwrap();
        assert!(follower.read_on().unwrap().entries.is_empty());
        fs::write(&path, &whole).unwrap();
        let last = follower.read_on().unwrap();
        assert_eq!((last.entries.len(), last.is_anew), (1, false));
        let mut history = History::default();
        folder.replay().unwrap().entries.iter().for_each(|entry| _ = history.apply(entry).unwrap());
        assert_eq!(history.status(false), Status::Finished);
    }

    #[test]
    fn another_file_is_read_from_its_beginning() {
        let root = tempfile::tempdir().unwrap();
        let first = recorded(root.path(), 1, &[started(0), round(0, 0.1)]);
        let mut follower = first.follow();
        follower.read_on().unwrap();
        let second = recorded(root.path(), 2, &[started(0)]);
        fs::rename(second.journal_path(), first.journal_path()).unwrap();
        let added = follower.read_on().unwrap();
        assert_eq!((added.entries.len(), added.is_anew), (1, true));
        // Damage is an error until it is mended.
        let whole = fs::read(first.journal_path()).unwrap();
        fs::write(first.journal_path(), [whole.as_slice(), b"{}\n"].concat()).unwrap();
        assert!(matches!(follower.read_on(), Err(JournalError::Damaged { line: 2, .. })));
        fs::write(first.journal_path(), &whole).unwrap();
        assert!(follower.read_on().unwrap().entries.is_empty());
    }
}
