//! The journal: the append-only, synced, checksummed source of truth about a run, or about a stream of jobs.
//!
//! Each line is one JSON object: `{"crc":"0fb6d8c8","seq":0,"time":"2026-01-02T03:04:05.123Z","event":"started",...}`. `crc` is the CRC-32C
//! of the bytes of the line after it (from `"seq"` to the closing brace), `seq` counts from 0 without gaps, and the rest is the event, its kind before its fields. An
//! event is recorded when [`Journal::append`] has returned: the line and its newline are on disk. A last line without a newline is an
//! interrupted append; it is cut off when the journal is opened for appending. Any other damage is an error that names its line.
//!
//! The checksum detects accidental damage. It gives no protection against a person who wants to change the records.

mod follow;
mod line;
mod of_kind;
mod wire;

use std::{
    fs::File,
    io::Write as _,
    marker::PhantomData,
    path::{Path, PathBuf},
};

use fltk_core::{event::RunEvent, experiment::Duration};
use jiff::Timestamp;
use rustix::fs::OFlags;
use serde::{Serialize, de::MapAccess};

pub use self::follow::{Added, Follower};
use self::line::LineProblem;
pub use self::of_kind::OfKind;
use crate::files::{self, FileError};

/// The longest line, in bytes: the clients of a round of a million, or a confusion matrix of 1000 classes.
const LINE_BYTES_MAX: usize = 16 << 20;
/// The largest journal, in bytes, so that one from elsewhere can't fill the memory: about two million client records.
const JOURNAL_BYTES_MAX: u64 = 512 << 20;

/// The type of events in a journal: objects in JSON, with their kind as `"event"`.
pub trait JournalEvent: Clone {
    /// The kinds that this version knows.
    const KINDS: &[&str];

    /// The event's time by a clock of its own, if it has one: the line's `now`, in front of its kind.
    fn now(&self) -> Option<Duration> {
        None
    }

    /// Returns the event as an enum for serde: its variants are named like the [kinds](Self::KINDS), and have named fields or none.
    fn to_wire(&self) -> impl Serialize;

    /// Parses the event of a line whose kind is one of the [known](Self::KINDS).
    ///
    /// # Errors
    /// If the fields aren't those of a valid event.
    fn from_wire<'de, A: MapAccess<'de>>(now: Option<Duration>, event: OfKind<'_, A>) -> Result<Self, A::Error>;
}

/// One recorded event.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<E = RunEvent> {
    /// The number of the event, counted from 0.
    pub seq: u64,
    /// The time at which it was recorded.
    pub at: Timestamp,
    /// The event.
    pub event: E,
}

/// An append that was interrupted: bytes after the last newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The number of the line, counted from 1.
    pub line: u64,
    /// The offset in the file at which it begins, in bytes.
    pub offset: u64,
    /// Its length, in bytes.
    pub num_bytes: u64,
}

/// The content of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay<E = RunEvent> {
    /// The recorded events, in order.
    pub entries: Vec<Entry<E>>,
    /// The remains of an interrupted append, if any.
    pub torn: Option<Torn>,
}

/// A journal can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line differs from what was written.
    #[error("`{}`, line {line}: damaged: {problem}\nhint: restore the file from a copy, or run the experiment again", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: u64,
        /// The problem with it.
        problem: String,
    },
    /// An event is of a kind that this version doesn't know.
    #[error("`{}`, line {line}: unknown event `{event}`\nhint: it was written by a newer version of fltk; read it with that one", path.display())]
    UnknownEvent {
        /// The journal.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: u64,
        /// The kind of the event.
        event: String,
    },
    /// The event or the whole journal would exceed the limits for reading it back.
    #[error("an event of {num_bytes} bytes is too much for `{}`: a line holds {LINE_BYTES_MAX} bytes, a journal {JOURNAL_BYTES_MAX}", path.display())]
    Full {
        /// The journal.
        path: PathBuf,
        /// Length of the refused line, in bytes.
        num_bytes: u64,
    },
    /// An earlier append failed, so the content on disk is unknown.
    #[error("`{}` can't be appended to after a failed append\nhint: open the run again", path.display())]
    FailedBefore {
        /// The journal.
        path: PathBuf,
    },
}

/// A journal that is open for appending. Only one process may write it: see [`RunFolder::lock`](crate::RunFolder::lock).
#[derive(Debug)]
pub struct Journal<E = RunEvent> {
    path: PathBuf,
    file: File,
    next_seq: u64,
    num_bytes: u64,
    /// True if an append failed: part of a line may be on disk, and another line after it would be damage.
    failed: bool,
    of: PhantomData<fn() -> E>,
}

