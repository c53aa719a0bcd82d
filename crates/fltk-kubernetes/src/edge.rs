//! The loop between the API server and the orchestrator: watches become events, actions become requests.
//!
//! ```text
//! watches ──> view ──> news ──> Orchestrator::take ──> actions ──> actors ──> API server ──> watches
//! ```
//!
//! Only what a watch shows counts as having happened. So a request whose answer was lost does no harm, and a new process needs nothing from the old
//! one but its journal.
//!
//! Pods are watched once: only those of the run, or all pods if jobs are admitted by the nodes' capacity. So a job's pod states and their resource
//! use are always consistent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fltk_core::experiment::AdmissionConfig;
use fltk_plan::{
    Action, Event, JobId, Orchestrator,
    plan::{Job, Outcome, State},
};
use fltk_records::journal::JournalError;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as ApiNode, Pod as ApiPod};
use kube::{Api, Client};
use tokio::{
    sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel},
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    actor::Actor,
    api, events,
    manifest::{RunContext, run_selector},
    metrics::Metrics,
    seen::{Listing, Seen},
    status,
    tracker::{
        Message, Report,
        nodes::{Nodes, Saw, job_of},
        stuck::{Said, Stuck},
    },
    view::{SeenJob, SeenPod, View},
    watch::follow,
};

/// The capacity of the queue of watch messages; a watch that is faster has to wait.
const QUEUE: usize = 4096;
/// The maximum number of messages that are processed before their events are journaled.
const BATCH: usize = 1024;
/// The interval at which ends that are held back, nodes and metrics are checked.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The inputs of the edge.
pub struct Edge {
    /// The client of the API server.
    pub client: Client,
    /// The common settings of the jobs.
    pub context: Arc<RunContext>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// True once everything was listed.
    pub is_ready: Arc<AtomicBool>,
    /// The time when the stream began, which distinguishes it from another stream of the same name.
    pub began: Timestamp,
    /// The clock.
    pub clock: Clock,
}

/// A clock: returns the current time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// An observer of the loop's progress.
pub trait Observer {
    /// Called when something happened, and every second. The `view` knows what a job that was started waits for.
    fn changed(&mut self, orchestrator: &Orchestrator<'_>, view: &View);
    /// Called for an error that is tried again.
    fn trouble(&mut self, text: &str);
    /// Called when a job with a place doesn't run for long, or not all of it, or isn't suspended as requested; once per such time.
    fn stuck(&mut self, job: &JobId, why: &dyn Display);
}

/// The way in which the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every job is over.
    Finished,
    /// The loop was asked to stop; running jobs continue.
    Stopped,
}

impl Edge {
    /// Runs the loop until every job is over, or `stop` completes.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub async fn run(
        self,
        orchestrator: &mut Orchestrator<'_>,
        observer: &mut dyn Observer,
        stop: impl Future<Output = ()>,
    ) -> Result<End, JournalError> {
        // The queue holds at most one report per actor, and there is at most one actor per job; each actor waits between two reports.
        let (send_reports, reports) = unbounded_channel();
        let actor = Actor::new(&self.client, Arc::clone(&self.context), Arc::clone(&self.metrics), self.began, send_reports);
        let mut tasks = JoinSet::new();
        let messages = self.watch(&mut tasks, needs_nodes(orchestrator));
        let began_ms = u64::try_from(self.began.as_millisecond()).unwrap_or(0);
        let mut work = Work {
            events: events::Publisher::new(&self.client, &self.context),
            edge: self,
            orchestrator,
            observer,
            actor,
            tasks,
            view: View::new(began_ms),
            jobs: Listing::default(),
            pods: Listing::default(),
            nodes: Nodes::default(),
            before_listing: BTreeSet::new(),
            busy: BTreeMap::new(),
            done: BTreeMap::new(),
            pending: Vec::new(),
            hopeless: BTreeMap::new(),
            stuck: BTreeMap::new(),
        };
        work.run(messages, reports, stop).await
    }

    fn watch(&self, tasks: &mut JoinSet<()>, needs_nodes: bool) -> Receiver<Message> {
        let (send, messages) = channel(QUEUE);
        let (context, backend) = (&self.context, self.context.config.backend);
        let mine = || Some(run_selector(&context.run));
        let jobs = api::jobs(&self.client, &context.namespace, backend);
        let metrics = || Arc::clone(&self.metrics);
        tasks.spawn(follow(jobs, mine(), move |object| status::job(&object, backend), Message::Job, send.clone(), metrics()));
        if needs_nodes {
            let nodes: Api<ApiNode> = Api::all(self.client.clone());
            tasks.spawn(follow(nodes, None, |node| Some(Box::new(node)), Message::Node, send.clone(), metrics()));
            let pods: Api<ApiPod> = Api::all(self.client.clone());
            tasks.spawn(follow(pods, None, |pod| Some(Box::new(pod)), Message::AnyPod, send, metrics()));
        } else {
            let pods: Api<ApiPod> = Api::namespaced(self.client.clone(), &context.namespace);
            tasks.spawn(follow(pods, mine(), |pod| status::pod(&pod), Message::Pod, send, metrics()));
        }
        messages
    }
}

