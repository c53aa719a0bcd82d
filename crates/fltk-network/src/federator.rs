//! The federator: drives a federation over nodes that call it.
//!
//! ```text
//!   this thread: drive ---- Input ----> hub thread: Hub ----> sessions (tokio) ----> nodes
//!                      <--- Event -----                 <----                 <----
//!   evaluator thread
//! ```
//!
//! One thread owns the [`Hub`](crate::hub::Hub). What it decides, it carries out at once: messages go to the sessions, events to the driving thread.

mod desk;
mod listen;
mod objects;
mod service;
mod spans;
mod underway;

use std::{
    cell::RefCell,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use fltk_core::{
    ids::{ClientId, Round},
    model_state::ModelState,
};
use fltk_fed::{
    client::{ClientStates, Evaluator},
    drive::{Answer, Observer, RunError, Transport, TransportError, Wait, drive},
    round::{EvaluationOrder, Event, Federation, LossOrder, MODELS_HELD_MAX, ProtocolError, Record, SettingsDigest, Timestamp, TrainOrder},
    transport::{
        inbox::Inbox,
        scope::{RaiseOnDrop, spawn},
        simulated::Simulated,
        worker::{Order, evaluate},
    },
};
use tokio::sync::mpsc;

use self::desk::{Desk, Input, Learners};
use crate::{
    hub::{Figures, Joined, Lost, NodeId, Refused},
    metrics::{Clock, Metrics, Phase, Timed},
    object::Content,
    pki::Folder,
    wire::order::Key,
};

pub use listen::Listener;

/// The number of messages that may wait for the hub. Sessions wait while it is full, so nobody fills the memory.
const INPUTS_MAX: usize = 1024;

/// The interval at which the hub looks after silent and slow nodes.
const TICK: Duration = Duration::from_millis(200);

/// The words in which nodes are told that the run is complete. Other words say why there is no more to do at present.
pub const COMPLETE: &str = "the run is complete";

/// The job as nodes get it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The name of the run.
    pub run: String,
    /// The experiment as YAML, with one task and one seed.
    pub experiment: String,
    /// The files that it names, by their paths in it.
    pub files: Vec<(String, Content)>,
    /// The digest of the settings that nodes must have.
    pub settings: SettingsDigest,
    /// The digest of the training samples that nodes must have; zeros if clients have data of their own.
    pub data: [u8; 32],
    /// The names of the clients that have data of their own, by number; none if every node has all data.
    pub clients: Vec<String>,
    /// The version of the program, which nodes must have.
    pub program: String,
    /// The kind of this machine's processor.
    pub processor: String,
}

/// The limits and intervals of a federator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time between two heartbeats.
    pub heartbeat: Duration,
    /// The time of silence after which a node is lost.
    pub silence: Duration,
    /// The most nodes at a time.
    pub nodes_max: usize,
    /// The number of workers that all nodes are expected to have, for simulated time: so many orders are given at a time.
    pub workers: NonZeroUsize,
}

impl Limits {
    /// Returns these limits with another time of silence, and ten heartbeats in it.
    #[must_use]
    pub fn with_silence(self, silence: Duration) -> Self {
        /// So many that a few may be late.
        const HEARTBEATS: u32 = 10;
        Self { heartbeat: silence / HEARTBEATS, silence, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let (heartbeat, silence) = (Duration::from_secs(2), Duration::from_secs(20));
        Self { heartbeat, silence, nodes_max: 10_000, workers: NonZeroUsize::MIN }
    }
}

/// An event in the life of a node, for a person or a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeReport {
    /// A node takes part.
    Joined {
        /// Its identity.
        node: NodeId,
        /// Its introduction.
        joined: Joined,
    },
    /// A node doesn't take part any more.
    Left {
        /// Its identity.
        node: NodeId,
        /// Its introduction.
        joined: Joined,
        /// The figures of its work since it joined.
        figures: Figures,
        /// The reason; `None` if the run is over.
        reason: Option<Lost>,
    },
    /// A node can't take part.
    TurnedAway {
        /// Its name, as far as it said it.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A message of a node was refused.
    Refused {
        /// Its name.
        name: String,
        /// The reason.
        reason: Refused,
    },
}

/// A callback that learns what happens to nodes. Several threads call it.
pub type Reporter<'a> = dyn Fn(NodeReport) + Sync + 'a;

/// A federator: the job, the socket, and those who learn of what happens.
pub struct Federator<'a> {
    /// The job.
    pub job: Job,
    /// The socket on which nodes call.
    pub listener: Listener,
    /// The limits for nodes.
    pub limits: Limits,
    /// The folder of the authority, with which invited nodes enroll; `None` if nobody is invited.
    pub folder: Option<Folder>,
    /// The states that clients keep between rounds; `None` if the strategy keeps none.
    pub states: Option<&'a dyn ClientStates>,
    /// The learner of what happens to nodes.
    pub report: &'a Reporter<'a>,
    /// The learner of clients that failed for reasons of the settings.
    pub is_of_settings: &'a (dyn Fn(Round, ClientId) + Sync),
    /// The metrics in which it counts.
    pub metrics: Arc<Metrics>,
}

