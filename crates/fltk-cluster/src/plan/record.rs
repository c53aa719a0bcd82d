//! What is recorded of a job: when it arrived, was admitted, created, ran and ended, where, and how.

use std::collections::BTreeSet;

use fltk_core::experiment::Duration;
use serde::{Deserialize, Serialize};

use super::LastWords;
use crate::{JobId, JobSpec};

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It trained to its end.
    Succeeded,
    /// It didn't, or could not be made.
    Failed,
    /// Somebody deleted it.
    Deleted,
}

/// What is at fault when a job failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The job itself, as far as is known: it would fail again.
    #[default]
    Job,
    /// Where it ran: a full disk, a process that was killed, a node that was lost. Another try may go well.
    Machine,
}

impl Blame {
    pub(super) fn is_job(&self) -> bool {
        *self == Self::Job
    }
}

/// The times of a job, since its replication began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: JobId,
    /// Its task.
    pub class: String,
    /// Smaller goes first.
    pub priority: i32,
    /// When it arrived.
    pub arrived: Option<Duration>,
    /// When it was let start, the first time.
    pub admitted: Option<Duration>,
    /// When its object was there.
    pub created: Option<Duration>,
    /// When its first pod ran.
    pub first_pod: Option<Duration>,
    /// When it took its first training step.
    pub first_step: Option<Duration>,
    /// When it ended.
    pub ended: Option<Duration>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why, for a person.
    pub reason: Option<String>,
    /// What is at fault if it failed.
    pub blame: Blame,
    /// What its pods said last, if it didn't succeed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<LastWords>,
    /// Where its pods ran.
    pub nodes: BTreeSet<String>,
    /// How often it was suspended: pushed out, or held by somebody else while it ran.
    pub suspensions: u32,
    /// Milliseconds that it ran until it was last suspended.
    ran: u64,
    /// Since when it runs, this time.
    runs_since: Option<Duration>,
    /// Whether it is held, and that counts as a suspension.
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

    /// Seconds from its arrival until it was let start, the first time.
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

    /// Seconds that it ran, without those that it was suspended for; `None` before its first pod ran.
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

    /// As was asked for; if it was held before, that is the same suspension.
    pub(super) fn suspended(&mut self, now: Duration) {
        self.suspensions += u32::from(!std::mem::take(&mut self.is_hold_counted));
        self.stops(now);
    }

    /// At the time `at` by a wall clock, which is known at the time `now`.
    pub(super) fn first_step(&mut self, at: Duration, now: Duration) {
        let at = self.within(at, now);
        self.first_step.get_or_insert(at);
    }

    /// By somebody else, at the time `at` by a wall clock, which is known at the time `now`. One that hasn't run yet loses nothing by it.
    pub(super) fn held(&mut self, at: Duration, now: Duration) {
        self.is_hold_counted = self.runs_since.is_some();
        self.suspensions += u32::from(self.is_hold_counted);
        self.stops(self.within(at, now));
    }

    /// The time `at` of a wall clock, which may have been set since, or be another machine's: not before the job was let start, and not after `now`. Not from
    /// when its object was there: that may have been seen only later.
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

    /// Its end wasn't the last word.
    pub(super) fn retried(&mut self) {
        (self.ended, self.outcome, self.reason, self.blame) = (None, None, None, Blame::Job);
        self.words.clear();
    }

    /// Since when it runs, this time; `None` while it doesn't.
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
