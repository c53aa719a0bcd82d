//! The federator: drives a federation over nodes that call it.
//!
//! ```text
//!   this thread: drive ---- Input ----> hub thread: Hub ----> sessions (tokio) ----> nodes
//!                      <--- Event -----                 <----                 <----
//!   evaluator thread
//! ```
//!
//! One thread owns the [`Hub`](crate::hub::Hub). What it decides, it carries out at once: messages go to the sessions, events to the driving thread.

mod client_tests;
mod desk;
mod errands;
mod listen;
mod objects;
mod service;
mod spans;
mod underway;

use std::{
    cell::RefCell,
    num::NonZeroUsize,
    sync::{
        Arc, OnceLock,
        atomic::AtomicBool,
        mpsc::{SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use fltk_core::{
    ids::{ClientId, Round},
    model_state::ModelState,
    seed::Seed,
};
use fltk_fed::{
    BoxError,
    client::{ClientStates, Evaluator},
    drive::{Answer, Observer, RunError, Transport, TransportError, Wait, drive},
    round::{
        EvaluationOrder, Event, Federation, LossOrder, MODELS_HELD_MAX, ProtocolError, Record, SettingsDigest, Setup, Timestamp, TrainOrder,
    },
    transport::{
        inbox::Inbox,
        scope::{RaiseOnDrop, spawn},
        simulated::Simulated,
        worker::{Order, evaluate},
    },
};
use tokio::sync::mpsc;

use self::{
    client_tests::AtClients,
    desk::{Desk, Input, Learners},
    errands::{AtNodes, initial_model},
};
use crate::{
    client_tests::ClientTests,
    hub::{Figures, Joined, Lost, NodeId, Refused},
    metrics::{Clock, Metrics, Phase, Timed},
    object::Content,
    pki::Folder,
    wire::{errand::PythonJob, order::Key},
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
    /// The part of the job that nodes train with if the net is a module in Python.
    pub python: Option<PythonJob>,
    /// The part of the job that a node trains with that has a module of its own in place of the net, whose tensors the federator fills in; or the reason why none
    /// may take part, for people.
    pub twin: Result<PythonJob, String>,
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

/// A federation that begins once a node has made its model: its net is a module in Python, which only nodes compute with.
pub struct AtNodesOnly<'a> {
    /// The settings of the rounds.
    pub setup: &'a Setup,
    /// The root seed, with which the model is made.
    pub seed: Seed,
    /// The maker of the federation, which gets the model and the name of the node that made it.
    pub begin: &'a mut dyn FnMut(ModelState, &str) -> Result<Federation, BoxError>,
    /// Raised if a model couldn't be evaluated because of the code or the settings.
    pub failed_of_settings: &'a AtomicBool,
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
        self.run_from(Beginning::Here(Box::new(federation), evaluator), stop, observer)
    }

    /// Does the same without a test set: clients that have data of their own evaluate on their test sets, and `samples_max` samples of each count at most.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_tested_by_clients(
        self,
        federation: Federation,
        samples_max: Option<u64>,
        stop: &AtomicBool,
        observer: &mut Observer<'_>,
    ) -> Result<Arc<ModelState>, RunError> {
        self.run_from(Beginning::TestedByClients(Box::new(federation), samples_max), stop, observer)
    }

    /// Does the same with a net that only nodes compute with: one of them makes the model, and they evaluate.
    ///
    /// # Errors
    /// As [`run`](Self::run); or if no node can make the model, or `begin` fails.
    pub fn run_at_nodes(
        self,
        federation: AtNodesOnly<'_>,
        stop: &AtomicBool,
        observer: &mut Observer<'_>,
    ) -> Result<Arc<ModelState>, RunError> {
        self.run_from(Beginning::AtNodes(federation), stop, observer)
    }

    fn run_from(self, beginning: Beginning<'_>, stop: &AtomicBool, observer: &mut Observer<'_>) -> Result<Arc<ModelState>, RunError> {
        // Sessions mostly wait; two threads encrypt, and check digests.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("fed-network").enable_all().build();
        let runtime = runtime.map_err(RunError::Thread)?;
        let (inputs, for_hub) = mpsc::channel(INPUTS_MAX);
        let (events, answers) = channel();
        let (to_evaluator, evaluations) = sync_channel(2 * MODELS_HELD_MAX);
        let (over, ended) = (AtomicBool::new(false), Arc::new(OnceLock::new()));
        let Self { mut job, listener, limits, folder, states, report, is_of_settings, metrics } = self;
        let metrics = &*metrics;
        let is_tested_by_clients = matches!(beginning, Beginning::TestedByClients(..));
        let layout = match &beginning {
            Beginning::Here(federation, _) | Beginning::TestedByClients(federation, _) => {
                federation.first_model().map(|model| Arc::clone(&model.layout)).unwrap_or_default()
            }
            // It comes with the model.
            Beginning::AtNodes(_) => Arc::default(),
        };
        if let Ok(twin) = &mut job.twin {
            twin.layout = Arc::clone(&layout);
        }
        let (ahead, evaluator): (Ahead<'_>, Box<dyn Evaluator + '_>) = match beginning {
            Beginning::Here(federation, evaluator) => (Ahead::Federation(federation), evaluator),
            Beginning::TestedByClients(federation, samples_max) => {
                (Ahead::Federation(federation), Box::new(AtClients { inputs: inputs.clone(), samples_max }))
            }
            Beginning::AtNodes(at_nodes) => {
                let (inputs, failed_of_settings) = (inputs.clone(), at_nodes.failed_of_settings);
                (Ahead::Model(at_nodes), Box::new(AtNodes { inputs, failed_of_settings }))
            }
        };
        let evaluator = Box::new(Timed { evaluator, metrics });
        let is_virtual = ahead.setup().fleet().is_some();
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
            spawn(scope, "fed-evaluator".to_owned(), move || {
                evaluate(evaluator, &evaluations, over, &mut |event| to_driver.send(event).is_ok())
            })?;
            let learners = Learners { report, is_of_settings, metrics };
            let mut desk = Desk::new(limits, job.settings, layout, states, learners, events, ahead.setup());
            if is_tested_by_clients {
                let setup = ahead.setup();
                desk = desk.with_tests_at_clients(ClientTests::new(setup.num_wanted(), job.clients.len(), limits.silence));
            }
            spawn(scope, "fed-hub".to_owned(), move || desk.run(for_hub))?;
            let service = service::Service::new(job, limits, inputs.clone(), folder, Arc::clone(&ended)).map_err(RunError::Thread)?;
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
            clock.borrow_mut().turn(Phase::Waiting);
            let federation = ahead.federation(&network.inputs, stop);
            clock.borrow_mut().turn(Phase::Combining);
            let outcome = federation.and_then(|federation| match Simulated::of(&federation, &mut network, limits.workers.get()) {
                Some(mut simulated) => drive(federation, &mut simulated, &mut recorded),
                None => drive(federation, &mut network, &mut recorded),
            });
            let text = match &outcome {
                Ok(_) => Some(COMPLETE.to_owned()),
                Err(RunError::Stopped { .. }) => None,
                Err(error) => Some(error.to_string()),
            };
            if let Some(text) = &text {
                // It is set once.
                let _ = ended.set(text.clone());
            }
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

/// The beginning of a run.
enum Beginning<'a> {
    Here(Box<Federation>, Box<dyn Evaluator + 'a>),
    /// With the most samples that count of a client.
    TestedByClients(Box<Federation>, Option<u64>),
    AtNodes(AtNodesOnly<'a>),
}

/// A federation, or what it will begin with.
enum Ahead<'a> {
    Federation(Box<Federation>),
    Model(AtNodesOnly<'a>),
}

impl Ahead<'_> {
    fn setup(&self) -> &Setup {
        match self {
            Self::Federation(federation) => federation.setup(),
            Self::Model(at_nodes) => at_nodes.setup,
        }
    }

    /// Returns the federation, once a node has made its model if it needs one.
    fn federation(self, inputs: &mpsc::Sender<Input>, stop: &AtomicBool) -> Result<Federation, RunError> {
        match self {
            Self::Federation(federation) => Ok(*federation),
            Self::Model(at_nodes) => {
                let (state, by) = initial_model(inputs, at_nodes.seed, stop)?;
                (at_nodes.begin)(state, &by).map_err(RunError::Observer)
            }
        }
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
