//! Where what is watched comes from: the folders of a run, or of a stream and its runs. Only what was added is read.

mod stream;

use fltk_core::experiment::Duration;
use fltk_records::{RunFolder, RunRef, history::History, journal::Follower};
use jiff::Timestamp;

pub use self::stream::StreamSource;
use super::view::{RunView, View};
use crate::exit::{Exit, OrExit as _};

/// A run or a stream that is watched.
pub enum Source {
    /// A run.
    Run(Box<RunSource>),
    /// A stream.
    Stream(Box<StreamSource>),
}

impl Source {
    /// Reads what was added since the last time.
    ///
    /// # Errors
    /// If a record can't be read; the next call tries it again.
    pub fn refresh(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Run(run) => run.refresh(),
            Self::Stream(stream) => stream.refresh(),
        }
    }

    /// Returns the view at `now`. `selected` is the job that a person has selected.
    #[must_use]
    pub fn view(&self, now: Timestamp, selected: Option<&str>, is_unicode: bool) -> View {
        match self {
            Self::Run(source) => View::Run(Box::new(RunView::of(&source.run, now))),
            Self::Stream(source) => View::Stream(Box::new(source.view(now, selected, is_unicode))),
        }
    }
}

/// A run's folder.
pub struct RunSource {
    follower: Follower,
    run: RunRef,
}

impl RunSource {
    /// Opens the run in `folder`, and reads its journal.
    ///
    /// # Errors
    /// If the journal can't be read or is damaged.
    pub fn open(folder: RunFolder) -> anyhow::Result<Self> {
        let history = History::default();
        let status = history.status(folder.is_locked());
        let mut source = Self { follower: folder.follow(), run: RunRef { folder, history, status } };
        source.refresh()?;
        Ok(source)
    }

    /// Returns the run as it was read last.
    #[must_use]
    pub fn run(&self) -> &RunRef {
        &self.run
    }

    /// Reads what was added since the last time.
    ///
    /// # Errors
    /// If the journal can't be read or is damaged.
    pub fn refresh(&mut self) -> anyhow::Result<()> {
        // First the lock: a run that ends in between is then seen as running a moment longer, and never as interrupted.
        let locked = self.run.folder.is_locked();
        let added = self.follower.read_on().or_exit(Exit::Records)?;
        if added.is_anew {
            self.run.history = History::default();
        }
        added.entries.iter().try_for_each(|entry| self.run.history.apply(entry).map(drop)).or_exit(Exit::Records)?;
        self.run.status = self.run.history.status(locked);
        Ok(())
    }
}

/// Returns the time from `began` until `at`.
fn since(began: Timestamp, at: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(at.as_millisecond().saturating_sub(began.as_millisecond())).unwrap_or(0))
}