/// True if jobs are admitted by the nodes' capacity.
#[must_use]
pub fn needs_nodes(orchestrator: &Orchestrator<'_>) -> bool {
    matches!(orchestrator.planner().settings().admission, AdmissionConfig::Capacity {})
}

struct Work<'a, 'o> {
    edge: Edge,
    orchestrator: &'a mut Orchestrator<'o>,
    observer: &'a mut dyn Observer,
    actor: Actor,
    events: events::Publisher,
    tasks: JoinSet<()>,
    view: View,
    jobs: Listing<JobId>,
    pods: Listing<String>,
    nodes: Nodes,
    /// The jobs that existed when the current list began.
    before_listing: BTreeSet<JobId>,
    /// The jobs for which an actor is working, with its action.
    busy: BTreeMap<JobId, (Action, AbortHandle)>,
    /// The last action that was carried out for a job, with a time by which it was.
    done: BTreeMap<JobId, (Action, Instant)>,
    /// The events that aren't journaled yet.
    pending: Vec<Event>,
    /// The jobs that find no place even on empty nodes, each with the time when that was first seen.
    hopeless: BTreeMap<JobId, Instant>,
    /// The jobs with a place that aren't in the requested state.
    stuck: BTreeMap<JobId, Said>,
}

impl Work<'_, '_> {
    async fn run(
        &mut self,
        mut messages: Receiver<Message>,
        mut reports: UnboundedReceiver<Report>,
        stop: impl Future<Output = ()>,
    ) -> Result<End, JournalError> {
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tokio::pin!(stop);
        let mut batch = Vec::new();
        loop {
            // The branches are polled in order, so that a run is reproducible. Messages may arrive without end, so they come last; the other branches
            // can't starve them.
            tokio::select! {
                biased;
                () = &mut stop => return Ok(End::Stopped),
                Some(report) = reports.recv() => {
                    self.hear(report);
                    while let Ok(report) = reports.try_recv() {
                        self.hear(report);
                    }
                }
                () = sleep(self.until_tick()) => {
                    // The arriving job is planned with the current nodes.
                    self.tell_nodes();
                    self.pending.push(Event::Tick);
                }
                _ = housekeeping.tick() => self.keep_house(),
                count = messages.recv_many(&mut batch, BATCH) => {
                    // The watches end only with this loop.
                    if count == 0 {
                        return Ok(End::Stopped);
                    }
                    batch.drain(..).for_each(|message| self.see(message));
                }
            }
            self.take()?;
            while let Some(ended) = self.tasks.try_join_next() {
                // A panic in a task is passed on: without its watches the loop would wait for ever.
                if let Err(error) = ended
                    && let Ok(panic) = error.try_into_panic()
                {
                    std::panic::resume_unwind(panic);
                }
            }
            if self.orchestrator.is_finished() {
                self.edge.metrics.stands(self.orchestrator);
                return Ok(End::Finished);
            }
        }
    }

