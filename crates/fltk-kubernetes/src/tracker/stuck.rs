//! Jobs that aren't in the requested state.

use std::{fmt, time::Duration};

use fltk_plan::plan::{Job, State};
use tokio::time::Instant;

use crate::view::{NotRunning, NotSuspended, View};

/// How long a job with a place may not run before that is reported: images are large. The same limit holds for pods to end.
const STUCK: Duration = Duration::from_secs(60);
/// How long a requested suspension may take before that is reported: an operator carries it out within a second.
const STAYS: Duration = Duration::from_secs(5);

/// The time when a job was first seen not to be in the requested state, and whether that was reported.
pub struct Said {
    pub since: Instant,
    pub is_said: bool,
    /// True if its suspension was requested.
    pub is_leaving: bool,
}

/// The reason why a job with a place isn't in the requested state.
pub enum Stuck {
    Start(NotRunning),
    Suspension(NotSuspended),
}

impl Stuck {
    pub fn of(job: &Job, view: &View, now: Instant) -> Option<Self> {
        match job.state {
            State::Suspending { .. } => view.stays(&job.spec.id).map(Self::Suspension),
            _ => view.waits(&job.spec.id, job.spec.num_pods(), now).map(Self::Start),
        }
    }

    pub fn is_leaving(&self) -> bool {
        matches!(self, Self::Suspension(_))
    }

    pub fn patience(&self) -> Duration {
        match self {
            Self::Start(_) | Self::Suspension(NotSuspended::Pods(_)) => STUCK,
            Self::Suspension(NotSuspended::Undone | NotSuspended::NoOperator) => STAYS,
        }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(why) => why.fmt(f),
            Self::Suspension(why) => why.fmt(f),
        }
    }
}
