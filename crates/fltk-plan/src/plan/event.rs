//! The planner's input, events, and its output, actions.

use std::collections::BTreeMap;

use fltk_core::experiment::Duration;
use serde::{Deserialize, Serialize};

use super::{Blame, Outcome, capacity::Node};
use crate::{Amounts, JobId};

/// The last words of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The pod's position among the job's pods, which is its rank.
    pub pod: u32,
    /// The pod's own words, or the kubelet's about the pod.
    pub words: String,
}

/// An event that the planner takes in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The nodes, and their use by pods other than those of the stream's active jobs.
    Nodes {
        /// All nodes.
        nodes: Vec<Node>,
    },
    /// The job's object exists, and isn't suspended.
    Created {
        /// The job.
        job: JobId,
        /// The number of the start that this event belongs to.
        attempt: u32,
    },
    /// A pod of the job runs.
    PodRunning {
        /// The job.
        job: JobId,
        /// The number of the start that this event belongs to.
        attempt: u32,
        /// The pod's position among the job's pods.
        pod: u32,
        /// The name of the pod's node.
        node: String,
    },
    /// The job took its first training step.
    FirstStep {
        /// The job.
        job: JobId,
        /// The time of the step by a wall clock; it may have been noticed only later. A time before the job's start or after now is moved to that bound.
        at: Duration,
    },
    /// Somebody else suspended the job.
    Held {
        /// The job.
        job: JobId,
        /// The number of the start that this event belongs to.
        attempt: u32,
        /// The time by a wall clock, which may have been noticed only later; `None` if it isn't known, which counts as now. A time before the job's
        /// start or after now is moved to that bound.
        at: Option<Duration>,
    },
    /// The job is no longer suspended by somebody else.
    Released {
        /// The job.
        job: JobId,
        /// The number of the start that this event belongs to.
        attempt: u32,
    },
    /// The job's pods are gone and its object is suspended, as requested.
    Suspended {
        /// The job.
        job: JobId,
        /// The number of the start that this event belongs to.
        attempt: u32,
    },
    /// The job is over.
    Ended {
        /// The job.
        job: JobId,
        /// The job's outcome.
        outcome: Outcome,
        /// The reason, for a person to read.
        reason: String,
        /// The cause of the failure, if the job failed.
        #[serde(default, skip_serializing_if = "Blame::is_job")]
        blame: Blame,
        /// The requests, by node, of its pods that aren't over yet. Until the next [`Event::Nodes`] they count as requests of other pods.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        left: BTreeMap<String, Amounts>,
        /// The last words of its pods, if it didn't succeed: the pods may be gone, and their logs with them.
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
    /// Creates the event for the end of a job, without what its pods leave behind.
    #[must_use]
    pub fn ended(job: JobId, outcome: Outcome, reason: impl Into<String>) -> Self {
        Self::Ended { job, outcome, reason: reason.into(), blame: Blame::Job, left: BTreeMap::new(), words: Vec::new() }
    }

    /// The job that the event is about, if there is one.
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

/// An action for an edge to carry out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Create the job's objects, or resume it if it is suspended.
    Start {
        /// The job.
        job: JobId,
        /// The number of this start, from 1. The events that follow from it carry this number, so that events of an earlier start can be told apart.
        attempt: u32,
    },
    /// Suspend the job.
    Suspend {
        /// The job.
        job: JobId,
        /// The number of the start to end.
        attempt: u32,
        /// The job that wants its place.
        for_job: JobId,
    },
}

impl Action {
    /// The job that the action is about.
    #[must_use]
    pub fn job(&self) -> &JobId {
        match self {
            Self::Start { job, .. } | Self::Suspend { job, .. } => job,
        }
    }
}
