//! The orchestrator of a stream: it runs the replications one after another, each with its planner, and keeps the journal from which a new process resumes.
//!
//! ```text
//! edge ── events ──> journal, synced ──> planner ──> actions ──> edge
//! ```
//!
//! Jobs of a replication that is over may be tried again: once the current replication is over too, the orchestrator goes back to the earlier one, so
//! that no two replications run at once.
//!
//! An event counts once it's in the journal. Reading the journal again gives the same planner; its outstanding actions are requested again, and edges
//! do nothing twice. So an orchestrator may be killed at any moment.

use std::collections::BTreeMap;

use fltk_core::{
    arrivals::{ArrivalsError, TraceEntry},
    experiment::{Duration, Experiment},
    name::Name,
};
use fltk_records::journal::{Entry, Journal, JournalError, JournalEvent, OfKind};
use jiff::Timestamp;
use serde::{
    Deserialize, Serialize,
    de::{Error as _, MapAccess},
};

use crate::{
    Action, Event, JobId, JobSpec, Planner, Settings, jobs,
    plan::{Blame, Job, JobRecord, Outcome, Wait},
};

/// An event in the orchestrator's journal.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEvent {
    /// The time since the stream began.
    pub now: Duration,
    /// The event itself.
    pub event: Event,
}

impl JournalEvent for StreamEvent {
    const KINDS: &[&str] = &["tick", "nodes", "created", "pod_running", "first_step", "held", "released", "suspended", "ended", "retried"];

    fn now(&self) -> Option<Duration> {
        Some(self.now)
    }

    fn to_wire(&self) -> impl Serialize {
        &self.event
    }

    fn from_wire<'de, A: MapAccess<'de>>(now: Option<Duration>, event: OfKind<'_, A>) -> Result<Self, A::Error> {
        Ok(Self { now: now.ok_or_else(|| A::Error::missing_field("now"))?, event: Event::deserialize(event)? })
    }
}

/// The definition of a stream: everything that determines its jobs.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The experiment.
    pub experiment: Experiment,
    /// The arrivals of its trace; empty without one.
    pub trace: Vec<TraceEntry>,
    /// The name of the run; the names of its jobs are derived from it.
    pub run: Name,
}

impl Stream {
    /// True if the same jobs arrive in both streams, wherever their traces are stored, and in whatever form.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let arrival = |TraceEntry { at, class, priority, place: _ }: &TraceEntry| (*at, class.clone(), *priority);
        let without_place = |experiment: &Experiment| {
            let mut experiment = experiment.clone();
            if let Some(trace) = experiment.stream.as_mut().and_then(|stream| stream.trace.as_mut()) {
                trace.clear();
            }
            experiment.without_nodes()
        };
        self.run == other.run
            && without_place(&self.experiment) == without_place(&other.experiment)
            && self.trace.iter().map(arrival).eq(other.trace.iter().map(arrival))
    }

    /// The jobs of one replication, with the requests that they have on the edge whose adaptation is `adapt`.
    fn jobs(&self, replication: usize, adapt: &dyn Fn(JobSpec) -> JobSpec) -> Result<Vec<JobSpec>, ArrivalsError> {
        Ok(jobs(&self.experiment, &self.run, replication, &self.trace)?.into_iter().map(adapt).collect())
    }
}

/// A running stream.
pub struct Orchestrator<'a> {
    stream: Stream,
    adapt: Box<dyn Fn(JobSpec) -> JobSpec + Send + Sync + 'a>,
    journal: Option<Journal<StreamEvent>>,
    /// The current replication.
    replication: usize,
    /// The time when each replication that has begun did so, since the stream began.
    began: Vec<Duration>,
    /// The planners of the replications that have begun.
    planners: Vec<Planner>,
    /// The jobs to try again, by replication, of the replications that are over.
    again: BTreeMap<usize, Vec<JobId>>,
    now: Duration,
}

impl<'a> Orchestrator<'a> {
    /// Resumes `stream` after `entries`, the journal so far; they are empty for a new stream. Without a `journal`, nothing is recorded.
    ///
    /// # Errors
    /// If the arrivals of a replication can't be computed: the stream wouldn't end within reason, or its trace names an unknown task.
    pub fn new(
        stream: Stream,
        adapt: impl Fn(JobSpec) -> JobSpec + Send + Sync + 'a,
        journal: Option<Journal<StreamEvent>>,
        entries: &[Entry<StreamEvent>],
    ) -> Result<Self, ArrivalsError> {
        Self::after(stream, adapt, journal, entries, |planner| planner)
    }

