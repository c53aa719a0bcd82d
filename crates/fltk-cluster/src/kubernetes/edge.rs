//! The loop between the API server and the orchestrator: what watches show becomes events, what is asked for becomes requests.
//!
//! ```text
//! watches ──> view ──> news ──> Orchestrator::take ──> actions ──> actors ──> API server ──> watches
//! ```
//!
//! Only what a watch shows counts as having happened. So a request whose answer was lost does no harm, and a new process needs nothing of the old one
//! but its journal.
//!
//! Pods are watched once: those of the run, or all where jobs are admitted by what nodes have. So what a job's pods do, and what they take up, is never at
//! odds.

mod nodes;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fltk_core::experiment::AdmissionConfig;
use fltk_records::journal::JournalError;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as ApiNode, Pod as ApiPod};
use kube::{Api, Client};
use tokio::{
    sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel},
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use self::nodes::{Nodes, Saw, job_of};
use super::{
    actor::{Actor, Report},
    api, events,
    manifest::{RunContext, run_selector},
    metrics::Metrics,
    status,
    view::{NotRunning, NotSuspended, SeenJob, SeenPod, View},
    watch::{Listing, Seen, follow},
};
use crate::{
    Action, Event, JobId, Orchestrator,
    plan::{Job, Outcome, State},
};

/// Messages of watches that wait to be looked at; a watch that is faster waits.
const QUEUE: usize = 4096;
/// Messages that are looked at before what they mean is journaled.
const BATCH: usize = 1024;
/// How often ends that are held back, nodes and metrics are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long a job with a place may not run before that is said: images are large. As long as pods may take to end.
const STUCK: Duration = Duration::from_secs(60);
/// How long a suspension that was asked for may not come about before that is said: an operator does it within a second.
const STAYS: Duration = Duration::from_secs(5);

/// What the edge works with.
pub struct Edge {
    /// The API server.
    pub client: Client,
    /// What jobs have in common.
    pub context: Arc<RunContext>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Raised once everything was listed.
    pub is_ready: Arc<AtomicBool>,
    /// When the stream began, which tells it from another of the same name.
    pub began: Timestamp,
    /// What time it is.
    pub clock: Clock,
}