    fn is_ready(&self) -> bool {
        let nodes = !needs_nodes(self.orchestrator) || self.nodes.are_known();
        self.jobs.is_ready() && self.pods.is_ready() && nodes
    }

    /// The time until the next arrival; no job arrives before the existing objects were listed.
    fn until_tick(&self) -> Duration {
        /// A time longer than any test runs, and short enough for a timer.
        const FOR_EVER: Duration = Duration::from_secs(86_400);
        if !self.is_ready() {
            return FOR_EVER;
        }
        let next = self.orchestrator.next_arrival().map(|at| at.as_millis().saturating_sub(self.now().as_millis()));
        next.map_or(FOR_EVER, |millis| Duration::from_millis(millis).min(FOR_EVER))
    }

    fn now(&self) -> fltk_core::experiment::Duration {
        let elapsed = (self.edge.clock)().as_millisecond().saturating_sub(self.edge.began.as_millisecond());
        fltk_core::experiment::Duration::from_millis(u64::try_from(elapsed).unwrap_or(0))
    }

    /// Journals the pending events, and carries out the actions that follow.
    fn take(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() || !self.is_ready() {
            return Ok(());
        }
        let mut events = std::mem::take(&mut self.pending);
        self.nodes.tell_what_is_left(&mut events, self.orchestrator);
        let ended: Vec<JobId> =
            events.iter().filter_map(|event| matches!(event, Event::Ended { .. }).then(|| event.job())?.cloned()).collect();
        let actions = self.orchestrator.take(self.now(), events, (self.edge.clock)())?;
        ended.iter().for_each(|id| self.forget(id));
        actions.into_iter().for_each(|action| self.act(action));
        self.observer.changed(self.orchestrator, &self.view);
        Ok(())
    }

    /// Begins `action`, unless it is under way or is a start that was carried out already. An earlier action for the same job is no longer wanted:
    /// its actor can be aborted safely, since a later request finds each of its requests done or changed.
    fn act(&mut self, action: Action) {
        let id = action.job().clone();
        let Some(job) = self.orchestrator.job(&id) else { return };
        let is_under_way = self.busy.get(&id).is_some_and(|(busy, _)| *busy == action);
        if is_under_way || (matches!(action, Action::Start { .. }) && self.has_done(&action)) {
            return;
        }
        let (spec, is_anew) = (Arc::new(job.spec.clone()), job.is_anew());
        let task = self.tasks.spawn(self.actor.clone().act(action.clone(), spec, is_anew));
        if let Some((_, before)) = self.busy.insert(id, (action, task)) {
            before.abort();
        }
    }

    fn has_done(&self, action: &Action) -> bool {
        self.done.get(action.job()).is_some_and(|(done, _)| done == action)
    }

