//! What goes into the state machine and what comes out of it.

use std::{sync::Arc, time::Duration};

use fltk_core::{
    client_terms::{ClientTerms, Extras},
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    model_state::ModelState,
    schedule::LearningRate,
    seed::Seed,
    server_state::ServerState,
};

use super::{Failure, ProtocolError};

/// A moment, as time since an origin that the caller chose. It ends up in records only and never decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub Duration);

impl Timestamp {
    /// Seconds from `earlier` to this; 0 where the caller's clock went backwards.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0).as_secs_f64()
    }
}

/// An order to one client: train on your samples, starting from this state. It says all that there is to know; beside it a trainer has the experiment's
/// net, data and optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOrder {
    /// The round.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The root seed, which all that a client draws is derived from, by client and round.
    pub seed: Seed,
    /// The global model to start from; one value shared by the whole cohort.
    pub state: Arc<ModelState>,
    /// What the round asks of each of its clients; one value shared by the whole cohort.
    pub terms: Arc<ClientTerms>,
}

/// An order to evaluate a global model over the whole test set.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationOrder {
    /// The round whose result it is; 0 for the initial model.
    pub round: Round,
    /// The global model.
    pub state: Arc<ModelState>,
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
    /// Over its local epochs; the loss is 0 where there was no step.
    pub train: TrainSummary,
    /// What the order's terms ask for beside the model.
    pub extras: Extras,
    /// Wall clock of local training, in seconds. A transport that measures it itself overwrites it.
    pub seconds: f64,
}

impl ClientUpdate {
    /// The answer to `order`, with no time measured yet.
    #[must_use]
    pub fn answer(order: &TrainOrder, state: ModelState, train: TrainSummary, extras: Extras) -> Self {
        Self { round: order.round, client: order.client, state, train, extras, seconds: 0.0 }
    }
}

/// Something that happened, told to [`Federation::step`](super::Federation::step).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The caller is ready to carry out actions. First, and once.
    Started,
    /// A client answered.
    ClientTrained(ClientUpdate),
    /// A client can't answer.
    ClientFailed {
        /// The round of its order.
        round: Round,
        /// The client.
        client: ClientId,
        /// Why, for a person.
        reason: String,
    },
    /// A global model was evaluated.
    Evaluated {
        /// The round of the order.
        round: Round,
        /// The result.
        evaluation: Evaluation,
        /// Wall clock of the evaluation.
        seconds: f64,
    },
    /// A global model can't be evaluated.
    EvaluationFailed {
        /// The round of the order.
        round: Round,
        /// Why, for a person.
        reason: String,
    },
    /// The time that the caller gave the clients of a round is over.
    DeadlinePassed {
        /// The round. One that is complete already is refused like any other late message, so a caller needn't cancel timers.
        round: Round,
    },
}

/// Something for the caller to do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Have a client train; answer with [`Event::ClientTrained`] or [`Event::ClientFailed`].
    Train(TrainOrder),
    /// Have a model evaluated; answer with [`Event::Evaluated`] or [`Event::EvaluationFailed`].
    Evaluate(EvaluationOrder),
    /// Write something down.
    Record(Record),
    /// Stop: the run failed. Nothing follows.
    Fail(Failure),
}

/// Something to be written down. Apart from the measured seconds, the sequence of records of a run depends on its setup alone, except
/// that records of clients and those of rounds are in order each for themselves, not between each other.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A client's update was taken into its round. Ascending by client within a round.
    ClientTrained(ClientRecord),
    /// A round is aggregated and, where due, evaluated. Ascending by round, from 0.
    RoundEnded(RoundRecord),
    /// A checkpoint is due. It comes after the [`Record::RoundEnded`] of its round, so that whatever a run resumed from a checkpoint doesn't do
    /// again has been recorded.
    Checkpoint {
        /// The round after which it is taken.
        round: Round,
        /// The global model after it.
        state: Arc<ModelState>,
        /// What the strategy remembers after it.
        server: Arc<ServerState>,
        /// Step size of the round.
        learning_rate: f64,
    },
    /// An answer was refused; it changed nothing. The machine itself never says so: the loop that drives it does, and nothing about results depends on it.
    Refused {
        /// Why.
        reason: ProtocolError,
        /// Answers refused since this process began the run, this one included.
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
    /// Over its local epochs.
    pub train: TrainSummary,
    /// Of local training.
    pub seconds: f64,
}

/// One round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundRecord {
    /// Counted from 1; 0 is the evaluation of the initial model.
    pub round: Round,
    /// The clients that took part, ascending.
    pub clients: Vec<ClientId>,
    /// Sums over the clients and their mean loss weighted by the samples trained on; absent for round 0.
    pub train: Option<TrainSummary>,
    /// Step size of its clients.
    pub learning_rate: LearningRate,
    /// Of the global model over the whole test set; absent where `evaluate_every` skips it.
    pub test: Option<Evaluation>,
    /// From the moment the orders went out to the last answer.
    pub train_seconds: f64,
    /// Of the evaluation; 0 where there was none.
    pub test_seconds: f64,
}
