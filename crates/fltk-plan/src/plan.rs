//! The planner: a value that takes events with their time and returns the actions to carry out.
//!
//! ```text
//!           Event::Tick                Created            PodRunning        Ended
//! pending ───────────> waiting ──────> starting ────────> running ────────> ended
//!          it arrives     │  ▲  Action::Start   │             │
//!                         │  └──── Suspended ◄── suspending ◄─┘ Action::Suspend: a job that may preempt it wants its place
//!                         └ admitted when the policy and the admission rule allow it
//! ```
//!
//! A job with a place that somebody else suspends is *held* (`Held`) until the suspension is lifted (`Released`): it keeps its place, isn't
//! preempted, and doesn't run.
//!
//! Actions that an edge was asked for and hasn't confirmed are [`Planner::outstanding`]; asking again must be harmless. So a planner that was rebuilt
//! from a journal of its events loses nothing and does nothing twice.

pub mod capacity;
mod event;
mod explain;
mod moves;
mod policy;
mod preemption;
mod queue;
mod record;
mod settings;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::experiment::{AdmissionConfig, Duration};

use self::{
    capacity::{Nodes, Placement},
    explain::Refusal,
    queue::{Queue, Seen},
};
pub use self::{
    event::{Action, Event, LastWords},
    explain::Wait,
    moves::{Move, Phase},
    record::{Blame, JobRecord, Outcome},
    settings::Settings,
    state::{STATE_NAMES, State},
};
use crate::{Amounts, JobId, JobSpec};

/// A job and what the planner knows about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The job's arrival and pods.
    pub spec: JobSpec,
    /// The job's current state.
    pub state: State,
    /// The times and results recorded for the job.
    pub record: JobRecord,
    /// The number of times that its start was requested.
    attempt: u32,
    /// The number of the first start of its current try (see [`Event::Retried`]): the job's objects are created anew at that start.
    tried_from: u32,
    /// The nodes of its pods, set when capacity admission admits the job and corrected by where the pods run.
    placement: Placement,
}

impl Job {
    /// The name of its state: one of [`STATE_NAMES`].
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        self.state.name(self.record.outcome)
    }

    /// The number of times that its start was requested, which is the number of its latest start.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// True if its objects are to be created instead of resumed.
    #[must_use]
    pub fn is_anew(&self) -> bool {
        self.attempt <= self.tried_from
    }

    /// True if the objects of its current try were created.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.attempt > self.tried_from || (self.attempt == self.tried_from && self.state != State::Admitted)
    }

    /// The action that was requested for this job and isn't confirmed, if there is one.
    #[must_use]
    pub fn outstanding(&self) -> Option<Action> {
        let (job, attempt) = (self.spec.id.clone(), self.attempt);
        match &self.state {
            State::Admitted => Some(Action::Start { job, attempt }),
            State::Suspending { for_job } => Some(Action::Suspend { job, attempt, for_job: for_job.clone() }),
            _ => None,
        }
    }
}

/// The planner of one replication's jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Planner {
    settings: Settings,
    jobs: Vec<Job>,
    by_id: BTreeMap<JobId, usize>,
    /// The waiting jobs, the active jobs, and the number of jobs that are over.
    waiting: Queue,
    active: BTreeSet<usize>,
    num_ended: usize,
    /// Jobs before this index have arrived.
    num_arrived: usize,
    /// The reasons why the jobs that were considered last wait; the other waiting jobs are behind `head`.
    waits: BTreeMap<usize, Refusal>,
    head: Option<usize>,
    nodes: Option<Nodes>,
    /// The same without any pods, with all that may come back.
    empty: Option<Nodes>,
    /// For each job the first one that requests the same, which stands for it in `never` and `unfit`.
    like: Vec<usize>,
    /// The jobs whose pods find no place even on empty nodes.
    never: BTreeSet<usize>,
    /// The nodes' capacity left after the active jobs' requests.
    free: Option<Nodes>,
    /// The jobs whose pods don't fit on what is free, as far as that was tried since it changed.
    unfit: BTreeSet<usize>,
    /// The number of active jobs by class.
    active_by_class: BTreeMap<String, u32>,
    /// By class: the total seconds that its jobs ran, and the number of those jobs.
    run_times: BTreeMap<String, (f64, u32)>,
    /// The moves of all jobs so far, for whoever looks back; `None` while a stream is run, where nobody asks.
    moves: Option<Vec<Move>>,
}

