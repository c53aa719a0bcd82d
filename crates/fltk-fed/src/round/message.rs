//! The inputs and outputs of the state machine.

use std::{sync::Arc, time::Duration};

use fltk_core::{
    attendance::Absence,
    client_terms::{Arrays, ClientTerms, Extras},
    client_test::{ClientEvaluation, ClientFigures, ClientTestSummary},
    event::RunEvent,
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    model_state::ModelState,
    schedule::LearningRate,
    seed::Seed,
    server_state::ServerState,
};

use super::{Failure, OtherSettings, ProtocolError, SettingsDigest};
use crate::{compression::Encoded, simulation::Micros};

/// A point in time, relative to an origin that the caller chose. It decides whether an answer comes before a deadline, and who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub Duration);

impl From<Timestamp> for Micros {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0.into()
    }
}

impl From<Micros> for Timestamp {
    fn from(micros: Micros) -> Self {
        Self(micros.into())
    }
}

impl Timestamp {
    /// Returns the time that is `micros` later.
    #[must_use]
    pub fn plus(self, micros: Micros) -> Self {
        Self(self.0.saturating_add(micros.into()))
    }

    /// Returns the seconds from `earlier` to this; 0 if the caller's clock went backwards.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0).as_secs_f64()
    }
}

/// An order to one client: train on your samples, starting from this state. It is complete: in addition to it, a trainer needs only the
/// experiment's net, data and optimizer, whose digest it contains, and the state that the client kept.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOrder {
    /// The round.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The root seed, from which everything that a client draws is derived, by client and round.
    pub seed: Seed,
    /// The global model to start from, shared by the whole cohort.
    pub state: Arc<ModelState>,
    /// The terms of the round for each of its clients, shared by the whole cohort.
    pub terms: Arc<ClientTerms>,
    /// The round whose state the client goes on from, if the terms say that it keeps one: the last in which it took part. `None` if it took
    /// part in none. States of other rounds, such as of an update that was refused, don't count.
    pub kept: Option<Round>,
    /// True if the client is malicious and trains on flipped labels: class `y` of `C` is taken for `C - 1 - y`.
    pub flips_labels: bool,
    /// The time from which on the client works, by the clock of the run. A trainer doesn't need it; a transport that simulates time does.
    pub given: Timestamp,
    /// The digest of the settings that the trainer must have.
    pub settings: SettingsDigest,
}

impl TrainOrder {
    /// Checks that a trainer with these settings may carry out the order. A trainer does that before anything else.
    ///
    /// # Errors
    /// If the order is for other settings.
    pub fn check_settings(&self, own: SettingsDigest) -> Result<(), OtherSettings> {
        self.settings.check(own)
    }
}

/// An order to one client: measure the loss of this state on your training samples, in evaluation mode and without augmentation. The answer is
/// [`Event::LossMeasured`] or [`Event::LossFailed`], never one of training.
#[derive(Clone, Debug, PartialEq)]
pub struct LossOrder {
    /// The round that begins.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The root seed, from which the draw of samples is derived, by client and round.
    pub seed: Seed,
    /// The global model.
    pub state: Arc<ModelState>,
    /// The number of samples to draw; 0 for all that the client has.
    pub num_samples: u32,
    /// The time from which on the client works, by the clock of the run.
    pub given: Timestamp,
    /// The digest of the settings that the trainer must have.
    pub settings: SettingsDigest,
}

impl LossOrder {
    /// Checks that a trainer with these settings may carry out the order. A trainer does that before anything else.
    ///
    /// # Errors
    /// If the order is for other settings.
    pub fn check_settings(&self, own: SettingsDigest) -> Result<(), OtherSettings> {
        self.settings.check(own)
    }
}

/// An order to evaluate a global model, or the models that serve clients.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationOrder {
    /// The round that produced the model; 0 for the initial model.
    pub round: Round,
    /// The global model.
    pub state: Arc<ModelState>,
    /// The samples to evaluate on.
    pub on: TestSamples,
}

/// The samples of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum TestSamples {
    /// The whole test set. The answer is [`Event::Evaluated`].
    TestSet,
    /// Those that each client has kept for itself. The answer is [`Event::ClientsTested`]. Under a strategy whose clients have models of their own
    /// ([`ClientMethod::personal`](crate::strategy::ClientMethod::personal)), it is these that are evaluated.
    OfClients {
        /// The strategy's state after the round. It says from which round each client's state is.
        server: Arc<ServerState>,
    },
}

