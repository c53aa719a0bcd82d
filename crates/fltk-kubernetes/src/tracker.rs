//! The state of a stream's jobs on the cluster, as a value: what watches show and what became of actions goes in; events for the planner and orders for
//! the edge come out.
//!
//! ```text
//! watches ──── see ──┐             ┌── events ──> Orchestrator ── actions ──> follow
//! actors ───── hear ─┼─> Tracker ──┤
//! each second ───────┘             └── orders ──> the edge carries them out: requests to begin and to stop, words for the observer
//! ```
//!
//! The parts: [`View`] has what exists and what of it the planner knows, [`Actions`] what is being done about it, [`Nodes`] the places for jobs.
//!
//! A tracker reads no clock and waits for nothing: each instant is an argument. It doesn't decide which job runs when; the planner does.

mod actions;
mod losses;
mod nodes;
mod stuck;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fltk_plan::{
    Action, Event, JobId, JobSpec, Orchestrator,
    plan::{Job, Outcome, State},
};
use k8s_openapi::api::core::v1::{Node as ApiNode, Pod as ApiPod};
use tokio::time::Instant;

use self::{
    actions::Actions,
    losses::Sight,
    nodes::{Nodes, Saw, job_of},
    stuck::StuckJobs,
};
pub use self::{losses::LostNode, stuck::Stuck};
use crate::{
    manifest::RunContext,
    seen::{Listing, Seen},
    status,
    view::{SeenJob, SeenPod, View},
};

/// A message of a watch.
pub enum Message {
    /// A job of the run.
    Job(Seen<SeenJob>),
    /// A pod of the run, where only those are watched.
    Pod(Seen<SeenPod>),
    /// A node.
    Node(Seen<Box<ApiNode>>),
    /// A pod of the run or of somebody else.
    AnyPod(Seen<Box<ApiPod>>),
}

/// The result of an action, beyond what watches show.
#[derive(Debug)]
pub enum Report {
    /// The action was carried out.
    Done {
        /// The action.
        action: Action,
        /// The UID of the job's object, to which events can be attached.
        uid: Option<String>,
        /// A time by which the action was carried out.
        at: Instant,
    },
    /// The job can't be created: its objects are invalid.
    Refused {
        /// The action.
        action: Action,
        /// The reason, for a person to read.
        reason: String,
    },
    /// A request failed, and is tried again.
    Trouble {
        /// The job that waits for the request.
        job: JobId,
        /// The reason, for a person to read.
        reason: String,
    },
}

/// Something that the edge has to do.
#[derive(Debug, PartialEq)]
pub enum Order {
    /// Begin the action, in place of what is being done for its job. An earlier action can be stopped safely, since a later request finds each of its
    /// requests done or changed.
    Begin {
        /// The action.
        action: Action,
        /// The job.
        spec: Arc<JobSpec>,
        /// True if a start creates the job's objects; otherwise it resumes the suspended ones.
        is_anew: bool,
    },
    /// Stop what is being done for the job, if anything still is.
    Stop(JobId),
    /// Publish that the action was carried out for the job whose object has this UID.
    Publish(Action, String),
    /// Publish that a node of a federated job is lost.
    PublishLoss(LostNode),
    /// Tell the observer of an error that is tried again.
    Trouble(String),
    /// Tell the observer why a job isn't in the requested state.
    Stuck(JobId, Stuck),
}

/// The state of a stream's jobs on the cluster. The planner's state of the same jobs is an argument of each call.
pub struct Tracker {
    context: Arc<RunContext>,
    /// True if jobs are admitted by the nodes' capacity.
    needs_nodes: bool,
    view: View,
    actions: Actions,
    nodes: Nodes,
    jobs: Listing<JobId>,
    pods: Listing<String>,
    /// The jobs that existed when the current list began.
    before_listing: BTreeSet<JobId>,
    /// The jobs that find no place even on empty nodes, each with the time when that was first seen.
    hopeless: BTreeMap<JobId, Instant>,
    stuck: StuckJobs,
    /// The events that the planner hasn't been told yet: a few for each message since [`Tracker::events`] was called, or for each job before everything
    /// was listed.
    events: Vec<Event>,
    /// The orders that the edge hasn't been given yet: at most a few for each message or job since [`Tracker::orders`] was called.
    orders: Vec<Order>,
}