impl Planner {
    /// Creates a planner for `specs`, in order of arrival. `run_times` has the mean run time of classes in seconds, as far as it's known from earlier.
    #[must_use]
    pub fn new(settings: Settings, specs: Vec<JobSpec>, run_times: BTreeMap<String, f64>) -> Self {
        let by_id = specs.iter().enumerate().map(|(index, spec)| (spec.id.clone(), index)).collect();
        let job = |spec: JobSpec| Job {
            record: JobRecord::of(&spec),
            spec,
            state: State::Pending,
            attempt: 0,
            tried_from: 1,
            placement: Placement::default(),
        };
        let run_times = run_times.into_iter().map(|(class, seconds)| (class, (seconds, 1))).collect();
        let like = first_alike(&specs);
        Self {
            settings,
            jobs: specs.into_iter().map(job).collect(),
            by_id,
            waiting: Queue::default(),
            active: BTreeSet::new(),
            num_ended: 0,
            num_arrived: 0,
            waits: BTreeMap::new(),
            head: None,
            nodes: None,
            empty: None,
            like,
            never: BTreeSet::new(),
            free: None,
            unfit: BTreeSet::new(),
            active_by_class: BTreeMap::new(),
            run_times,
            moves: None,
        }
    }

    /// The same planner, which keeps the [moves](Self::moves) of its jobs from now on.
    #[must_use]
    pub fn keeping_moves(mut self) -> Self {
        self.moves = Some(Vec::new());
        self
    }

    /// The moves of its jobs, as they became known; none unless it [keeps](Self::keeping_moves) them.
    #[must_use]
    pub fn moves(&self) -> &[Move] {
        self.moves.as_deref().unwrap_or_default()
    }

    /// Creates the planner of the next replication's `specs`, which starts with this one's nodes and run times.
    #[must_use]
    pub fn successor(&self, specs: Vec<JobSpec>) -> Self {
        let run_times = self.run_times.keys().filter_map(|class| Some((class.clone(), self.run_time(class)?))).collect();
        let mut next = Self::new(self.settings, specs, run_times);
        next.knows_nodes_of(self);
        if self.moves.is_some() { next.keeping_moves() } else { next }
    }

    /// Copies from `other` what it knows about the nodes.
    pub fn knows_nodes_of(&mut self, other: &Self) {
        self.nodes.clone_from(&other.nodes);
        self.know_empty(other.empty.clone());
        self.count_free();
    }

    /// The total that pods may request on all nodes that take pods of the stream; `None` while the nodes aren't known.
    #[must_use]
    pub fn capacity(&self) -> Option<Amounts> {
        self.nodes.as_ref().map(Nodes::capacity)
    }