    /// Looks back at `stream` after `entries`: like [`new`](Self::new) without a journal, and its planners have the [moves](Planner::moves) of all jobs.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn looking_back(
        stream: Stream,
        adapt: impl Fn(JobSpec) -> JobSpec + Send + Sync + 'a,
        entries: &[Entry<StreamEvent>],
    ) -> Result<Self, ArrivalsError> {
        Self::after(stream, adapt, None, entries, Planner::keeping_moves)
    }

    fn after(
        stream: Stream,
        adapt: impl Fn(JobSpec) -> JobSpec + Send + Sync + 'a,
        journal: Option<Journal<StreamEvent>>,
        entries: &[Entry<StreamEvent>],
        prepare: fn(Planner) -> Planner,
    ) -> Result<Self, ArrivalsError> {
        // A later replication that is impossible is refused now, not after hours.
        for replication in 1..stream.experiment.seeds.len() {
            stream.jobs(replication, &|spec| spec)?;
        }
        let settings = Settings::of(stream.experiment.stream.as_ref());
        let planner = prepare(Planner::new(settings, stream.jobs(0, &adapt)?, BTreeMap::new()));
        let zero = Duration::from_millis(0);
        let (planners, began, again) = (vec![planner], vec![zero], BTreeMap::new());
        let mut taken_up = Self { stream, adapt: Box::new(adapt), journal, replication: 0, began, planners, again, now: zero };
        // A replication without jobs gets no event that could end it. The actions returned here remain outstanding.
        drop(taken_up.pass_over(zero));
        for Entry { event: StreamEvent { now, event }, .. } in entries {
            taken_up.step(*now, event.clone());
        }
        Ok(taken_up)
    }

    /// Takes in the events that happened at `now`, counted from the start of the stream: journals them, and returns the actions to carry out.
    ///
    /// # Errors
    /// If the journal can't be written; the events then don't count.
    pub fn take(&mut self, now: Duration, events: Vec<Event>, at: Timestamp) -> Result<Vec<Action>, JournalError> {
        // A clock can be set back, but the times in a journal never decrease.
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

    /// While the current replication is over, goes back to one with jobs to try again, or on to the next that has jobs.
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

    /// The time when `replication` began, since the stream began.
    #[must_use]
    pub fn began(&self, replication: usize) -> Duration {
        self.began.get(replication).copied().unwrap_or(self.now)
    }

    /// The time when a tick is due: the next arrival, since the stream began.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        let since = self.planner().next_arrival()?;
        Some(Duration::from_millis(self.began(self.replication).as_millis().saturating_add(since.as_millis())))
    }

    /// True if every job of every replication is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.planner().is_finished() && self.again.is_empty() && self.planners.len() >= self.stream.experiment.seeds.len()
    }

    /// The actions that were requested and aren't confirmed.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Action> {
        self.planner().outstanding()
    }

    /// The outstanding action for the job `id`, if there is one.
    #[must_use]
    pub fn outstanding_of(&self, id: &JobId) -> Option<Action> {
        self.planner().job(id)?.outstanding()
    }

    /// The planner of the current replication.
    #[must_use]
    pub fn planner(&self) -> &Planner {
        &self.planners[self.replication]
    }

    /// The job named `id` of the current replication, if there is one.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.planner().job(id)
    }

    /// The planner of each replication that has begun.
    #[must_use]
    pub fn planners(&self) -> &[Planner] {
        &self.planners
    }

    /// The definition of the stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Every job so far, of the earlier replications and the current one.
    pub fn all_jobs(&self) -> impl Iterator<Item = &Job> {
        self.planners.iter().flat_map(Planner::jobs)
    }

    /// The record of every job so far.
    pub fn records(&self) -> impl Iterator<Item = &JobRecord> {
        self.all_jobs().map(|job| &job.record)
    }

    /// The failed jobs that [`Event::Retried`] should try again: those whose failure is the machine's fault, or every failed job if `all`.
    #[must_use]
    pub fn to_retry(&self, all: bool) -> Vec<JobId> {
        let is_failed = |record: &&JobRecord| record.outcome == Some(Outcome::Failed) && (all || record.blame == Blame::Machine);
        self.records().filter(is_failed).map(|record| record.job.clone()).collect()
    }

    /// The reason why the job `id` waits, at `now` since the stream began; `None` if it isn't waiting.
    #[must_use]
    pub fn explain(&self, id: &JobId, now: Duration) -> Option<Wait> {
        self.planner().explain(id, self.since_began(now.max(self.now)))
    }

    /// The current replication, from 0, and the number of replications.
    #[must_use]
    pub fn replication(&self) -> (usize, usize) {
        (self.replication, self.stream.experiment.seeds.len())
    }

    /// The time of the last event, since the stream began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }
}

#[cfg(test)]
mod tests;