impl<E: JournalEvent> Journal<E> {
    /// Creates an empty journal at `path`, durably.
    ///
    /// # Errors
    /// If the file already exists, or it can't be written.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        files::write_new(path, b"")?;
        files::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { path: path.to_owned(), file: open_for_append(path)?, next_seq: 0, num_bytes: 0, failed: false, of: PhantomData })
    }

    /// Opens the journal at `path` for appending: reads it, and cuts off a torn last line.
    ///
    /// # Errors
    /// Those of [`replay`], and if the journal can't be written.
    pub fn open_append(path: &Path) -> Result<(Self, Replay<E>), JournalError> {
        let replay = replay(path)?;
        let file = open_for_append(path)?;
        let mut num_bytes = file.metadata().map_err(FileError::io("read", path))?.len();
        if let Some(torn) = replay.torn {
            file.set_len(torn.offset).map_err(FileError::io("shorten", path))?;
            file.sync_all().map_err(FileError::io("sync", path))?;
            num_bytes = torn.offset;
        }
        Ok((Self { path: path.to_owned(), file, next_seq: replay.entries.len() as u64, num_bytes, failed: false, of: PhantomData }, replay))
    }

    /// Records one event; it is on disk when this returns. Returns the entry as a replay would.
    ///
    /// # Errors
    /// If the event can't be written. The journal then refuses further events; once it is opened again, the event is either there or not.
    pub fn append(&mut self, event: &E, at: Timestamp) -> Result<Entry<E>, JournalError> {
        let mut entries = self.append_all(std::slice::from_ref(event), at)?;
        entries.pop().ok_or_else(|| JournalError::FailedBefore { path: self.path.clone() })
    }

    /// Records events in order with one write and one sync, since syncs are the main cost. After a kill, only the first few of them may be
    /// there.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub fn append_all(&mut self, events: &[E], at: Timestamp) -> Result<Vec<Entry<E>>, JournalError> {
        let entries = self.write_all(events, at)?;
        self.failed = true;
        self.file.sync_data().map_err(FileError::io("sync", &self.path))?;
        self.failed = false;
        Ok(entries)
    }

    /// Appends the lines of `events` without syncing.
    fn write_all(&mut self, events: &[E], at: Timestamp) -> Result<Vec<Entry<E>>, JournalError> {
        if self.failed {
            return Err(JournalError::FailedBefore { path: self.path.clone() });
        }
        let mut bytes = Vec::new();
        let mut entries = Vec::with_capacity(events.len());
        for (seq, event) in (self.next_seq..).zip(events) {
            let line = line::encode(seq, at, event).map_err(|error| FileError::io("write", &self.path)(error.into()))?;
            if line.len() > LINE_BYTES_MAX {
                return Err(JournalError::Full { path: self.path.clone(), num_bytes: line.len() as u64 });
            }
            bytes.extend_from_slice(&line);
            entries.push(Entry { seq, at, event: event.clone() });
        }
        let num_bytes = self.num_bytes + bytes.len() as u64;
        if num_bytes > JOURNAL_BYTES_MAX {
            return Err(JournalError::Full { path: self.path.clone(), num_bytes: bytes.len() as u64 });
        }
        self.failed = true;
        self.file.write_all(&bytes).map_err(FileError::io("write", &self.path))?;
        self.failed = false;
        self.num_bytes = num_bytes;
        self.next_seq += events.len() as u64;
        Ok(entries)
    }
}

fn open_for_append(path: &Path) -> Result<File, FileError> {
    Ok(files::open(path, OFlags::WRONLY | OFlags::APPEND)?.0)
}

/// Reads the journal at `path` and changes nothing: a torn last line is reported and left in place.
///
/// # Errors
/// If the journal can't be read or is too large, or if any line except a torn last one is damaged or was written by a newer version.
pub fn replay<E: JournalEvent>(path: &Path) -> Result<Replay<E>, JournalError> {
    decode(&files::read(path, JOURNAL_BYTES_MAX)?, 0, path)
}

/// Decodes the events in `bytes`, of which the first is line `before` of the journal, counted from 0; `path` is for errors.
fn decode<E: JournalEvent>(bytes: &[u8], before: u64, path: &Path) -> Result<Replay<E>, JournalError> {
    let mut replay = Replay { entries: Vec::new(), torn: None };
    let mut offset = 0;
    while offset < bytes.len() {
        let number = before + replay.entries.len() as u64;
        let line = number + 1;
        let Some(length) = memchr::memchr(b'\n', &bytes[offset..]) else {
            replay.torn = Some(Torn { line, offset: offset as u64, num_bytes: (bytes.len() - offset) as u64 });
            break;
        };
        let damaged = |problem| JournalError::Damaged { path: path.to_owned(), line, problem };
        if length > LINE_BYTES_MAX {
            return Err(damaged(format!("it has {length} bytes, more than the {LINE_BYTES_MAX} of a line")));
        }
        let entry = line::decode(&bytes[offset..offset + length], number).map_err(|problem| match problem {
            LineProblem::Damaged(problem) => damaged(files::printable(&problem)),
            LineProblem::UnknownEvent(event) => JournalError::UnknownEvent { path: path.to_owned(), line, event: files::printable(&event) },
        })?;
        replay.entries.push(entry);
        offset += length + 1;
    }
    Ok(replay)
}

#[cfg(test)]
mod tests;
