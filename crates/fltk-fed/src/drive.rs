//! The loop that drives the round machine: it tells the machine what happened, carries out what the machine says, and hands records on.
//!
//! How orders reach clients and answers come back is a [`Transport`]. The wall clock is read here, for records only.

use std::{sync::Arc, time::Instant};

use fltk_core::{
    ids::{ClientId, Round},
    model_state::ModelState,
};

use crate::{
    BoxError,
    round::{Action, EvaluationOrder, Event, Failure, Federation, ProtocolError, Record, Timestamp, TrainOrder},
};

/// Carries orders to clients and evaluators, and their answers back.
pub trait Transport {
    /// Sends an order to a client.
    ///
    /// # Errors
    ///
    /// Nobody is left who could carry it out.
    fn train(&mut self, order: TrainOrder) -> Result<(), TransportError>;

    /// Sends an order to an evaluator.
    ///
    /// # Errors
    ///
    /// Nobody is left who could carry it out.
    fn evaluate(&mut self, order: EvaluationOrder) -> Result<(), TransportError>;

    /// Waits for the next answer.
    ///
    /// # Errors
    ///
    /// The run was stopped, or nobody is left who could answer.
    fn receive(&mut self) -> Result<Event, TransportError>;

    /// The event that follows from the refusal of an answer, if one does. Where whoever gave the answer won't give another, such as a trainer on a
    /// thread of this process, it has failed; over a network the answer that was asked for may still come.
    fn refused(&mut self, answer: Answer, reason: &ProtocolError) -> Option<Event>;
}

/// What an event answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An order to train.
    Training {
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
    /// The order that `event` answers; `None` for events that answer none.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::ClientTrained(update) => Some(Self::Training { round: update.round, client: update.client }),
            Event::ClientFailed { round, client, .. } => Some(Self::Training { round: *round, client: *client }),
            Event::Evaluated { round, .. } | Event::EvaluationFailed { round, .. } => Some(Self::Evaluation { round: *round }),
            Event::Started | Event::DeadlinePassed { .. } => None,
        }
    }
}

/// Why no further order or answer can be carried.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The run was asked to stop.
    #[error("stopped")]
    Stopped,
    /// Every worker ended though work was left.
    #[error("the workers ended before the run did")]
    Abandoned,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run was asked to stop.
    #[error("stopped; the last round recorded is {}", last_recorded.map_or_else(|| "none".to_owned(), |round| format!("`{round}`")))]
    Stopped {
        /// The last round that the observer was told of.
        last_recorded: Option<Round>,
    },
    /// A client, an evaluation or an aggregate failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The machine was driven in a way that it doesn't allow.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A worker could not make its trainer.
    #[error("worker {worker} could not start: {reason}")]
    Worker {
        /// Its index, from 0.
        worker: usize,
        /// What it said.
        reason: String,
    },
    /// A thread could not be had.
    #[error("could not start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// Every worker ended though work was left.
    #[error("the workers ended before the run did")]
    Abandoned,
    /// The observer failed, so records can't be written.
    #[error("a record could not be written: {0}")]
    Observer(#[source] BoxError),
}

/// Told of every record, in order.
pub type Observer<'a> = dyn FnMut(&Record) -> Result<(), BoxError> + 'a;

/// Drives `federation` to its end over `transport`, and returns the final global model. `observer` is called with every record, in order, while clients go on working.
///
/// An answer that the machine refuses (late, doubled, malformed) changes nothing: it is told to the observer as [`Record::Refused`], and the run goes on.
///
/// # Errors
///
/// A client, an evaluation or the observer failed, or the transport ended.
pub fn drive(federation: Federation, transport: &mut dyn Transport, observer: &mut Observer<'_>) -> Result<Arc<ModelState>, RunError> {
    let mut driver = Driver { federation, transport, observer, origin: Instant::now(), last_recorded: None, num_refused: 0 };
    let mut event = Event::Started;
    loop {
        if let Some(state) = driver.take_in(event)? {
            return Ok(state);
        }
        event = driver.transport.receive().map_err(|error| driver.ended(error))?;
    }
}

struct Driver<'a, 'b> {
    federation: Federation,
    transport: &'a mut dyn Transport,
    observer: &'a mut Observer<'b>,
    /// The origin of timestamps.
    origin: Instant,
    /// For the error that says how far the run got.
    last_recorded: Option<Round>,
    num_refused: u64,
}

impl Driver<'_, '_> {
    /// Tells the machine what happened and does what it says; gives the final model when that was the end.
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
        // Once: what follows from a refusal and is refused itself has no consequence.
        match self.step(event) {
            Ok(actions) => self.carry_out(actions),
            Err(reason) => self.refused(reason).map(|()| None),
        }
    }

    fn step(&mut self, event: Event) -> Result<Vec<Action>, ProtocolError> {
        self.federation.step(Timestamp(self.origin.elapsed()), event)
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> Result<Option<Arc<ModelState>>, RunError> {
        for action in actions {
            match action {
                Action::Train(order) => self.transport.train(order).map_err(|error| self.ended(error))?,
                Action::Evaluate(order) => self.transport.evaluate(order).map_err(|error| self.ended(error))?,
                Action::Fail(failure) => return Err(failure.into()),
                Action::Record(record) => {
                    self.record(&record)?;
                    match record {
                        Record::RoundEnded(record) => self.last_recorded = Some(record.round),
                        Record::Finished { state } => return Ok(Some(state)),
                        Record::ClientTrained(_) | Record::Checkpoint { .. } | Record::Refused { .. } => {}
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
