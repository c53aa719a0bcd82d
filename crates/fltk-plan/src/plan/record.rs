//! The record of a job: when it arrived, was admitted, was created, ran and ended, where it ran, and how it ended.

use std::collections::BTreeSet;

use fltk_core::experiment::Duration;
use serde::{Deserialize, Serialize};

use super::LastWords;
use crate::{JobId, JobSpec};

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The job trained to its end.
    Succeeded,
    /// The job didn't train to its end, or could not be created.
    Failed,
    /// Somebody deleted the job.
    Deleted,
}

/// The cause of a job's failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The job itself, as far as is known: it would fail again.
    #[default]
    Job,
    /// The machine it ran on: a full disk, a process that was killed, a node that was lost. Another try may succeed.
    Machine,
}

impl Blame {
    pub(super) fn is_job(&self) -> bool {
        *self == Self::Job
    }
}

/// The times and results of a job. Times count from the start of its replication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: JobId,
    /// The name of its task.
    pub class: String,
    /// The priority; the smaller number goes first.
    pub priority: i32,
    /// The time when it arrived.
    pub arrived: Option<Duration>,
    /// The time when it was first admitted.
    pub admitted: Option<Duration>,
    /// The time when its object was first seen.
    pub created: Option<Duration>,
    /// The time when its first pod ran.
    pub first_pod: Option<Duration>,
    /// The time when it took its first training step.
    pub first_step: Option<Duration>,
    /// The time when it ended.
    pub ended: Option<Duration>,
    /// The outcome, once it ended.
    pub outcome: Option<Outcome>,
    /// The reason for its end, for a person to read.
    pub reason: Option<String>,
    /// The cause of the failure, if it failed.
    pub blame: Blame,
    /// The last words of its pods, if it didn't succeed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<LastWords>,
    /// The names of the nodes on which its pods ran.
    pub nodes: BTreeSet<String>,
    /// The number of times that the job was suspended while it ran: by the planner, to preempt it, or by somebody else.
    pub suspensions: u32,
    /// Milliseconds that it ran until its last suspension.
    ran: u64,
    /// The start of the current period in which it runs; `None` while it doesn't run.
    runs_since: Option<Duration>,
    /// True if it is held and the hold was counted as a suspension.
    is_hold_counted: bool,
}

impl JobRecord {
    pub(super) fn of(spec: &JobSpec) -> Self {
        Self {
            job: spec.id.clone(),
            class: spec.class.clone(),
            priority: spec.arrival.priority,
            arrived: None,
            admitted: None,
            created: None,
            first_pod: None,
            first_step: None,
            ended: None,
            outcome: None,
            reason: None,
            blame: Blame::Job,
            words: Vec::new(),
            nodes: BTreeSet::new(),
            suspensions: 0,
            ran: 0,
            runs_since: None,
            is_hold_counted: false,
        }
    }

    /// Seconds from its arrival to its first pod, or to its end if none ran.
    #[must_use]
    pub fn queue_seconds(&self) -> Option<f64> {
        self.first_pod.or(self.ended).zip(self.arrived).map(|(end, start)| seconds(start, end))
    }

    /// Seconds from its arrival to its first admission.
    #[must_use]
    pub fn admission_seconds(&self) -> Option<f64> {
        self.admitted.zip(self.arrived).map(|(end, start)| seconds(start, end))
    }

    /// Seconds from its first pod to its end.
    #[must_use]
    pub fn service_seconds(&self) -> Option<f64> {
        self.ended.zip(self.first_pod).map(|(end, start)| seconds(start, end))
    }

    /// Seconds from its arrival to its end.
    #[must_use]
    pub fn response_seconds(&self) -> Option<f64> {
        self.ended.zip(self.arrived).map(|(end, start)| seconds(start, end))
    }

    /// Seconds that it ran, without the time while it was suspended; `None` before its first pod ran.
    #[must_use]
    pub fn run_seconds(&self) -> Option<f64> {
        self.first_pod.map(|_| Duration::from_millis(self.ran)).map(|ran| seconds(Duration::from_millis(0), ran))
    }

    pub(super) fn admitted(&mut self, now: Duration) {
        self.admitted.get_or_insert(now);
    }

    pub(super) fn runs_at(&mut self, now: Duration, node: &str) {
        self.first_pod.get_or_insert(now);
        self.runs_since.get_or_insert(now);
        self.nodes.insert(node.to_owned());
    }

    /// Records a suspension that the planner requested; if the job was held before, that is the same suspension.
    pub(super) fn suspended(&mut self, now: Duration) {
        self.suspensions += u32::from(!std::mem::take(&mut self.is_hold_counted));
        self.stops(now);
    }

    /// Records the first training step at the time `at` by a wall clock, which is known at the time `now`.
    pub(super) fn first_step(&mut self, at: Duration, now: Duration) {
        let at = self.within(at, now);
        self.first_step.get_or_insert(at);
    }

    /// Records that somebody else suspended it at the time `at` by a wall clock, which is known at the time `now`. The hold counts as a suspension
    /// only if the job was running. Returns the time as it was recorded.
    pub(super) fn held(&mut self, at: Duration, now: Duration) -> Duration {
        self.is_hold_counted = self.runs_since.is_some();
        self.suspensions += u32::from(self.is_hold_counted);
        let at = self.within(at, now);
        self.stops(at);
        at
    }

    /// The time `at` of a wall clock, which may have been set since or be another machine's, limited to between the job's admission and `now`. The
    /// lower bound isn't the creation of its object, since that may have been noticed only later.
    fn within(&self, at: Duration, now: Duration) -> Duration {
        at.max(self.admitted.or(self.arrived).unwrap_or(at)).min(now)
    }

    pub(super) fn released(&mut self) {
        self.is_hold_counted = false;
    }

    pub(super) fn ended(&mut self, now: Duration, outcome: Outcome, reason: String, blame: Blame, words: Vec<LastWords>) {
        self.stops(now);
        (self.blame, self.words) = (blame, words);
        (self.ended, self.outcome, self.reason) = (Some(now), Some(outcome), Some(reason));
    }

    /// Clears the end of the job, since the job is tried again.
    pub(super) fn retried(&mut self) {
        (self.ended, self.outcome, self.reason, self.blame) = (None, None, None, Blame::Job);
        self.words.clear();
    }

    /// The start of the current period in which it runs; `None` while it doesn't run.
    pub(super) fn runs_since(&self) -> Option<Duration> {
        self.runs_since
    }

    fn stops(&mut self, now: Duration) {
        if let Some(since) = self.runs_since.take() {
            self.ran += now.as_millis().saturating_sub(since.as_millis());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 ms")]
fn seconds(start: Duration, end: Duration) -> f64 {
    end.as_millis().saturating_sub(start.as_millis()) as f64 / 1000.0
}