impl Federator<'_> {
    /// Runs `federation` to its end over the nodes that come, and returns the final global model. `observer` is called on this thread with every record, in order.
    /// Raising `stop` ends the run early.
    ///
    /// # Errors
    /// If a client, an evaluation or the observer failed, the listener can't be used, or `stop` was raised. Every thread has ended by then.
    pub fn run(
        self,
        federation: Federation,
        evaluator: Box<dyn Evaluator + '_>,
        stop: &AtomicBool,
        observer: &mut Observer<'_>,
    ) -> Result<Arc<ModelState>, RunError> {
        // Sessions mostly wait; two threads encrypt, and check digests.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("fed-network").enable_all().build();
        let runtime = runtime.map_err(RunError::Thread)?;
        let layout = federation.first_model().map(|model| Arc::clone(&model.layout)).unwrap_or_default();
        let (inputs, for_hub) = mpsc::channel(INPUTS_MAX);
        let (events, answers) = channel();
        let (to_evaluator, evaluations) = sync_channel(2 * MODELS_HELD_MAX);
        let over = AtomicBool::new(false);
        let is_virtual = federation.setup().fleet().is_some();
        let Self { job, listener, limits, folder, states, report, is_of_settings, metrics } = self;
        let metrics = &*metrics;
        let clock = RefCell::new(Clock::new(metrics, Phase::Combining));
        let mut recorded = |record: &Record| {
            clock.borrow_mut().turn(Phase::Recording);
            let outcome = observer(record);
            clock.borrow_mut().turn(Phase::Combining);
            // The model before the first round has a record of its own.
            if let Record::RoundEnded(round) = record
                && round.round.0 > 0
            {
                metrics.round_ended();
            }
            outcome
        };
        let outcome = thread::scope(|scope| {
            // Dropped on every exit: the threads of the scope end then.
            let mut network = Network {
                over: RaiseOnDrop(&over),
                inputs: inputs.clone(),
                given: Vec::new(),
                to_evaluator,
                inbox: Inbox::new(answers, stop),
                passed_on: None,
                is_virtual,
                clock: &clock,
            };
            let (over, to_driver) = (&over, events.clone());
            let evaluator = Box::new(Timed { evaluator, metrics });
            spawn(scope, "fed-evaluator".to_owned(), move || {
                evaluate(evaluator, &evaluations, over, &mut |event| to_driver.send(event).is_ok())
            })?;
            let learners = Learners { report, is_of_settings, metrics };
            let desk = Desk::new(limits, layout, states, learners, events, federation.setup());
            spawn(scope, "fed-hub".to_owned(), move || desk.run(for_hub))?;
            let service = service::Service::new(job, limits, inputs.clone(), folder).map_err(RunError::Thread)?;
            let server = listener.serve(&runtime, service).map_err(RunError::Thread)?;
            let ticks = inputs.clone();
            drop(inputs);
            let ticking = runtime.spawn(async move {
                let mut interval = tokio::time::interval(TICK);
                loop {
                    interval.tick().await;
                    if ticks.send(Input::Tick).await.is_err() {
                        return;
                    }
                }
            });
            let outcome = match Simulated::of(&federation, &mut network, limits.workers.get()) {
                Some(mut simulated) => drive(federation, &mut simulated, &mut recorded),
                None => drive(federation, &mut network, &mut recorded),
            };
            let text = match &outcome {
                Ok(_) => Some(COMPLETE.to_owned()),
                Err(RunError::Stopped { .. }) => None,
                Err(error) => Some(error.to_string()),
            };
            // Nodes are told, and then nobody talks to the hub any more.
            let _ = network.inputs.blocking_send(Input::Finish(text));
            drop(network);
            ticking.abort();
            runtime.block_on(server.end());
            outcome
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }
}

/// The driving thread's side.
struct Network<'a> {
    /// The signal to the evaluator that nobody waits for it any more; the first field, so that it is raised before channels close.
    #[expect(dead_code, reason = "it acts when it is dropped")]
    over: RaiseOnDrop<'a>,
    inputs: mpsc::Sender<Input>,
    /// The orders that the hub doesn't have yet.
    given: Vec<Order>,
    to_evaluator: SyncSender<EvaluationOrder>,
    inbox: Inbox<'a>,
    /// The last update that was passed on, as long as the hub doesn't know that the round has it.
    passed_on: Option<Key>,
    is_virtual: bool,
    clock: &'a RefCell<Clock<'a>>,
}