/// Tells what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Who is told how it goes.
pub trait Observer {
    /// It stands so: told when something happened, and every second. What a job that was started waits for, `view` knows.
    fn changed(&mut self, orchestrator: &Orchestrator<'_>, view: &View);
    /// Something is in the way, and tried again.
    fn trouble(&mut self, text: &str);
    /// A job that has its place hasn't begun to run for long, or not all of it, or isn't suspended as was asked for; told once for each time that is so.
    fn stuck(&mut self, job: &JobId, why: &dyn Display);
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every job is over.
    Finished,
    /// It was asked to stop; what runs goes on.
    Stopped,
}

/// What watches send.
enum Message {
    Job(Seen<SeenJob>),
    Pod(Seen<SeenPod>),
    Node(Seen<Box<ApiNode>>),
    /// One of the run or of somebody else.
    AnyPod(Seen<Box<ApiPod>>),
}

impl Edge {
    /// Works until every job is over, or `stop` is done.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub async fn run(
        self,
        orchestrator: &mut Orchestrator<'_>,
        observer: &mut dyn Observer,
        stop: impl Future<Output = ()>,
    ) -> Result<End, JournalError> {
        // As many as there are actors, which are as many as jobs at most; each waits between two reports.
        let (send_reports, reports) = unbounded_channel();
        let actor = Actor::new(&self, send_reports);
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

/// Whether jobs are admitted by what nodes have.
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
    /// Jobs that were there when the list began that is being read.
    before_listing: BTreeSet<JobId>,
    /// Jobs that an actor is at work for: at what.
    busy: BTreeMap<JobId, (Action, AbortHandle)>,
    /// What was done last for a job, by when.
    done: BTreeMap<JobId, (Action, Instant)>,
    /// Events that aren't journaled yet.
    pending: Vec<Event>,
    /// Jobs for which no place is found even on empty nodes, and since when.
    hopeless: BTreeMap<JobId, Instant>,
    /// Jobs with a place that aren't as they were asked to be.
    stuck: BTreeMap<JobId, Said>,
}

/// Since when a job isn't as it was asked to be, and whether that was said.
struct Said {
    since: Instant,
    is_said: bool,
    /// Whether it was asked to be suspended.
    is_leaving: bool,
}

/// Why a job with a place isn't as it was asked to be.
enum Stuck {
    Start(NotRunning),
    Suspension(NotSuspended),
}

impl Stuck {
    fn of(job: &Job, view: &View, now: Instant) -> Option<Self> {
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
            // In order, so that a run can be repeated. Messages, of which there may be always more, come last; the others can't keep them waiting.
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
                    // Who arrives is planned with the nodes as they are.
                    self.tell_nodes();
                    self.pending.push(Event::Tick);
                }
                _ = housekeeping.tick() => self.keep_house(),
                count = messages.recv_many(&mut batch, BATCH) => {
                    // Watches end only with us.
                    if count == 0 {
                        return Ok(End::Stopped);
                    }
                    batch.drain(..).for_each(|message| self.see(message));
                }
            }
            self.take()?;
            while let Some(ended) = self.tasks.try_join_next() {
                // Without its watches the loop would wait for ever.
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

    /// How long until the next arrival; nothing arrives before what is there was seen.
    fn until_tick(&self) -> Duration {
        /// Longer than any test's patience, and no more than a timer takes.
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

    /// Journals what is pending, and does what follows from it.
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

    /// Begins `action`, unless that is under way or an object was made already. What was asked for before of the same job isn't wanted any more: actors
    /// do no harm where they are stopped, as each request of theirs is one that a later one finds done or changed.
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

    /// Nothing more is to be done for a job that is over: one that is deleted while its start is tried again would be made again.
    fn forget(&mut self, id: &JobId) {
        if let Some((_, task)) = self.busy.remove(id) {
            task.abort();
        }
        self.done.remove(id);
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Done { action, uid, at } => {
                // One that was stopped may have been done just before.
                if self.busy.get(action.job()).is_none_or(|(busy, _)| *busy != action) {
                    return;
                }
                self.busy.remove(action.job());
                self.done.insert(action.job().clone(), (action.clone(), at));
                let uid = uid.or_else(|| self.view.uid(action.job()).map(str::to_owned));
                if let (Some(uid), Some(job)) = (uid, self.orchestrator.job(action.job())) {
                    self.events.publish(&action, job, uid);
                }
                // Its watch may have shown it before.
                self.tell(action.job());
            }
            Report::Refused { action, reason } => {
                // Not of one that was stopped.
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
                // Before it's told what became of it: whose room it takes follows from that.
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
                // One that was just made may not have been seen.
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

    /// Jobs whose object the journal says to be there.
    fn confirmed(&self) -> Vec<JobId> {
        let is_there = |job: &&Job| match job.state {
            State::Starting | State::Running | State::Held | State::Suspending { .. } => true,
            // Suspended, or to be resumed.
            State::Waiting | State::Admitted => job.record.suspensions > 0 && job.is_there(),
            State::Pending | State::Ended => false,
        };
        self.orchestrator.planner().jobs().iter().filter(is_there).map(|job| job.spec.id.clone()).collect()
    }

    fn lose(&mut self, id: &JobId, reason: &str) {
        // One that ended is over, whoever removes it.
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
        // Before pods were listed, a job seems to have none: its suspension would be done while they are on their way out.
        if !self.pods.is_ready() {
            return;
        }
        // All objects of a start are there once the journal, or the actor of this process, says so.
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

    /// Everything was listed, perhaps again: what was asked for and isn't there is asked for again.
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

    /// Before all else that isn't taken in yet: what follows from that is planned with the nodes as they are.
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
        // Pods of others come and go all the time: it's journaled only while that matters to somebody.
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
        // A suspension that an actor is at work for isn't asked for yet.
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

    /// Ends jobs for which no place was found for too long, so that a stream with such a job ends too.
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
