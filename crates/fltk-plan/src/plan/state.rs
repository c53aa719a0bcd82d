//! The state of a job, and its name.

use super::Outcome;
use crate::JobId;

/// The state of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// The job will arrive later.
    Pending,
    /// The job has arrived, or was suspended, and waits: [`Planner::explain`](super::Planner::explain) gives the reason.
    Waiting,
    /// The job's start was requested.
    Admitted,
    /// The job's object exists.
    Starting,
    /// A pod of the job runs.
    Running,
    /// Somebody else, such as Kueue, suspended the job: it keeps its place, which no other job takes, it has no pods, and it resumes when the
    /// suspension is lifted.
    Held,
    /// The job's suspension was requested.
    Suspending {
        /// The job that wants its place.
        for_job: JobId,
    },
    /// The job is over.
    Ended,
}

/// Every result of [`Job::state_name`](super::Job::state_name), in the order in which a job passes through them.
pub const STATE_NAMES: [&str; 10] =
    ["to come", "waiting", "admitted", "starting", "running", "held", "suspending", "succeeded", "failed", "deleted"];

impl State {
    /// True if the job takes a place: it counts toward the limit of concurrent jobs and toward the nodes' capacity.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Admitted | Self::Starting | Self::Running | Self::Held | Self::Suspending { .. })
    }

    /// The state's name, given the outcome of a job that is over.
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
