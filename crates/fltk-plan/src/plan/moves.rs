//! The moves of jobs in the course of a stream, for whoever looks back at it.

use fltk_core::experiment::Duration;

use super::{Job, State};

/// An activity of a job that lasts for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The job has arrived, or is tried again, and waits for a place.
    Waiting,
    /// The job was suspended, and waits for a place again.
    Suspended,
    /// The job has a place, and no pod of it runs yet.
    Starting,
    /// A pod of the job runs.
    Running,
    /// Somebody else suspended the job, which keeps its place.
    Held,
    /// The job was asked to make room for another.
    Suspending,
    /// The job is over.
    Over,
}

impl Phase {
    /// The phases that last, in the order in which a job passes through them.
    pub const LASTING: [Self; 6] = [Self::Waiting, Self::Suspended, Self::Starting, Self::Running, Self::Held, Self::Suspending];

    /// The phase of `job`; `None` before it arrives.
    pub(super) fn of(job: &Job) -> Option<Self> {
        Some(match &job.state {
            State::Pending => return None,
            State::Waiting if job.is_there() => Self::Suspended,
            State::Waiting => Self::Waiting,
            State::Admitted | State::Starting => Self::Starting,
            State::Running => Self::Running,
            State::Held => Self::Held,
            State::Suspending { .. } => Self::Suspending,
            State::Ended => Self::Over,
        })
    }

    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Suspended => "suspended",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Held => "held",
            Self::Suspending => "suspending",
            Self::Over => "over",
        }
    }

    /// True if the job takes a place.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Held | Self::Suspending)
    }
}

/// The beginning of a phase of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The position of the job among those of its planner.
    pub job: usize,
    /// The time, since the replication began.
    pub at: Duration,
    /// The phase that begins.
    pub phase: Phase,
}
