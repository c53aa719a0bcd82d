//! What the planner is told, and what it answers.

use std::collections::BTreeMap;

use fltk_core::experiment::Duration;
use serde::{Deserialize, Serialize};

use super::{Blame, Outcome, capacity::Node};
use crate::{Amounts, JobId};

/// What a pod said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The pod's position among the job's pods, which is its rank.
    pub pod: u32,
    /// Its words, or the kubelet's about it.
    pub words: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Time went by.
    Tick,
    /// What nodes there are, and what others than the stream's active jobs use of them.
    Nodes {
        /// All of them.
        nodes: Vec<Node>,
    },
    /// The job's object exists, and isn't suspended.
    Created {
        /// The job.
        job: JobId,
        /// Which of its starts this is of.
        attempt: u32,
    },
    /// A pod of the job runs.
    PodRunning {
        /// The job.
        job: JobId,
        /// Which of its starts this is of.
        attempt: u32,
        /// The pod's position among the job's pods.
        pod: u32,
        /// Where.
        node: String,
    },
    /// The job took its first training step.
    FirstStep {
        /// The job.
        job: JobId,
        /// When, by a wall clock, which may have been noticed only later. What lies before the job's start or after now is taken as that.
        at: Duration,
    },
    /// Somebody else suspended the job.
    Held {
        /// The job.
        job: JobId,
        /// Which of its starts this is of.
        attempt: u32,
        /// When, by a wall clock, which may have been noticed only later; now, where that isn't known. What lies before the job's start or after now is taken
        /// as that.
        at: Option<Duration>,
    },
    /// The job isn't suspended by somebody else any more.
    Released {
        /// The job.
        job: JobId,
        /// Which of its starts this is of.
        attempt: u32,
    },
    /// The job's pods are gone, its object is suspended, as was asked for.
    Suspended {
        /// The job.
        job: JobId,
        /// Which of its starts this is of.
        attempt: u32,
    },
    /// The job is over.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
        /// Why, for a person.
        reason: String,
        /// What is at fault if it failed.
        #[serde(default, skip_serializing_if = "Blame::is_job")]
        blame: Blame,
        /// What pods of it that aren't over still request, by node: others', as far as the next [`Event::Nodes`].
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        left: BTreeMap<String, Amounts>,
        /// What its pods said last, if it didn't succeed: they may be gone, and their logs with them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<LastWords>,
    },
    /// A job that failed is tried again, from its last checkpoint.
    Retried {
        /// The job.
        job: JobId,
    },
}

impl Event {
    /// The end of a job, as far as its edge knows without a look at what its pods leave.
    #[must_use]
    pub fn ended(job: JobId, outcome: Outcome, reason: impl Into<String>) -> Self {
        Self::Ended { job, outcome, reason: reason.into(), blame: Blame::Job, left: BTreeMap::new(), words: Vec::new() }
    }

    /// The job that it is about, if it's about one.
    #[must_use]
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Self::Tick | Self::Nodes { .. } => None,
            Self::Created { job, .. }
            | Self::PodRunning { job, .. }
            | Self::FirstStep { job, .. }
            | Self::Held { job, .. }
            | Self::Released { job, .. }
            | Self::Suspended { job, .. }
            | Self::Ended { job, .. }
            | Self::Retried { job } => Some(job),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Make the job's objects, or let its suspended one go on; whichever there is.
    Start {
        /// The job.
        job: JobId,
        /// Which of its starts this is, from 1. It comes back in the events that follow from it, so that those of an earlier one are known.
        attempt: u32,
    },
    /// Suspend the job.
    Suspend {
        /// The job.
        job: JobId,
        /// Which of its starts is to end.
        attempt: u32,
        /// Who wants its place.
        for_job: JobId,
    },
}

impl Action {
    /// The job that it is about.
    #[must_use]
    pub fn job(&self) -> &JobId {
        match self {
            Self::Start { job, .. } | Self::Suspend { job, .. } => job,
        }
    }
}