    /// Every job, in order of arrival.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The job named `id`, if there is one.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.by_id.get(id).map(|index| &self.jobs[*index])
    }

    /// The number of jobs that have arrived and wait.
    #[must_use]
    pub fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The number of jobs that have a [place](State::is_active).
    #[must_use]
    pub fn num_active(&self) -> usize {
        self.active.len()
    }

    /// True if every job is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.num_ended == self.jobs.len()
    }

    /// The time when the next job arrives: a tick is due then.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        self.jobs.get(self.num_arrived).map(|job| job.spec.arrival.at)
    }

    /// The actions that were requested and aren't confirmed.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Action> {
        self.active.iter().filter_map(|index| self.jobs[*index].outstanding()).collect()
    }

    /// The planner's settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The jobs that have a place.
    pub fn active(&self) -> impl Iterator<Item = &Job> {
        self.active.iter().map(|index| &self.jobs[*index])
    }

    /// True if a job has arrived, or was suspended, and waits for a place.
    #[must_use]
    pub fn is_anybody_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The waiting jobs whose pods find no place even on empty nodes, each with the reason; not only the job that is next.
    #[must_use]
    pub fn hopeless(&self) -> Vec<(JobId, String)> {
        let mut hopeless = Vec::new();
        for class in self.waiting.classes() {
            let mut jobs = class.peekable();
            if let Some(never) = jobs.peek().and_then(|first| self.never(*first)) {
                let reason = never.to_string();
                hopeless.extend(jobs.map(|index| (self.jobs[index].spec.id.clone(), reason.clone())));
            }
        }
        hopeless
    }

    /// The reason why the job at `index` wouldn't fit even if all nodes were empty; `None` if it would, or if admission isn't by capacity.
    fn never(&self, index: usize) -> Option<Wait> {
        let spec = &self.jobs[index].spec;
        let is_asked = self.settings.admission == (AdmissionConfig::Capacity {}) && self.never.contains(&self.like[index]);
        let misfit = self.empty.as_ref().filter(|_| is_asked)?.misfit(spec)?;
        Some(Wait::Never { misfit })
    }

    /// Takes in an event that happened at `now`, counted from the start of the replication, and returns the actions to carry out. Events that say
    /// nothing new, or name unknown jobs, change nothing: edges may repeat themselves.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut has_changed = self.take_in(now, event);
        while let Some(job) = self.jobs.get_mut(self.num_arrived).filter(|job| job.spec.arrival.at <= now) {
            // A job may have ended before it arrived, if somebody who knew its name deleted it.
            if job.state == State::Pending {
                let at = job.spec.arrival.at;
                job.record.arrived = Some(at);
                self.change(self.num_arrived, State::Waiting, at);
            }
            self.num_arrived += 1;
            has_changed = true;
        }
        if has_changed { self.schedule(now) } else { Vec::new() }
    }

    /// Takes in the event; returns true if a job may now be able to start that wasn't able to before.
    fn take_in(&mut self, now: Duration, event: Event) -> bool {
        let id = match &event {
            Event::Tick => return false,
            Event::Nodes { nodes } => {
                let nodes = Nodes::new(nodes.clone());
                if self.nodes.as_ref() == Some(&nodes) {
                    return false;
                }
                self.know_empty(Some(nodes.empty()));
                self.nodes = Some(nodes);
                self.count_free();
                return true;
            }
            Event::Created { job, .. }
            | Event::PodRunning { job, .. }
            | Event::FirstStep { job, .. }
            | Event::Held { job, .. }
            | Event::Released { job, .. }
            | Event::Suspended { job, .. }
            | Event::Ended { job, .. }
            | Event::Retried { job } => job,
        };
        let Some(&index) = self.by_id.get(id) else { return false };
        let job = &mut self.jobs[index];
        match (event, &job.state) {
            (Event::Retried { .. }, State::Ended) if job.record.outcome == Some(Outcome::Failed) => {
                job.tried_from = job.attempt + 1;
                job.record.retried();
                self.num_ended -= 1;
                self.change(index, State::Waiting, now);
                true
            }
            (_, State::Ended) => false,
            // The event belongs to an earlier start: its edge repeats itself.
            (
                Event::Created { attempt, .. }
                | Event::PodRunning { attempt, .. }
                | Event::Held { attempt, .. }
                | Event::Released { attempt, .. }
                | Event::Suspended { attempt, .. },
                _,
            ) if attempt != job.attempt => false,
            (Event::Created { .. }, State::Admitted) => {
                job.record.created.get_or_insert(now);
                self.change(index, State::Starting, now);
                false
            }
            (Event::Held { at, .. }, State::Admitted | State::Starting | State::Running) => {
                job.record.created.get_or_insert(now);
                let at = job.record.held(at.unwrap_or(now), now);
                self.change(index, State::Held, at);
                false
            }
            (Event::Released { .. }, State::Held) => {
                job.record.released();
                self.change(index, State::Starting, now);
                // A job that may now preempt it may want its place.
                true
            }
            (Event::PodRunning { .. }, State::Held) => false,
            (Event::PodRunning { pod, node, .. }, state) if state.is_active() => {
                let is_leaving = matches!(state, State::Suspending { .. });
                job.record.runs_at(now, &node);
                let before = job.placement.clone();
                let has_moved = job.placement.correct(pod as usize, node);
                if let Some(free) = self.free.as_mut().filter(|_| has_moved) {
                    self.unfit.clear();
                    free.give(&before, &job.spec);
                    free.take(&job.placement, &job.spec);
                }
                if !is_leaving {
                    self.change(index, State::Running, now);
                }
                has_moved
            }
            (Event::FirstStep { at, .. }, _) => {
                job.record.first_step(at, now);
                false
            }
            // Only in journals of earlier versions is a held job suspended.
            (Event::Suspended { .. }, State::Suspending { .. } | State::Held) => {
                job.record.suspended(now);
                self.release(index);
                self.change(index, State::Waiting, now);
                true
            }
            (Event::Ended { outcome, reason, blame, left, words, .. }, _) => {
                job.record.ended(now, outcome, reason, blame, words);
                if let (Outcome::Succeeded, Some(seconds)) = (outcome, job.record.run_seconds()) {
                    let (sum, count) = self.run_times.entry(job.spec.class.clone()).or_insert((0.0, 0));
                    (*sum, *count) = (*sum + seconds, *count + 1);
                }
                self.release(index);
                self.nodes.iter_mut().chain(&mut self.free).for_each(|nodes| nodes.occupy(&left));
                self.unfit.clear();
                self.change(index, State::Ended, now);
                true
            }
            (
                Event::Tick
                | Event::Nodes { .. }
                | Event::Created { .. }
                | Event::PodRunning { .. }
                | Event::Held { .. }
                | Event::Released { .. }
                | Event::Suspended { .. }
                | Event::Retried { .. },
                _,
            ) => false,
        }
    }

    /// Gives back the capacity that the job was promised.
    fn release(&mut self, index: usize) {
        let job = &mut self.jobs[index];
        self.unfit.clear();
        if let Some(free) = &mut self.free {
            free.give(&job.placement, &job.spec);
        }
        job.placement = Placement::default();
    }

    /// Takes note of the nodes as they would be without any pods, and of the jobs that find no place even then.
    fn know_empty(&mut self, empty: Option<Nodes>) {
        if self.empty == empty {
            return;
        }
        let fits = |index: usize| empty.as_ref().is_none_or(|nodes| nodes.fits(&self.jobs[index].spec));
        let firsts = self.like.iter().enumerate().filter(|(index, first)| index == *first).map(|(index, _)| index);
        self.never = firsts.filter(|index| !fits(*index)).collect();
        self.empty = empty;
    }

    fn count_free(&mut self) {
        self.unfit.clear();
        self.free = self.nodes.as_ref().map(|nodes| nodes.without(self.active.iter().map(|index| &self.jobs[*index])));
    }

    /// Moves the job to `state`, in which it has been since `at`.
    fn change(&mut self, index: usize, state: State, at: Duration) {
        let job = &mut self.jobs[index];
        self.waiting.remove(index, &job.spec);
        let counted = self.active_by_class.entry(job.spec.class.clone()).or_default();
        if self.active.remove(&index) {
            *counted -= 1;
        }
        match state {
            State::Waiting => self.waiting.insert(index, &job.spec),
            State::Ended => self.num_ended += 1,
            State::Pending => {}
            _ => {
                self.active.insert(index);
                *counted += 1;
            }
        }
        job.state = state;
        if let (Some(moves), Some(phase)) = (&mut self.moves, Phase::of(job)) {
            moves.push(Move { job: index, at, phase });
        }
    }

    /// Admits the jobs that may start, in the order of the policy.
    fn schedule(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        self.waits.clear();
        self.head = None;
        let mut seen = Seen::default();
        // The first job is determined anew each time, since an admission changes the shares of classes.
        while let Some(index) = policy::first(self.settings.policy, self, &seen) {
            match self.admit(index) {
                Ok(placement) => {
                    let job = &mut self.jobs[index];
                    self.unfit.clear();
                    if let Some(free) = &mut self.free {
                        free.take(&placement, &job.spec);
                    }
                    job.placement = placement;
                    job.attempt += 1;
                    job.record.admitted(now);
                    actions.push(Action::Start { job: job.spec.id.clone(), attempt: job.attempt });
                    self.change(index, State::Admitted, now);
                }
                Err(refusal) => {
                    seen.add(index, &self.jobs[index].spec);
                    let refusal = self.push_out(index, refusal, now, &mut actions);
                    let is_last = match &refusal {
                        // A job that can never start holds up no other job.
                        Refusal::Never => false,
                        // There is no place for any job, or the place that is being freed belongs to this job.
                        Refusal::Concurrency | Refusal::NoNodes | Refusal::Preempting { .. } => true,
                        Refusal::Capacity => !self.settings.backfill,
                    };
                    if self.head.is_none() && refusal != Refusal::Never {
                        self.head = Some(index);
                    }
                    self.waits.insert(index, refusal);
                    if is_last {
                        break;
                    }
                }
            }
        }
        actions
    }

    /// The placement of a waiting job's pods, or what stands against it.
    fn admit(&mut self, index: usize) -> Result<Placement, Refusal> {
        match self.settings.admission {
            AdmissionConfig::Unlimited {} => Ok(Placement::default()),
            AdmissionConfig::MaxConcurrent { jobs } if self.active.len() < jobs as usize => Ok(Placement::default()),
            AdmissionConfig::MaxConcurrent { .. } => Err(Refusal::Concurrency),
            AdmissionConfig::Capacity {} => {
                let Some(free) = &self.free else { return Err(Refusal::NoNodes) };
                let like = self.like[index];
                if !self.unfit.contains(&like) {
                    if let Some(placement) = free.place(&self.jobs[index].spec) {
                        return Ok(placement);
                    }
                    self.unfit.insert(like);
                }
                Err(if self.never.contains(&like) { Refusal::Never } else { Refusal::Capacity })
            }
        }
    }

    /// The mean run time of a class, in seconds.
    fn run_time(&self, class: &str) -> Option<f64> {
        self.run_times.get(class).map(|(sum, count)| sum / f64::from(*count))
    }
}

/// Returns for each of `specs` the first one that requests the same. Most requests are those of a few tasks.
fn first_alike(specs: &[JobSpec]) -> Vec<usize> {
    let mut firsts: Vec<usize> = Vec::new();
    let of_each = specs.iter().enumerate().map(|(index, spec)| {
        let found = firsts.iter().copied().find(|first| specs[*first].pods == spec.pods);
        found.unwrap_or_else(|| {
            firsts.push(index);
            index
        })
    });
    of_each.collect()
}

#[cfg(test)]
mod tests;