impl Drop for Network<'_> {
    /// Ends the hub on every exit, panics included: the sessions' and the clock's ends of its channel would keep it.
    fn drop(&mut self) {
        let _ = self.inputs.blocking_send(Input::End);
    }
}

impl Network<'_> {
    fn tell(&self, input: Input) -> Result<(), TransportError> {
        self.inputs.blocking_send(input).map_err(|_| TransportError::Abandoned)
    }
}

impl Transport for Network<'_> {
    fn train(&mut self, order: TrainOrder) -> Result<(), TransportError> {
        self.given.push(Order::Train(order));
        Ok(())
    }

    fn measure(&mut self, order: LossOrder) -> Result<(), TransportError> {
        self.given.push(Order::Measure(order));
        Ok(())
    }

    fn collect(&mut self, round: Round, client: ClientId) -> Result<(), TransportError> {
        self.tell(Input::Collect { round, client })
    }

    fn hand_over(&mut self) {
        if !self.given.is_empty() {
            // If the hub has ended, the next wait says so.
            let _ = self.inputs.blocking_send(Input::Orders(std::mem::take(&mut self.given)));
        }
    }

    fn evaluate(&mut self, order: EvaluationOrder) -> Result<(), TransportError> {
        self.to_evaluator.send(order).map_err(|_| TransportError::Abandoned)
    }

    fn now(&self) -> Timestamp {
        self.inbox.now()
    }

    fn receive(&mut self, wait: Wait) -> Result<Option<Event>, TransportError> {
        // Simulated time passes orders on while it waits.
        self.hand_over();
        if let Some(key) = self.passed_on.take() {
            // Whatever was wrong with it would have been said by now.
            let _ = self.inputs.blocking_send(Input::Taken(key));
        }
        self.clock.borrow_mut().turn(Phase::Waiting);
        let event = self.inbox.receive(wait);
        self.clock.borrow_mut().turn(Phase::Combining);
        let event = event?;
        if let Some(Event::ClientTrained(update)) = &event {
            self.passed_on = Some(Key { round: update.round, client: update.client, is_loss: false });
        }
        Ok(event)
    }

    fn revoke(&mut self, round: Round) {
        self.given.retain(|order| order.round() > round);
        let _ = self.inputs.blocking_send(Input::Revoke(round));
    }

    /// An update that can't be used is made once more, by another node if there is one; on simulated time, its time has come.
    fn refused(&mut self, answer: Answer, reason: &ProtocolError) -> Option<Event> {
        if reason.is_lateness() {
            return None;
        }
        if let (Answer::Training { round, client }, false) = (answer, self.is_virtual) {
            let (reply, again) = sync_channel(1);
            let key = Key { round, client, is_loss: false };
            self.passed_on = None;
            let asked = self.inputs.blocking_send(Input::RoundRefused { key, reply });
            if asked.is_ok() && again.recv().unwrap_or(false) {
                return None;
            }
        }
        Some(answer.failed(reason.complaint()))
    }
}
