//! A stream at work: its replications one after another, each by a planner, and the journal that a new process takes it up from.
//!
//! ```text
//! edge ── what happened ──> journal, synced ──> planner ──> what is to be done ──> edge
//! ```
//!
//! Jobs of a replication that is over may be tried again: once the one at hand is over too, the orchestrator goes back to it, so that no two are at work at
//! once.
//!
//! An event counts once it's in the journal. Reading the journal again gives the same planner; what that waits for is asked for again, and edges do
//! nothing twice. So an orchestrator may be killed at any moment.

use std::collections::BTreeMap;

use fltk_core::{
    arrivals::{ArrivalsError, TraceEntry},
    experiment::{Duration, Experiment},
};
use fltk_records::journal::{Entry, Journal, JournalError, JournalEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Action, Event, JobId, JobSpec, Planner, Settings, jobs,
    plan::{Blame, Job, JobRecord, Outcome, Wait},
};

/// What the orchestrator's journal holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamEvent {
    /// Since the stream began.
    pub now: Duration,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl JournalEvent for StreamEvent {
    const KINDS: &[&str] = &["tick", "nodes", "created", "pod_running", "first_step", "held", "released", "suspended", "ended", "retried"];

    fn to_wire(&self) -> impl Serialize {
        self
    }

    fn from_wire(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// What a stream is: everything that its jobs follow from.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The experiment.
    pub experiment: Experiment,
    /// The arrivals of its trace; empty without one.
    pub trace: Vec<TraceEntry>,
    /// Names the run; the names of its jobs are derived from it.
    pub run: String,
}

impl Stream {
    /// Whether the same jobs arrive in both, wherever their traces were written, and in whatever form.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let arrival = |TraceEntry { at, class, priority, place: _ }: &TraceEntry| (*at, class.clone(), *priority);
        let without_place = |experiment: &Experiment| {
            let mut experiment = experiment.clone();
            if let Some(trace) = experiment.stream.as_mut().and_then(|stream| stream.trace.as_mut()) {
                trace.clear();
            }
            experiment
        };
        self.run == other.run
            && without_place(&self.experiment) == without_place(&other.experiment)
            && self.trace.iter().map(arrival).eq(other.trace.iter().map(arrival))
    }

    /// The jobs of one replication, with what they ask for at the edge that `adapt` is of.
    fn jobs(&self, replication: usize, adapt: &dyn Fn(JobSpec) -> JobSpec) -> Result<Vec<JobSpec>, ArrivalsError> {
        Ok(jobs(&self.experiment, &self.run, replication, &self.trace)?.into_iter().map(adapt).collect())
    }
}

/// A stream at work.
pub struct Orchestrator<'a> {
    stream: Stream,
    adapt: Box<dyn Fn(JobSpec) -> JobSpec + Send + Sync + 'a>,
    journal: Option<Journal<StreamEvent>>,
    /// The one at hand.
    replication: usize,
    /// When each replication that has begun did, since the stream began.
    began: Vec<Duration>,
    /// Of each replication that has begun.
    planners: Vec<Planner>,
    /// Jobs that are tried again, by replication: of those that are over.
    again: BTreeMap<usize, Vec<JobId>>,
    now: Duration,
}

impl<'a> Orchestrator<'a> {
    /// Takes up `stream` where `entries`, the journal so far, leave it; empty for a new one. Without a `journal` nothing is kept.
    ///
    /// # Errors
    /// If the stream has no end within reason, in any replication.
    pub fn new(
        stream: Stream,
        adapt: impl Fn(JobSpec) -> JobSpec + Send + Sync + 'a,
        journal: Option<Journal<StreamEvent>>,
        entries: &[Entry<StreamEvent>],
    ) -> Result<Self, ArrivalsError> {
        // What is impossible for a later replication is refused now, not after hours.
        for replication in 1..stream.experiment.seeds.len() {
            stream.jobs(replication, &|spec| spec)?;
        }
        let settings = Settings::of(stream.experiment.stream.as_ref());
        let planner = Planner::new(settings, stream.jobs(0, &adapt)?, BTreeMap::new());
        let zero = Duration::from_millis(0);
        let (planners, began, again) = (vec![planner], vec![zero], BTreeMap::new());
        let mut taken_up = Self { stream, adapt: Box::new(adapt), journal, replication: 0, began, planners, again, now: zero };
        // Nothing happens in a replication without jobs that could end it. What is asked for then is outstanding.
        drop(taken_up.pass_over(zero));
        for Entry { event: StreamEvent { now, event }, .. } in entries {
            taken_up.step(*now, event.clone());
        }
        Ok(taken_up)
    }

