//! The single writer of a run: it writes the journal first, then the derived files.

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
    /// Opened with the first event, which rebuilds the derived files anyway.
    derived: Option<Derived>,
    /// True if another start is likely to follow a failure.
    may_go_on: bool,
}

impl RunRecorder {
    /// Opens the journal of `folder`, new or old, for appending. Also returns the remains of an interrupted append, which are cut off.
    ///
    /// The first event to record is [`RunEvent::Started`]; it rebuilds the derived files.
    ///
    /// # Errors
    /// If there is another writer, or the journal is damaged or can't be written.
    pub fn open(folder: RunFolder, who: &str) -> Result<(Self, Option<Torn>), RunError> {
        let lock = folder.lock(who)?;
        let (journal, replay) = Journal::open_append(&folder.journal_path())?;
        let history = folder.fold(&replay)?;
        Ok((Self { folder, _lock: lock, journal, history, derived: None, may_go_on: false }, replay.torn))
    }

    /// Records one event. It is on disk when this returns.
    ///
    /// # Errors
    /// If the event can't follow the events before it (nothing is written then), or it can't be written.
    pub fn record(&mut self, event: &RunEvent, at: Timestamp) -> Result<(), RunError> {
        self.record_all(std::slice::from_ref(event), at)
    }

    /// Records events in order, with one write and one sync, for example for the clients of a round.
    ///
    /// # Errors
    /// Those of [`record`](Self::record).
    pub fn record_all(&mut self, events: &[RunEvent], at: Timestamp) -> Result<(), RunError> {
        self.history.check(events).map_err(|source| self.folder.order_error(source))?;
        let entries = self.journal.append_all(events, at)?;
        self.take_in(&entries)
    }

    /// Declares that from now on another start is likely to follow a failure, such as the loss of a rank. Such a failure isn't written to
    /// the TensorBoard files, since TensorBoard would show the run as failed forever: [`RunFolder::derive`] writes it if no start follows.
    pub fn expect_another_start(&mut self) {
        self.may_go_on = true;
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Returns the state of the run so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    fn take_in(&mut self, entries: &[Entry]) -> Result<(), RunError> {
        // However many events of a group void what was derived before, it is derived again once.
        let mut is_void = false;
        for entry in entries {
            let change = self.history.apply(entry).map_err(|source| self.folder.order_error(source))?;
            match change {
                Change::Rewritten => is_void = true,
                Change::RowAdded(_) | Change::Noted if is_void => {}
                Change::RowAdded(_) | Change::Noted => self.carry_over(change)?,
                Change::Ended => {
                    if std::mem::take(&mut is_void) {
                        self.carry_over(Change::Rewritten)?;
                    }
                    self.carry_over(change)?;
                }
            }
        }
        if is_void { self.carry_over(Change::Rewritten) } else { Ok(()) }
    }

    fn carry_over(&mut self, change: Change) -> Result<(), RunError> {
        match (&mut self.derived, change) {
            (None, _) | (_, Change::Rewritten) => {
                // The journal on disk is used, because events that were voided are in files that TensorBoard has read.
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