    /// Drops all work for a job that is over: a job that is deleted while its start is retried would be created again.
    fn forget(&mut self, id: &JobId) {
        if let Some((_, task)) = self.busy.remove(id) {
            task.abort();
        }
        self.done.remove(id);
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Done { action, uid, at } => {
                // An action that was aborted may have completed just before.
                if self.busy.get(action.job()).is_none_or(|(busy, _)| *busy != action) {
                    return;
                }
                self.busy.remove(action.job());
                self.done.insert(action.job().clone(), (action.clone(), at));
                let uid = uid.or_else(|| self.view.uid(action.job()).map(str::to_owned));
                if let (Some(uid), Some(job)) = (uid, self.orchestrator.job(action.job())) {
                    self.events.publish(&action, job, uid);
                }
                // Its watch may have shown the object before.
                self.tell(action.job());
            }
            Report::Refused { action, reason } => {
                // A refusal of an aborted action doesn't count.
                if self.busy.get(action.job()).is_some_and(|(busy, _)| *busy == action) {
                    self.pending.push(Event::ended(action.job().clone(), Outcome::Failed, reason));
                }
            }
            Report::Trouble { job, reason } => self.observer.trouble(&format!("job {job}: {reason}")),
        }
    }

    fn see(&mut self, message: Message) {
        match message {
            Message::Job(seen) => self.see_job(seen),
            Message::Pod(seen) => self.see_pod(seen),
            Message::Node(seen) => {
                let saw = self.nodes.see_node(seen);
                self.saw(saw);
            }
            Message::AnyPod(seen) => {
                let context = &self.edge.context;
                let ours = seen.of(|pod| job_of(pod, context).and_then(|_| status::pod(pod)));
                // The pod's requests are recorded before its job's news, since the news decides whether they count as the job's.
                let saw = self.nodes.see_pod(seen, context);
                self.saw(saw);
                if let Some(ours) = ours {
                    self.see_pod(ours);
                }
            }
        }
    }

    fn see_job(&mut self, seen: Seen<SeenJob>) {
        match seen {
            Seen::Listing(at) => {
                self.jobs.begin();
                // An object that was just created may be missing from the list.
                let made = self.done.iter().filter(|(_, (action, done))| matches!(action, Action::Start { .. }) && *done < at);
                self.before_listing = self.view.unfinished();
                self.before_listing.extend(made.map(|(id, _)| id.clone()));
            }
            Seen::There(job, is_listed) => {
                let id = job.id.clone();
                if is_listed {
                    self.jobs.has(id.clone());
                }
                self.view.has_job(job);
                self.tell(&id);
            }
            Seen::Gone(job) => {
                let id = job.id.clone();
                self.view.has_job(job);
                self.tell(&id);
                self.lose(&id, "its object was deleted by somebody");
            }
            Seen::Listed => {
                let (listed, is_first) = self.jobs.end();
                let mut before = std::mem::take(&mut self.before_listing);
                if is_first {
                    before.extend(self.confirmed());
                }
                for id in before.difference(&listed) {
                    self.lose(id, "its object is gone: it was deleted while the orchestrator didn't look, or its `ttl` passed");
                }
                self.when_ready();
            }
            Seen::Trouble(text) => self.observer.trouble(&format!("jobs can't be watched: {text}")),
        }
    }

    /// The jobs whose object exists according to the journal.
    fn confirmed(&self) -> Vec<JobId> {
        let is_there = |job: &&Job| match job.state {
            State::Starting | State::Running | State::Held | State::Suspending { .. } => true,
            // Such a job is suspended, or about to be resumed.
            State::Waiting | State::Admitted => job.record.suspensions > 0 && job.is_there(),
            State::Pending | State::Ended => false,
        };
        self.orchestrator.planner().jobs().iter().filter(is_there).map(|job| job.spec.id.clone()).collect()
    }

    fn lose(&mut self, id: &JobId, reason: &str) {
        // A job that ended is over, whoever removes its object.
        if self.orchestrator.job(id).is_some_and(|job| job.state != State::Ended) {
            self.pending.extend(self.view.lost_job(id, reason));
        }
    }

    fn see_pod(&mut self, seen: Seen<SeenPod>) {
        match seen {
            Seen::Listing(_) => self.pods.begin(),
            Seen::There(pod, is_listed) => {
                if is_listed {
                    self.pods.has(pod.name.clone());
                }
                let id = pod.job.clone();
                self.view.has_pod(pod);
                self.tell(&id);
            }
            Seen::Gone(pod) => {
                let id = pod.job.clone();
                self.view.lost_pod(pod);
                self.tell(&id);
            }
            Seen::Listed => {
                let (listed, is_first) = self.pods.end();
                let changed = self.view.keep_pods(&listed);
                let untold = if is_first { self.view.unfinished() } else { BTreeSet::new() };
                for id in changed.iter().chain(&untold) {
                    self.tell(id);
                }
                self.when_ready();
            }
            Seen::Trouble(text) => self.observer.trouble(&format!("pods can't be watched: {text}")),
        }
    }

    fn tell(&mut self, id: &JobId) {
        // Before pods were listed, a job seems to have none: its suspension would seem complete while its pods are still terminating.
        if !self.pods.is_ready() {
            return;
        }
        // All objects of a start exist once the journal, or the actor of this process, says so.
        let start = self.orchestrator.outstanding_of(id).filter(|action| matches!(action, Action::Start { .. }));
        let is_made = start.is_none_or(|start| self.has_done(&start));
        self.pending.extend(self.view.news(id, self.orchestrator, is_made, Instant::now()));
    }

    fn saw(&mut self, saw: Saw) {
        match saw {
            Saw::Change => {}
            Saw::Listed => self.when_ready(),
            Saw::Trouble(text) => self.observer.trouble(&text),
        }
    }

    /// Called when everything was listed, perhaps again: requests the outstanding actions again.
    fn when_ready(&mut self) {
        if needs_nodes(self.orchestrator) && !self.nodes.are_known() {
            self.tell_nodes();
        }
        if self.is_ready() {
            self.edge.is_ready.store(true, Ordering::Relaxed);
            let lost: BTreeSet<&JobId> =
                self.pending.iter().filter(|event| matches!(event, Event::Ended { .. })).filter_map(Event::job).collect();
            let outstanding = self.orchestrator.outstanding().into_iter().filter(|action| !lost.contains(action.job()));
            outstanding.collect::<Vec<_>>().into_iter().for_each(|action| self.act(action));
        }
    }

    /// Puts the nodes before all other pending events, so that these are planned with the current nodes.
    fn tell_nodes(&mut self) {
        if let Some(nodes) = self.nodes.report(&self.edge.context.config, self.orchestrator) {
            self.pending.retain(|event| !matches!(event, Event::Nodes { .. }));
            self.pending.insert(0, nodes);
        }
    }

    fn keep_house(&mut self) {
        for id in self.view.held_back() {
            self.tell(&id);
        }
        // Other pods come and go all the time, so the nodes are journaled only while a job waits for a place.
        if self.orchestrator.planner().is_anybody_waiting() {
            self.tell_nodes();
        }
        if self.is_ready() {
            self.give_up_hope();
        }
        self.say_who_is_stuck();
        self.edge.metrics.stands(self.orchestrator);
        self.observer.changed(self.orchestrator, &self.view);
    }

    fn say_who_is_stuck(&mut self) {
        let now = Instant::now();
        // A suspension for which an actor is still working hasn't been requested yet.
        let is_yet = |job: &&Job| matches!(job.state, State::Suspending { .. }) && self.busy.contains_key(&job.spec.id);
        let asked = self.orchestrator.planner().active().filter(|job| !is_yet(job));
        let stuck: BTreeMap<JobId, Stuck> = asked.filter_map(|job| Some((job.spec.id.clone(), Stuck::of(job, &self.view, now)?))).collect();
        let is_as_before = |id: &JobId, said: &Said| stuck.get(id).is_some_and(|why| why.is_leaving() == said.is_leaving);
        self.stuck.retain(|id, said| is_as_before(id, said));
        for (id, why) in stuck {
            let said = self.stuck.entry(id.clone()).or_insert(Said { since: now, is_said: false, is_leaving: why.is_leaving() });
            if !said.is_said && now.saturating_duration_since(said.since) >= why.patience() {
                said.is_said = true;
                self.observer.stuck(&id, &why);
            }
        }
    }

    /// Ends the jobs that found no place for too long, so that a stream with such a job ends too.
    fn give_up_hope(&mut self) {
        let patience = Duration::from_millis(self.edge.context.config.unschedulable_timeout.as_millis());
        let now = Instant::now();
        let hopeless: BTreeMap<JobId, String> = self.orchestrator.planner().hopeless().into_iter().collect();
        self.hopeless.retain(|id, _| hopeless.contains_key(id));
        for (id, reason) in hopeless {
            let since = *self.hopeless.entry(id.clone()).or_insert(now);
            if now.saturating_duration_since(since) >= patience {
                let reason = format!("given up after {} s: {reason}", patience.as_secs());
                self.pending.push(Event::ended(id, Outcome::Failed, reason));
            }
        }
    }
}
