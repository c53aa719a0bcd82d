//! The one writer of a run: journal first, then what is derived from it.

use fltk_core::event::RunEvent;
use jiff::Timestamp;

use super::{RunError, RunFolder, RunLock};
use crate::{
    derived::Derived,
    history::{Change, End, History},
    journal::{Entry, Journal, Torn},
};

/// Records the events of a run. It holds the run's lock.
#[derive(Debug)]
pub struct RunRecorder {
    folder: RunFolder,
    _lock: RunLock,
    journal: Journal,
    history: History,
    /// Made with the first event, which rewrites it anyway.
    derived: Option<Derived>,
    /// Whether another start is likely to follow a failure.
    may_go_on: bool,
}

impl RunRecorder {
    /// Takes up the journal of `folder`, new or old. Also returns what an interrupted append had left, which is cut off.
    ///
    /// The first event to record is [`RunEvent::Started`]; the derived files are made again with it.
    ///
    /// # Errors
    /// If there is another writer, or the journal is damaged or can't be written.
    pub fn open(folder: RunFolder, who: &str) -> Result<(Self, Option<Torn>), RunError> {
        let lock = folder.lock(who)?;
        let (journal, replay) = Journal::open_append(&folder.journal_path())?;
        let history = folder.fold(&replay)?;
        Ok((Self { folder, _lock: lock, journal, history, derived: None, may_go_on: false }, replay.torn))
    }

    /// Records one event. When this returns, it is on disk.
    ///
    /// # Errors
    /// If the event can't follow the ones before (then nothing was written), or it can't be written.
    pub fn record(&mut self, event: &RunEvent, at: Timestamp) -> Result<(), RunError> {
        self.record_all(std::slice::from_ref(event), at)
    }

    /// Records events in order, with one write and one sync: the clients of a round, for example.
    ///
    /// # Errors
    /// As of [`record`](Self::record).
    pub fn record_all(&mut self, events: &[RunEvent], at: Timestamp) -> Result<(), RunError> {
        self.history.check(events).map_err(|source| self.folder.order_error(source))?;
        let entries = self.journal.append_all(events, at)?;
        self.take_in(&entries)
    }

    /// From now on another start is likely to follow a failure, such as that of a lost rank. TensorBoard, which would say for ever that the run has failed,
    /// is not told of one: [`RunFolder::derive`] does that if no start follows.
    pub fn expect_another_start(&mut self) {
        self.may_go_on = true;
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// What is known about the run so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    fn take_in(&mut self, entries: &[Entry]) -> Result<(), RunError> {
        for entry in entries {
            let change = self.history.apply(entry).map_err(|source| self.folder.order_error(source))?;
            self.carry_over(change)?;
        }
        Ok(())
    }

    fn carry_over(&mut self, change: Change) -> Result<(), RunError> {
        match (&mut self.derived, change) {
            (None, _) | (_, Change::Rewritten) => {
                // As it's on disk: what was voided is in files that TensorBoard has read.
                let entries = self.folder.replay()?.entries;
                self.derived = Some(Derived::rebuild(&self.folder.path, &self.folder.description, &self.history, &entries)?);
            }
            (Some(derived), Change::RowAdded(step)) => {
                if let Some(row) = self.history.row(step) {
                    derived.add_row(row)?;
                }
            }
            (Some(derived), Change::Ended) => match self.history.end() {
                Some(End::Failed { .. }) if self.may_go_on => {}
                Some(end) => derived.end(end)?,
                None => {}
            },
            (Some(_), Change::Noted) => {}
        }
        Ok(())
    }
}