    /// Takes in what happened at `now`, since the stream began: journals it, and says what is to be done.
    ///
    /// # Errors
    /// If the journal can't be written: then nothing has happened.
    pub fn take(&mut self, now: Duration, events: Vec<Event>, at: Timestamp) -> Result<Vec<Action>, JournalError> {
        // Clocks are set back; a journal isn't.
        let now = now.max(self.now);
        if let Some(journal) = &mut self.journal {
            let entries: Vec<StreamEvent> = events.iter().map(|event| StreamEvent { now, event: event.clone() }).collect();
            journal.append_all(&entries, at)?;
        }
        Ok(events.into_iter().flat_map(|event| self.step(now, event)).collect())
    }

    fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        let event = match event {
            Event::FirstStep { job, at } => Event::FirstStep { job, at: self.since_began(at) },
            Event::Held { job, attempt, at } => Event::Held { job, attempt, at: at.map(|at| self.since_began(at)) },
            event => event,
        };
        if let Event::Retried { job } = &event
            && let Some(replication) = self.planners.iter().position(|planner| planner.job(job).is_some())
            && replication != self.replication
        {
            self.again.entry(replication).or_default().push(job.clone());
            return self.pass_over(now);
        }
        let since = self.since_began(now);
        let mut actions = self.planners[self.replication].step(since, event);
        actions.extend(self.pass_over(now));
        actions
    }

    /// While the replication at hand is over, goes back to one with jobs that are tried again, or on to the next that has jobs.
    fn pass_over(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.planner().is_finished() {
            let before = self.replication;
            if let Some((replication, jobs)) = self.again.pop_first() {
                self.replication = replication;
                if let Ok([next, known]) = self.planners.get_disjoint_mut([replication, before]) {
                    next.knows_nodes_of(known);
                }
                let since = self.since_began(now);
                let retried = jobs.into_iter().map(|job| Event::Retried { job });
                actions.extend(retried.flat_map(|event| self.planners[replication].step(since, event)));
            } else if self.planners.len() < self.stream.experiment.seeds.len() {
                self.replication = self.planners.len();
                self.began.push(now);
                let specs = self.stream.jobs(self.replication, &self.adapt).unwrap_or_default();
                self.planners.push(self.planners[before].successor(specs));
                let since = self.since_began(now);
                actions.extend(self.planners[self.replication].step(since, Event::Tick));
            } else {
                break;
            }
        }
        actions
    }

    fn since_began(&self, now: Duration) -> Duration {
        Duration::from_millis(now.as_millis().saturating_sub(self.began(self.replication).as_millis()))
    }

    /// When `replication` began, since the stream did.
    #[must_use]
    pub fn began(&self, replication: usize) -> Duration {
        self.began.get(replication).copied().unwrap_or(self.now)
    }

    /// When a tick is due: the next arrival, since the stream began.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        let since = self.planner().next_arrival()?;
        Some(Duration::from_millis(self.began(self.replication).as_millis().saturating_add(since.as_millis())))
    }

    /// Whether every job of every replication is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.planner().is_finished() && self.again.is_empty() && self.planners.len() >= self.stream.experiment.seeds.len()
    }

    /// What was asked for and isn't confirmed.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Action> {
        self.planner().outstanding()
    }

    /// What of that is about `id`.
    #[must_use]
    pub fn outstanding_of(&self, id: &JobId) -> Option<Action> {
        self.planner().job(id)?.outstanding()
    }

    /// The planner of the replication at hand.
    #[must_use]
    pub fn planner(&self) -> &Planner {
        &self.planners[self.replication]
    }

    /// A job of the replication at hand.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.planner().job(id)
    }

    /// Every job so far: of the replications before, and of the one at hand.
    pub fn all_jobs(&self) -> impl Iterator<Item = &Job> {
        self.planners.iter().flat_map(Planner::jobs)
    }

    /// What was recorded of every job so far.
    pub fn records(&self) -> impl Iterator<Item = &JobRecord> {
        self.all_jobs().map(|job| &job.record)
    }

    /// Jobs that failed and are to be tried again by [`Event::Retried`]: those that the machine is at fault for, or `all`.
    #[must_use]
    pub fn to_retry(&self, all: bool) -> Vec<JobId> {
        let is_failed = |record: &&JobRecord| record.outcome == Some(Outcome::Failed) && (all || record.blame == Blame::Machine);
        self.records().filter(is_failed).map(|record| record.job.clone()).collect()
    }

    /// What a waiting job waits for, at `now` since the stream began.
    #[must_use]
    pub fn explain(&self, id: &JobId, now: Duration) -> Option<Wait> {
        self.planner().explain(id, self.since_began(now.max(self.now)))
    }

    /// Which replication is at work, from 0, and how many there are.
    #[must_use]
    pub fn replication(&self) -> (usize, usize) {
        (self.replication, self.stream.experiment.seeds.len())
    }

    /// When the last event was, since the stream began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }
}

#[cfg(test)]
mod tests;
