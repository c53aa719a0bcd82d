//! The loop that drives the state machine: it passes events to the machine, carries out the machine's actions, and passes on records.
//!
//! A [`Transport`] carries orders to clients and answers back. The wall clock is read here, for records and for deadlines: an answer counts at the time
//! at which it is taken in.

use std::{sync::Arc, time::Instant};

use fltk_core::{
    ids::{ClientId, Round},
    model_state::ModelState,
};

use crate::{
    BoxError,
    round::{Action, EvaluationOrder, Event, Failure, Federation, LossOrder, ProtocolError, Record, Timestamp, TrainOrder},
};

/// Carries orders to clients and evaluators, and their answers back.
pub trait Transport {
    /// Sends an order to a client.
    ///
    /// # Errors
    ///
    /// If no worker is left that could carry it out.
    fn train(&mut self, order: TrainOrder) -> Result<(), TransportError>;

    /// Brings the update of a client that is [ready](Event::ClientReady) at another place. A transport whose answers bring updates with them is never asked.
    ///
    /// # Errors
    ///
    /// If the run was stopped.
    fn collect(&mut self, round: Round, client: ClientId) -> Result<(), TransportError> {
        let _ = (round, client);
        Ok(())
    }

    /// Sends an order to measure a loss to a client.
    ///
    /// # Errors
    ///
    /// If no worker is left that could carry it out.
    fn measure(&mut self, order: LossOrder) -> Result<(), TransportError>;

    /// Sends an order to an evaluator.
    ///
    /// # Errors
    ///
    /// If no evaluator is left that could carry it out.
    fn evaluate(&mut self, order: EvaluationOrder) -> Result<(), TransportError>;

    /// Sends the orders that were given. A transport may hold orders back to send several at once; the driver calls this before it records something
    /// or waits.
    fn hand_over(&mut self) {}

    /// Returns the time by the clock of the run: the wall clock, or a simulated one.
    fn now(&self) -> Timestamp;

    /// Waits for the next answer that `wait` asks for; returns `None` once its time has come.
    ///
    /// # Errors
    ///
    /// If the run was stopped, or nobody is left who could answer.
    fn receive(&mut self, wait: Wait) -> Result<Option<Event>, TransportError>;

    /// Learns that the answers of `round` that haven't come are of no use any more: whoever hasn't begun needn't.
    fn revoke(&mut self, round: Round);

    /// Returns the event that follows from the refusal of an answer, if there is one. If no other answer will come, as from a trainer on a
    /// thread of this process, the client or the evaluation has failed; over a network the requested answer may still arrive.
    fn refused(&mut self, answer: Answer, reason: &ProtocolError) -> Option<Event>;
}

/// The answers and the time that a driver waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// The time until which it waits; `None` for no limit.
    pub until: Option<Timestamp>,
    /// True if it waits for evaluations alone. Time must not go on meanwhile if it is simulated.
    pub only_evaluations: bool,
}

/// The order that an event answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An order to train.
    Training {
        /// The round that the answer names.
        round: Round,
        /// The client that the answer names.
        client: ClientId,
    },
    /// An order to measure a loss.
    Loss {
        /// The round that the answer names.
        round: Round,
        /// The client that the answer names.
        client: ClientId,
    },
    /// An order to evaluate.
    Evaluation {
        /// The round that the answer names.
        round: Round,
    },
}

impl Answer {
    /// Returns the event that follows if the order can't be carried out.
    #[must_use]
    pub fn failed(self, reason: String) -> Event {
        match self {
            Self::Training { round, client } => Event::ClientFailed { round, client, reason },
            Self::Loss { round, client } => Event::LossFailed { round, client, reason },
            Self::Evaluation { round } => Event::EvaluationFailed { round, reason },
        }
    }

    /// Returns the order that `event` answers; `None` for events that answer none.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::ClientTrained(update) => Some(Self::Training { round: update.round, client: update.client }),
            Event::ClientReady { round, client } | Event::ClientFailed { round, client, .. } => {
                Some(Self::Training { round: *round, client: *client })
            }
            Event::LossMeasured { round, client, .. } | Event::LossFailed { round, client, .. } => {
                Some(Self::Loss { round: *round, client: *client })
            }
            Event::Evaluated { round, .. } | Event::ClientsTested { round, .. } | Event::EvaluationFailed { round, .. } => {
                Some(Self::Evaluation { round: *round })
            }
            Event::Started | Event::Awoke | Event::DeadlinePassed { .. } | Event::ClientCame { .. } | Event::ClientLeft { .. } => None,
        }
    }
}

/// The reason why no further order or answer can be carried.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The run was asked to stop.
    #[error("stopped")]
    Stopped,
    /// Every worker ended while work was left.
    #[error("the workers ended before the run did")]
    Abandoned,
}

/// The reason why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run was asked to stop.
    #[error("stopped; the last round recorded is {}", last_recorded.map_or_else(|| "none".to_owned(), |round| format!("`{round}`")))]
    Stopped {
        /// The last round that was passed to the observer.
        last_recorded: Option<Round>,
    },
    /// A client, an evaluation or an aggregate failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The machine was driven in an invalid way.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A worker could not create its trainer.
    #[error("worker {worker} could not start: {reason}")]
    Worker {
        /// The index of the worker, from 0.
        worker: usize,
        /// The reason.
        reason: String,
    },
    /// Nobody could make the model with which the run begins.
    #[error("the initial model can't be made: {reason}")]
    Initial {
        /// The reason.
        reason: String,
        /// True if the code of the net or the settings are the cause.
        is_of_settings: bool,
    },
    /// A thread could not be started.
    #[error("could not start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// Every worker ended while work was left.
    #[error("the workers ended before the run did")]
    Abandoned,
    /// The observer failed, so records can't be written.
    #[error("a record could not be written: {0}")]
    Observer(#[source] BoxError),
}

