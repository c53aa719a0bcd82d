//! The loop between the API server and the orchestrator: watches become events, actions become requests.
//!
//! ```text
//! watches ──> Tracker ──> events ──> Orchestrator::take ──> actions ──> Tracker ──> orders ──> actors ──> API server ──> watches
//! ```
//!
//! Only what a watch shows counts as having happened. So a request whose answer was lost does no harm, and a new process needs nothing from the old
//! one but its journal.
//!
//! Pods are watched once: only those of the run, or all pods if jobs are admitted by the nodes' capacity. So a job's pod states and their resource
//! use are always consistent.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fltk_core::experiment::AdmissionConfig;
use fltk_plan::{JobId, Orchestrator};
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
    status,
    tracker::{Message, Order, Report, Tracker},
    view::View,
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
        let tracker = Tracker::new(Arc::clone(&self.context), began_ms, needs_nodes(orchestrator));
        let publisher = events::Publisher::new(&self.client, &self.context);
        let mut work = Work { edge: self, orchestrator, observer, actor, publisher, tasks, under_way: BTreeMap::new(), tracker };
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

/// The loop at work.
struct Work<'a, 'o> {
    edge: Edge,
    orchestrator: &'a mut Orchestrator<'o>,
    observer: &'a mut dyn Observer,
    actor: Actor,
    publisher: events::Publisher,
    /// The watches, and the actors at work.
    tasks: JoinSet<()>,
    /// The actors at work, by job, to stop them.
    under_way: BTreeMap<JobId, AbortHandle>,
    tracker: Tracker,
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
                    let now = Instant::now();
                    self.tracker.hear(report, self.orchestrator, now);
                    while let Ok(report) = reports.try_recv() {
                        self.tracker.hear(report, self.orchestrator, now);
                    }
                }
                () = sleep(self.until_arrival()) => self.tracker.arrive(self.orchestrator, Instant::now()),
                _ = housekeeping.tick() => self.keep_house(),
                count = messages.recv_many(&mut batch, BATCH) => {
                    // The watches end only with this loop.
                    if count == 0 {
                        return Ok(End::Stopped);
                    }
                    let now = Instant::now();
                    batch.drain(..).for_each(|message| self.tracker.see(message, self.orchestrator, now));
                }
            }
            self.carry_out();
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

    /// The time until the next arrival; no job arrives before the existing objects were listed.
    fn until_arrival(&self) -> Duration {
        /// A time longer than any test runs, and short enough for a timer.
        const FOR_EVER: Duration = Duration::from_secs(86_400);
        if !self.tracker.is_ready() {
            return FOR_EVER;
        }
        let next = self.orchestrator.next_arrival().map(|at| at.as_millis().saturating_sub(self.now().as_millis()));
        next.map_or(FOR_EVER, |millis| Duration::from_millis(millis).min(FOR_EVER))
    }

    fn now(&self) -> fltk_core::experiment::Duration {
        let elapsed = (self.edge.clock)().as_millisecond().saturating_sub(self.edge.began.as_millisecond());
        fltk_core::experiment::Duration::from_millis(u64::try_from(elapsed).unwrap_or(0))
    }

    /// Journals the new events, and carries out the actions that follow.
    fn take(&mut self) -> Result<(), JournalError> {
        let events = self.tracker.events(self.orchestrator);
        if events.is_empty() {
            return Ok(());
        }
        events.iter().for_each(|event| tracing::trace!("{event:?}"));
        let actions = self.orchestrator.take(self.now(), events, (self.edge.clock)())?;
        self.tracker.follow(actions, self.orchestrator);
        self.carry_out();
        self.observer.changed(self.orchestrator, self.tracker.view());
        Ok(())
    }

    fn keep_house(&mut self) {
        self.tracker.keep_house(self.orchestrator, Instant::now());
        self.carry_out();
        self.edge.metrics.stands(self.orchestrator);
        self.observer.changed(self.orchestrator, self.tracker.view());
    }

    /// Carries out the tracker's new orders.
    fn carry_out(&mut self) {
        if self.tracker.is_ready() && !self.edge.is_ready.swap(true, Ordering::Relaxed) {
            tracing::debug!("the cluster's objects are listed: jobs may arrive");
        }
        for order in self.tracker.orders() {
            match order {
                Order::Begin { action, spec, is_anew } => {
                    let id = action.job().clone();
                    let task = self.tasks.spawn(self.actor.clone().act(action, spec, is_anew));
                    if let Some(before) = self.under_way.insert(id, task) {
                        before.abort();
                    }
                }
                Order::Stop(id) => {
                    if let Some(task) = self.under_way.remove(&id) {
                        task.abort();
                    }
                }
                Order::Publish(action, uid) => {
                    if let Some(job) = self.orchestrator.job(action.job()) {
                        self.publisher.publish(&action, job, uid);
                    }
                }
                Order::PublishLoss(lost) => self.publisher.publish_loss(lost),
                Order::Trouble(text) => self.observer.trouble(&text),
                Order::Stuck(id, why) => self.observer.stuck(&id, &why),
            }
        }
    }
}