/// A client's answer to a [`TrainOrder`].
#[derive(Clone, Debug, PartialEq)]
pub struct ClientUpdate {
    /// The round of the order.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The client's model after its local epochs, in the layout of the order's state.
    pub state: ModelState,
    /// The training over the client's local epochs; its loss is absent if no step was taken.
    pub train: TrainSummary,
    /// The extras that the order's terms ask for, in addition to the model.
    pub extras: Extras,
    /// The arrays over the elements of all parameters that the strategy asks for, in addition to the model.
    pub arrays: Arrays,
    /// The model as it travels, if updates are [compressed](crate::compression): `state` is what the other side reads. A transport that sends nothing drops it.
    pub encoded: Option<Box<Encoded>>,
    /// The wall-clock time of local training, in seconds. A transport that measures it itself overwrites it.
    pub seconds: f64,
}

impl ClientUpdate {
    /// Creates the answer to `order`, without arrays and with no time measured yet.
    #[must_use]
    pub fn answer(order: &TrainOrder, state: ModelState, train: TrainSummary, extras: Extras) -> Self {
        Self { round: order.round, client: order.client, state, train, extras, arrays: Arrays::new(), encoded: None, seconds: 0.0 }
    }

    /// Returns the same answer, with nothing to send.
    #[must_use]
    pub fn stays(self) -> Self {
        Self { encoded: None, ..self }
    }

    /// Returns the same answer with these arrays.
    #[must_use]
    pub fn with_arrays(self, arrays: Arrays) -> Self {
        Self { arrays, ..self }
    }
}

/// An event, passed to [`Federation::step`](super::Federation::step).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The caller is ready to carry out actions. This must be the first event, and comes only once.
    Started,
    /// A client has its update ready, at another place: it counts as an answer from now on. Once its turn is near, [`Action::Collect`] asks for it, and
    /// [`Event::ClientTrained`] brings it.
    ClientReady {
        /// The round of its order.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// A client's update is here.
    ClientTrained(ClientUpdate),
    /// A client can't answer.
    ClientFailed {
        /// The round of its order.
        round: Round,
        /// The client.
        client: ClientId,
        /// The reason, for a person.
        reason: String,
    },
    /// A candidate measured the loss of the current model.
    LossMeasured {
        /// The round of its order.
        round: Round,
        /// The client.
        client: ClientId,
        /// The mean over its samples.
        loss: f64,
    },
    /// A candidate can't measure it.
    LossFailed {
        /// The round of its order.
        round: Round,
        /// The client.
        client: ClientId,
        /// The reason, for a person.
        reason: String,
    },
    /// A global model was evaluated.
    Evaluated {
        /// The round of the order.
        round: Round,
        /// The result.
        evaluation: Evaluation,
        /// The wall-clock time of the evaluation, in seconds.
        seconds: f64,
    },
    /// The models that serve clients were evaluated on the clients' own test samples.
    ClientsTested {
        /// The round of the order.
        round: Round,
        /// The results of all clients that have test samples, ascending by client.
        clients: Vec<ClientEvaluation>,
        /// The wall-clock time of all of them, in seconds.
        seconds: f64,
    },
    /// A global model, or a client's, can't be evaluated.
    EvaluationFailed {
        /// The round of the order.
        round: Round,
        /// The reason, for a person.
        reason: String,
    },
    /// A client that has data of its own is there from now on, and may be selected; or says another number of samples than before.
    ClientCame {
        /// The client.
        client: ClientId,
        /// The number of samples that it says it has.
        num_samples: u64,
    },
    /// A client that has data of its own isn't there any more. What it was ordered to do stays as it is, until it fails or is late.
    ClientLeft {
        /// The client.
        client: ClientId,
    },
    /// The [time to wake up](super::Federation::wake) has come: enough clients may be there now.
    Awoke,
    /// The time limit for the clients of a round has passed: the [deadline](super::Federation::deadline) that the settings give, or a limit of
    /// the caller's own. Clients that haven't answered are late.
    DeadlinePassed {
        /// The round. If it is already complete, the event is refused like any other late message, so a caller needn't cancel timers.
        round: Round,
    },
}

/// An action for the caller, to be carried out in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Have a client measure a loss; the answer is [`Event::LossMeasured`] or [`Event::LossFailed`].
    Measure(LossOrder),
    /// Have a client train; the answer is [`Event::ClientTrained`] or [`Event::ClientFailed`].
    Train(TrainOrder),
    /// Bring the update of a client that is [ready](Event::ClientReady); the answer is [`Event::ClientTrained`] or [`Event::ClientFailed`]. In client order, and never more than
    /// a few before it is there, so that memory doesn't depend on the number of clients.
    Collect {
        /// The round of its order.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// Nobody waits any more for the answers of this round that haven't come: they will be refused, so clients needn't begin.
    Revoke {
        /// The round.
        round: Round,
    },
    /// Have models evaluated; the answer is [`Event::Evaluated`], [`Event::ClientsTested`] or [`Event::EvaluationFailed`].
    Evaluate(EvaluationOrder),
    /// Write a record.
    Record(Record),
    /// Stop: the run failed. Nothing follows.
    Fail(Failure),
}

