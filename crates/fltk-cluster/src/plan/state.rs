//! Where a job is, and the word for it.

use super::Outcome;
use crate::JobId;

/// Where a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It arrives later.
    Pending,
    /// It has arrived, or was suspended, and waits: [`Planner::explain`](super::Planner::explain) says what for.
    Waiting,
    /// Its start was asked for.
    Admitted,
    /// Its object exists.
    Starting,
    /// A pod runs.
    Running,
    /// Somebody else suspended it, such as Kueue: it has its place, which nobody takes from it, no pods, and goes on
    /// when that is taken back.
    Held,
    /// Its suspension was asked for.
    Suspending {
        /// Who wants its place.
        for_job: JobId,
    },
    /// It is over.
    Ended,
}

/// Every word of [`Job::state_name`](super::Job::state_name), in the order in which a job comes through them.
pub const STATE_NAMES: [&str; 10] =
    ["to come", "waiting", "admitted", "starting", "running", "held", "suspending", "succeeded", "failed", "deleted"];

impl State {
    /// Whether it takes a place: of the jobs that may run at once, and on nodes.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Admitted | Self::Starting | Self::Running | Self::Held | Self::Suspending { .. })
    }

    /// In a word, with the outcome of a job that is over.
    pub(super) fn name(&self, outcome: Option<Outcome>) -> &'static str {
        match (self, outcome) {
            (Self::Pending, _) => "to come",
            (Self::Waiting, _) => "waiting",
            (Self::Admitted, _) => "admitted",
            (Self::Starting, _) => "starting",
            (Self::Running, _) => "running",
            (Self::Held, _) => "held",
            (Self::Suspending { .. }, _) => "suspending",
            (Self::Ended, Some(Outcome::Succeeded)) => "succeeded",
            (Self::Ended, Some(Outcome::Failed) | None) => "failed",
            (Self::Ended, Some(Outcome::Deleted)) => "deleted",
        }
    }
}
