//! The jobs with a place that aren't in the requested state, and when that is reported: once, after a time in which it would be usual.

use std::{collections::BTreeMap, fmt, time::Duration};

use fltk_plan::{
    JobId,
    plan::{Job, State},
};
use tokio::time::Instant;

use crate::view::{NotRunning, NotSuspended, View};

/// How long a job with a place may not run before that is reported: images are large. The same limit holds for pods to end.
const STUCK: Duration = Duration::from_secs(60);
/// How long a requested suspension may take before that is reported: an operator carries it out within a second.
const STAYS: Duration = Duration::from_secs(5);

/// The reason why a job with a place isn't in the requested state.
#[derive(Debug, PartialEq)]
pub enum Stuck {
    /// It was started, and doesn't run, or not all of it.
    Start(NotRunning),
    /// It should be suspended.
    Suspension(NotSuspended),
}

impl Stuck {
    /// The reason for `job` at the instant `now`; `None` if it is in the requested state.
    pub fn of(job: &Job, view: &View, now: Instant) -> Option<Self> {
        match job.state {
            State::Suspending { .. } => view.stays(&job.spec.id).map(Self::Suspension),
            _ => view.waits(&job.spec.id, job.spec.num_pods(), now).map(Self::Start),
        }
    }

    fn is_leaving(&self) -> bool {
        matches!(self, Self::Suspension(_))
    }

    fn patience(&self) -> Duration {
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

/// The jobs that were last seen not to be in the requested state.
#[derive(Default)]
pub struct StuckJobs(BTreeMap<JobId, Said>);

/// The time when a job was first seen not to be in the requested state, and whether that was reported.
struct Said {
    since: Instant,
    is_said: bool,
    /// True if its suspension was requested.
    is_leaving: bool,
}

impl StuckJobs {
    /// Records that exactly the jobs `stuck` are so at the instant `now`. Returns those that are due to be reported.
    pub fn due(&mut self, stuck: BTreeMap<JobId, Stuck>, now: Instant) -> Vec<(JobId, Stuck)> {
        let is_as_before = |id: &JobId, said: &Said| stuck.get(id).is_some_and(|why| why.is_leaving() == said.is_leaving);
        self.0.retain(|id, said| is_as_before(id, said));
        let is_due = |(id, why): &(JobId, Stuck)| {
            let said = self.0.entry(id.clone()).or_insert(Said { since: now, is_said: false, is_leaving: why.is_leaving() });
            let is_due = !said.is_said && now.saturating_duration_since(said.since) >= why.patience();
            said.is_said |= is_due;
            is_due
        };
        stuck.into_iter().filter(is_due).collect()
    }
}