/// A record to be written. Apart from the measured seconds, and from who counted in rounds that a wall clock decided, the records of a run depend
/// on its setup alone. Records of clients and records
/// of rounds are each in a fixed order, but how the two interleave isn't fixed.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A client's update was added to its round. Ascending by client within a round; under asynchronous strategies, by the round in which it began before.
    ClientTrained(ClientRecord),
    /// The update of a selected client doesn't count. In one order with [`Record::ClientTrained`]: once a round has ended, each selected client has
    /// one of both. Candidates that couldn't measure a loss come before all of these.
    ClientAbsent(AbsenceRecord),
    /// A client was tested on samples of its own. Ascending by client, directly before the [`Record::RoundEnded`] of its round.
    ClientTested(ClientTestRecord),
    /// A round is aggregated and, if due, evaluated. Ascending by round, from 0.
    RoundEnded(RoundRecord),
    /// A checkpoint is due. It comes after the [`Record::RoundEnded`] of its round, so that everything that a run resumed from the
    /// checkpoint doesn't repeat has been recorded.
    Checkpoint {
        /// The round after which it is taken.
        round: Round,
        /// The global model after it.
        state: Arc<ModelState>,
        /// The strategy's state after it.
        server: Arc<ServerState>,
        /// The learning rate of the round.
        learning_rate: f64,
    },
    /// An answer was refused; it changed nothing. The machine itself never emits this record: the loop that drives it does, and no result
    /// depends on it.
    Refused {
        /// The reason.
        reason: ProtocolError,
        /// The number of answers refused since this process started the run, including this one.
        num_refused: u64,
    },
    /// The last round was trained, evaluated and recorded. Nothing follows.
    Finished {
        /// The final global model.
        state: Arc<ModelState>,
    },
}

/// One client's part in one round.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRecord {
    /// The round.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The training over the client's local epochs.
    pub train: TrainSummary,
    /// Seconds of local training, of the wall clock.
    pub seconds: f64,
    /// The simulated time of its answer, in seconds since the run began; `None` if time is the wall clock's.
    pub virtual_seconds: Option<f64>,
    /// Under an asynchronous strategy, the number of models that were made since it began.
    pub staleness: Option<u32>,
    /// True if the client is malicious.
    pub malicious: bool,
}

/// One client's test after one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientTestRecord {
    /// The round.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The part of it that may be recorded.
    pub figures: ClientFigures,
}

/// One client that was selected for a round and doesn't count in it.
#[derive(Clone, Debug, PartialEq)]
pub struct AbsenceRecord {
    /// The round.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The reason.
    pub absence: Absence,
    /// The client's own reason, for a person, if it gave one.
    pub reason: Option<String>,
}

/// One round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundRecord {
    /// The round, counted from 1; 0 is the evaluation of the initial model.
    pub round: Round,
    /// The clients whose updates count, ascending.
    pub clients: Vec<ClientId>,
    /// The sums over the clients, and their mean loss weighted by the samples trained on; absent for round 0.
    pub train: Option<TrainSummary>,
    /// The learning rate of its clients.
    pub learning_rate: LearningRate,
    /// The evaluation of the global model over the whole test set; absent if `evaluate_every` skips it.
    pub test: Option<Evaluation>,
    /// The accuracy over all clients on test samples of their own; absent if `client_test_every` skips it, or they have none.
    pub client_test: Option<ClientTestSummary>,
    /// Seconds from sending the orders to the last answer, of the wall clock.
    pub train_seconds: f64,
    /// The simulated time at which the round's model was complete, in seconds since the run began; `None` if time is the wall clock's.
    pub virtual_seconds: Option<f64>,
    /// Seconds of the evaluations; 0 if there was none.
    pub test_seconds: f64,
    /// The bytes of the updates that count, as they are sent; `None` for round 0.
    pub sent_bytes: Option<u64>,
}

impl From<&ClientRecord> for RunEvent {
    /// Returns the event for the run's journal.
    fn from(client: &ClientRecord) -> Self {
        let ClientRecord { round, client, train, seconds, virtual_seconds, staleness, malicious } = *client;
        Self::ClientTrained { round, client, train, seconds, virtual_seconds, staleness, malicious }
    }
}

impl From<&RoundRecord> for RunEvent {
    /// Returns the event for the run's journal.
    fn from(round: &RoundRecord) -> Self {
        Self::RoundEnded {
            round: round.round,
            clients: round.clients.clone(),
            train: round.train,
            learning_rate: round.learning_rate.value,
            test: round.test.clone(),
            client_test: round.client_test,
            train_seconds: round.train_seconds,
            virtual_seconds: round.virtual_seconds,
            test_seconds: round.test_seconds,
            sent_bytes: round.sent_bytes,
        }
    }
}