impl Tracker {
    /// Creates the tracker of a stream that began at `began_ms`, in milliseconds since the Unix epoch. Nothing was seen yet.
    pub fn new(context: Arc<RunContext>, began_ms: u64, needs_nodes: bool) -> Self {
        Self {
            context,
            needs_nodes,
            view: View::new(began_ms),
            actions: Actions::default(),
            nodes: Nodes::default(),
            jobs: Listing::default(),
            pods: Listing::default(),
            before_listing: BTreeSet::new(),
            hopeless: BTreeMap::new(),
            stuck: StuckJobs::default(),
            events: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// The objects that exist on the cluster.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// True if everything was listed.
    pub fn is_ready(&self) -> bool {
        self.jobs.is_ready() && self.pods.is_ready() && (!self.needs_nodes || self.nodes.are_known())
    }

    /// The new events, in order, which the planner is told now; none before everything was listed. What was being done for a job that ends is dropped: a
    /// job that is deleted while its start is retried would be created again.
    pub fn events(&mut self, orchestrator: &Orchestrator<'_>) -> Vec<Event> {
        if !self.is_ready() {
            return Vec::new();
        }
        let mut events = std::mem::take(&mut self.events);
        self.nodes.tell_what_is_left(&mut events, orchestrator);
        for id in ends(&events) {
            self.actions.forget(id);
            self.orders.push(Order::Stop(id.clone()));
        }
        events
    }

    /// The new orders, in order.
    pub fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// Follows the actions with which the planner answered.
    pub fn follow(&mut self, actions: Vec<Action>, orchestrator: &Orchestrator<'_>) {
        actions.into_iter().for_each(|action| self.act(action, orchestrator));
    }

    /// Orders `action`, unless it is under way or is a start that was carried out already.
    fn act(&mut self, action: Action, orchestrator: &Orchestrator<'_>) {
        let Some(job) = orchestrator.job(action.job()) else { return };
        if self.actions.begin(&action) {
            self.orders.push(Order::Begin { action, spec: Arc::new(job.spec.clone()), is_anew: job.is_anew() });
        }
    }

    /// Takes in the arrival of a job, which is planned with the current nodes.
    pub fn arrive(&mut self, orchestrator: &Orchestrator<'_>, now: Instant) {
        self.tell_nodes(orchestrator, now);
        self.events.push(Event::Tick);
    }

    /// Takes in what became of an action.
    pub fn hear(&mut self, report: Report, orchestrator: &Orchestrator<'_>, now: Instant) {
        match report {
            Report::Done { action, uid, at } => {
                // An action that was stopped may have completed just before.
                if !self.actions.end(&action, at) {
                    return;
                }
                let id = action.job().clone();
                self.orders.push(Order::Stop(id.clone()));
                if let Some(uid) = uid.or_else(|| self.view.uid(&id).map(str::to_owned)) {
                    self.orders.push(Order::Publish(action, uid));
                }
                // Its watch may have shown the object before.
                self.tell(&id, orchestrator, now);
            }
            Report::Refused { action, reason } => {
                // A refusal of a stopped action doesn't count.
                if self.actions.is_under_way(&action) {
                    self.events.push(Event::ended(action.job().clone(), Outcome::Failed, reason));
                }
            }
            Report::Trouble { job, reason } => self.trouble(format!("job {job}: {reason}")),
        }
    }

    /// Takes in a message of a watch.
    pub fn see(&mut self, message: Message, orchestrator: &Orchestrator<'_>, now: Instant) {
        match message {
            Message::Job(seen) => self.see_job(seen, orchestrator, now),
            Message::Pod(seen) => self.see_pod(seen, orchestrator, now),
            Message::Node(seen) => {
                let saw = self.nodes.see_node(seen);
                self.saw(saw, orchestrator, now);
            }
            Message::AnyPod(seen) => {
                let ours = seen.of(|pod| job_of(pod, &self.context).and_then(|_| status::pod(pod)));
                // The pod's requests are recorded before its job's news, since the news decides whether they count as the job's.
                let saw = self.nodes.see_pod(seen, &self.context);
                self.saw(saw, orchestrator, now);
                if let Some(ours) = ours {
                    self.see_pod(ours, orchestrator, now);
                }
            }
        }
    }

    fn saw(&mut self, saw: Saw, orchestrator: &Orchestrator<'_>, now: Instant) {
        match saw {
            Saw::Change => {}
            Saw::Listed => self.when_listed(orchestrator, now),
            Saw::Trouble(text) => self.trouble(text),
        }
    }

    fn see_job(&mut self, seen: Seen<SeenJob>, orchestrator: &Orchestrator<'_>, now: Instant) {
        match seen {
            Seen::Listing(at) => {
                self.jobs.begin();
                // An object that was just created may be missing from the list.
                self.before_listing = self.view.unfinished();
                self.before_listing.extend(self.actions.started_before(at).cloned());
            }
            Seen::There(job, is_listed) => {
                let id = job.id.clone();
                if is_listed {
                    self.jobs.has(id.clone());
                }
                self.view.has_job(job);
                self.tell(&id, orchestrator, now);
            }
            Seen::Gone(job) => {
                let id = job.id.clone();
                self.view.has_job(job);
                self.tell(&id, orchestrator, now);
                self.lose(&id, "its object was deleted by somebody", orchestrator);
            }
            Seen::Listed => {
                let (listed, is_first) = self.jobs.end();
                let mut before = std::mem::take(&mut self.before_listing);
                if is_first {
                    before.extend(confirmed(orchestrator));
                }
                for id in before.difference(&listed) {
                    let reason = "its object is gone: it was deleted while the orchestrator didn't look, or its `ttl` passed";
                    self.lose(id, reason, orchestrator);
                }
                self.when_listed(orchestrator, now);
            }
            Seen::Trouble(text) => self.trouble(format!("jobs can't be watched: {text}")),
        }
    }

    fn see_pod(&mut self, seen: Seen<SeenPod>, orchestrator: &Orchestrator<'_>, now: Instant) {
        match seen {
            Seen::Listing(_) => self.pods.begin(),
            Seen::There(pod, is_listed) => {
                if is_listed {
                    self.pods.has(pod.name.clone());
                }
                let id = pod.job.clone();
                self.note_loss(&pod, Sight::There { is_listed }, orchestrator);
                self.view.has_pod(pod);
                self.tell(&id, orchestrator, now);
            }
            Seen::Gone(pod) => {
                let id = pod.job.clone();
                self.note_loss(&pod, Sight::Gone, orchestrator);
                self.view.lost_pod(pod);
                self.tell(&id, orchestrator, now);
            }
            Seen::Listed => {
                let (listed, is_first) = self.pods.end();
                let changed = self.view.keep_pods(&listed);
                let untold = if is_first { self.view.unfinished() } else { BTreeSet::new() };
                for id in changed.iter().chain(&untold) {
                    self.tell(id, orchestrator, now);
                }
                self.when_listed(orchestrator, now);
            }
            Seen::Trouble(text) => self.trouble(format!("pods can't be watched: {text}")),
        }
    }

    fn lose(&mut self, id: &JobId, reason: &str, orchestrator: &Orchestrator<'_>) {
        // A job that ended is over, whoever removes its object.
        if orchestrator.job(id).is_some_and(|job| job.state != State::Ended) {
            self.events.extend(self.view.lost_job(id, reason));
        }
    }

    /// Adds the events of `id` that are new to the planner.
    fn tell(&mut self, id: &JobId, orchestrator: &Orchestrator<'_>, now: Instant) {
        // Before pods were listed, a job seems to have none: its suspension would seem complete while its pods are still terminating.
        if !self.pods.is_ready() {
            return;
        }
        // All objects of a start exist once the journal, or the actor of this process, says so.
        let start = orchestrator.outstanding_of(id).filter(|action| matches!(action, Action::Start { .. }));
        let is_made = start.is_none_or(|start| self.actions.has_done(&start));
        self.events.extend(self.view.news(id, orchestrator, is_made, now));
    }

    /// Puts the nodes before all other new events, so that these are planned with the current nodes.
    fn tell_nodes(&mut self, orchestrator: &Orchestrator<'_>, now: Instant) {
        if let Some(nodes) = self.nodes.report(&self.context.config, orchestrator, now) {
            self.events.retain(|event| !matches!(event, Event::Nodes { .. }));
            self.events.insert(0, nodes);
        }
    }

    /// Called at the end of each list. When everything was listed, perhaps again, the outstanding actions are ordered again.
    fn when_listed(&mut self, orchestrator: &Orchestrator<'_>, now: Instant) {
        if self.needs_nodes && !self.nodes.are_known() {
            self.tell_nodes(orchestrator, now);
        }
        if self.is_ready() {
            let lost: BTreeSet<&JobId> = ends(&self.events).collect();
            let outstanding = orchestrator.outstanding().into_iter().filter(|action| !lost.contains(action.job())).collect();
            self.follow(outstanding, orchestrator);
        }
    }

    /// Takes in that time has passed: checks ends that are held back, nodes, and jobs that wait for too long.
    pub fn keep_house(&mut self, orchestrator: &Orchestrator<'_>, now: Instant) {
        for id in self.view.held_back() {
            self.tell(&id, orchestrator, now);
        }
        // Other pods come and go all the time, so the nodes are journaled only while a job waits for a place.
        if orchestrator.planner().is_anybody_waiting() {
            self.tell_nodes(orchestrator, now);
        }
        if self.is_ready() {
            self.give_up_hope(orchestrator, now);
        }
        // A suspension that is still under way hasn't been requested yet.
        let is_yet = |job: &&Job| matches!(job.state, State::Suspending { .. }) && self.actions.is_any_under_way(&job.spec.id);
        let asked = orchestrator.planner().active().filter(|job| !is_yet(job));
        let stuck = asked.filter_map(|job| Some((job.spec.id.clone(), Stuck::of(job, &self.view, now)?))).collect();
        let due = self.stuck.due(stuck, now);
        self.orders.extend(due.into_iter().map(|(id, why)| Order::Stuck(id, why)));
    }

    /// Ends the jobs that found no place for too long, so that a stream with such a job ends too.
    fn give_up_hope(&mut self, orchestrator: &Orchestrator<'_>, now: Instant) {
        let patience = Duration::from_millis(self.context.config.unschedulable_timeout.as_millis());
        let hopeless: BTreeMap<JobId, String> = orchestrator.planner().hopeless().into_iter().collect();
        self.hopeless.retain(|id, _| hopeless.contains_key(id));
        for (id, reason) in hopeless {
            let since = *self.hopeless.entry(id.clone()).or_insert(now);
            if now.saturating_duration_since(since) >= patience {
                let reason = format!("timed out after {} s: {reason}", patience.as_secs());
                self.events.push(Event::ended(id, Outcome::Failed, reason));
            }
        }
    }

    fn trouble(&mut self, text: String) {
        self.orders.push(Order::Trouble(text));
    }
}

/// The jobs that end by `events`.
fn ends(events: &[Event]) -> impl Iterator<Item = &JobId> {
    events.iter().filter(|event| matches!(event, Event::Ended { .. })).filter_map(Event::job)
}

/// The jobs whose object exists according to the journal.
fn confirmed(orchestrator: &Orchestrator<'_>) -> impl Iterator<Item = JobId> {
    let is_there = |job: &&Job| match job.state {
        State::Starting | State::Running | State::Held | State::Suspending { .. } => true,
        // Such a job is suspended, or about to be resumed.
        State::Waiting | State::Admitted => job.record.suspensions > 0 && job.is_there(),
        State::Pending | State::Ended => false,
    };
    orchestrator.planner().jobs().iter().filter(is_there).map(|job| job.spec.id.clone())
}
