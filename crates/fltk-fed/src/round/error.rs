//! The reasons why a message is refused, and why a run fails.

use fltk_core::{
    ids::{ClientId, Round},
    server_state::WrongLength,
};

use crate::state_check::StateError;

/// A message that isn't valid in the current state. It changed nothing: the caller may ignore it and continue, or give up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// A message came before [`Event::Started`](super::Event::Started).
    #[error("the federation has not been started")]
    NotStarted,
    /// The federation was started twice.
    #[error("the federation has been started already")]
    AlreadyStarted,
    /// The run finished or failed.
    #[error("the federation is over")]
    Over,
    /// The message is for a round that is complete: it came too late.
    #[error("a message for round `{round}` came too late: it is complete, and round `{current}` was the last to begin")]
    PastRound {
        /// The round of the message.
        round: Round,
        /// The last round that began.
        current: Round,
    },
    /// The message is for a round that hasn't begun.
    #[error("a message for round `{round}` came too early: round `{current}` was the last to begin")]
    FutureRound {
        /// The round of the message.
        round: Round,
        /// The last round that began.
        current: Round,
    },
    /// The client doesn't exist.
    #[error("client `{client}` is unknown: there are {num_clients}, counted from 0")]
    UnknownClient {
        /// The client of the message.
        client: ClientId,
        /// The number of clients.
        num_clients: usize,
    },
    /// The client was not selected for this round.
    #[error("client `{client}` was not selected for round `{round}`")]
    NotSelected {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// The client has already answered. The first answer counts.
    #[error("client `{client}` has answered in round `{round}` already")]
    Duplicate {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// The update's state doesn't match the model.
    #[error("the update of client `{client}` in round `{round}` can't be used: {source}")]
    State {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The problem with it.
        source: StateError,
    },
    /// A number that comes with the state is invalid.
    #[error("the update of client `{client}` in round `{round}` can't be used: its {what} is {value}")]
    Number {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The name of the number.
        what: &'static str,
        /// The value of the number.
        value: f64,
    },
    /// An array that comes with the state is missing, or can't be used.
    #[error("the update of client `{client}` in round `{round}` can't be used: {problem}")]
    Array {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The problem with it.
        problem: String,
    },
    /// The evaluation was not requested, or arrived before.
    #[error("no evaluation of round `{round}` is awaited")]
    NoEvaluationDue {
        /// The round of the message.
        round: Round,
    },
    /// A number of an evaluation is invalid.
    #[error("the evaluation of round `{round}` can't be used: its {what} is {value}")]
    EvaluationNumber {
        /// The round.
        round: Round,
        /// The name of the number.
        what: &'static str,
        /// The value of the number.
        value: f64,
    },
}

impl ProtocolError {
    /// Returns the problem with the content of an answer, for a sentence that already names its client and round; for other errors, the
    /// whole error.
    #[must_use]
    pub fn complaint(&self) -> String {
        match self {
            Self::State { source, .. } => format!("its update can't be used: {source}"),
            Self::Number { what, value, .. } => format!("its update can't be used: the {what} is {value}"),
            Self::Array { problem, .. } => format!("its update can't be used: {problem}"),
            Self::EvaluationNumber { what, value, .. } => format!("its {what} is {value}"),
            other => other.to_string(),
        }
    }
}

/// The reason why a run failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// A selected client can't answer, and a round needs all of its clients.
    #[error("client `{client}` failed in round `{round}`: {reason}")]
    Client {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The client's reason.
        reason: String,
    },
    /// A global model can't be evaluated.
    #[error("the evaluation of round `{round}` failed: {reason}")]
    Evaluation {
        /// The round.
        round: Round,
        /// The evaluator's reason.
        reason: String,
    },
    /// The deadline of a round passed.
    #[error("round `{round}` ran out of time: {} of {num_selected} clients did not answer, the first is `{}`", missing.len(), first(missing))]
    Deadline {
        /// The round.
        round: Round,
        /// The size of the cohort.
        num_selected: usize,
        /// The clients that did not answer, ascending.
        missing: Vec<ClientId>,
    },
    /// The strategy's state doesn't fit the model.
    #[error("round `{round}` can't be aggregated: {source}")]
    Remembered {
        /// The round.
        round: Round,
        /// The mismatch.
        source: WrongLength,
    },
    /// The aggregate of usable updates is not usable.
    #[error("the aggregate of round `{round}` can't be used: {source}")]
    Aggregate {
        /// The round.
        round: Round,
        /// The problem with it.
        source: StateError,
    },
}

fn first(missing: &[ClientId]) -> String {
    missing.first().map_or_else(|| "none".to_owned(), ToString::to_string)
}