/// A callback that receives every record, in order.
pub type Observer<'a> = dyn FnMut(&Record) -> Result<(), BoxError> + 'a;

/// Drives `federation` to its end over `transport`, and returns the final global model. `observer` is called with every record, in order,
/// while clients continue to work.
///
/// An answer that the machine refuses (late, duplicate, malformed) changes nothing: the observer receives it as [`Record::Refused`], and
/// the run continues.
///
/// # Errors
///
/// If a client, an evaluation or the observer failed, or the transport ended.
pub fn drive(federation: Federation, transport: &mut dyn Transport, observer: &mut Observer<'_>) -> Result<Arc<ModelState>, RunError> {
    let mut driver = Driver { federation, transport, observer, origin: Instant::now(), last_recorded: None, num_refused: 0 };
    let mut event = Event::Started;
    loop {
        if let Some(state) = driver.take_in(event)? {
            return Ok(state);
        }
        event = driver.next_event()?;
    }
}

struct Driver<'a, 'b> {
    federation: Federation,
    transport: &'a mut dyn Transport,
    observer: &'a mut Observer<'b>,
    /// The origin of the wall clock's time in records.
    origin: Instant,
    /// The last recorded round, for the error that says how far the run got.
    last_recorded: Option<Round>,
    num_refused: u64,
}

impl Driver<'_, '_> {
    /// Passes an event to the machine and carries out its actions; returns the final model if that was the end.
    fn take_in(&mut self, event: Event) -> Result<Option<Arc<ModelState>>, RunError> {
        let answer = Answer::of(&event);
        let (reason, answer) = match (self.step(event), answer) {
            (Ok(actions), _) => return self.carry_out(actions),
            (Err(reason), Some(answer)) => (reason, answer),
            (Err(reason), None) => return Err(reason.into()),
        };
        let follows = self.transport.refused(answer, &reason);
        self.refused(reason)?;
        let Some(event) = follows else { return Ok(None) };
        // This happens once: if the event that follows from a refusal is refused itself, nothing follows from that.
        match self.step(event) {
            Ok(actions) => self.carry_out(actions),
            Err(reason) => self.refused(reason).map(|()| None),
        }
    }

    /// Waits for the next answer, or for the deadline.
    fn next_event(&mut self) -> Result<Event, RunError> {
        self.transport.hand_over();
        loop {
            let (deadline, wake) = (self.federation.deadline(), self.federation.wake());
            let until = deadline.map(|(_, at)| at).into_iter().chain(wake).min();
            let wait = Wait { until, only_evaluations: self.federation.is_held() };
            match (self.transport.receive(wait).map_err(|error| self.ended(error))?, deadline, wake) {
                (Some(event), ..) => return Ok(event),
                (None, _, Some(_)) => return Ok(Event::Awoke),
                (None, Some((round, _)), None) => return Ok(Event::DeadlinePassed { round }),
                (None, None, None) => {}
            }
        }
    }

    fn step(&mut self, event: Event) -> Result<Vec<Action>, ProtocolError> {
        self.federation.set_wall_clock(Timestamp(self.origin.elapsed()));
        self.federation.step(self.transport.now(), event)
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> Result<Option<Arc<ModelState>>, RunError> {
        for action in actions {
            match action {
                Action::Train(order) => self.transport.train(order).map_err(|error| self.ended(error))?,
                Action::Collect { round, client } => self.transport.collect(round, client).map_err(|error| self.ended(error))?,
                Action::Measure(order) => self.transport.measure(order).map_err(|error| self.ended(error))?,
                Action::Evaluate(order) => self.transport.evaluate(order).map_err(|error| self.ended(error))?,
                Action::Revoke { round } => self.transport.revoke(round),
                Action::Fail(failure) => return Err(failure.into()),
                Action::Record(record) => {
                    // Clients train while the record is written.
                    self.transport.hand_over();
                    self.record(&record)?;
                    match record {
                        Record::RoundEnded(record) => self.last_recorded = Some(record.round),
                        Record::Finished { state } => return Ok(Some(state)),
                        Record::ClientTrained(_)
                        | Record::ClientAbsent(_)
                        | Record::ClientTested(_)
                        | Record::Checkpoint { .. }
                        | Record::Refused { .. } => {}
                    }
                }
            }
        }
        Ok(None)
    }

    fn refused(&mut self, reason: ProtocolError) -> Result<(), RunError> {
        self.num_refused += 1;
        self.record(&Record::Refused { reason, num_refused: self.num_refused })
    }

    fn record(&mut self, record: &Record) -> Result<(), RunError> {
        (self.observer)(record).map_err(RunError::Observer)
    }

    fn ended(&self, error: TransportError) -> RunError {
        match error {
            TransportError::Stopped => RunError::Stopped { last_recorded: self.last_recorded },
            TransportError::Abandoned => RunError::Abandoned,
        }
    }
}
