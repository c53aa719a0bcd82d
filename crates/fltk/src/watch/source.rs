//! Where what is watched comes from: the folders of a run, or of a stream and its runs. Only what was added is read.

mod stream;

use fltk_core::experiment::Duration;
use fltk_records::FollowedRun;
use jiff::Timestamp;

pub use self::stream::StreamSource;
use super::view::{RunView, View};
use crate::exit::{Exit, OrExit as _};

/// A run or a stream that is watched.
pub enum Source {
    /// A run.
    Run(Box<FollowedRun>),
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
            Self::Run(run) => run.read_on().or_exit(Exit::Records),
            Self::Stream(stream) => stream.refresh(),
        }
    }

    /// Returns the view at `now`. `selected` is the job that a person has selected.
    #[must_use]
    pub fn view(&self, now: Timestamp, selected: Option<&str>, is_unicode: bool) -> View {
        match self {
            Self::Run(followed) => View::Run(Box::new(RunView::of(followed.run(), now))),
            Self::Stream(source) => View::Stream(Box::new(source.view(now, selected, is_unicode))),
        }
    }
}

/// Returns the time from `began` until `at`.
fn since(began: Timestamp, at: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(at.as_millisecond().saturating_sub(began.as_millisecond())).unwrap_or(0))
}
