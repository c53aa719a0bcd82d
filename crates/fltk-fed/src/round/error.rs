//! Why a message is refused, and why a run fails.

use fltk_core::{
    ids::{ClientId, Round},
    server_state::WrongLength,
};

use crate::state_check::StateError;

/// A message that doesn't belong. It changed nothing: the caller may drop it and go on, or give up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// Something came before [`Event::Started`](super::Event::Started).
    #[error("the federation has not been started")]
    NotStarted,
    /// It was started twice.
    #[error("the federation has been started already")]
    AlreadyStarted,
    /// The run finished or failed.
    #[error("the federation is over")]
    Over,
    /// A message for a round that is complete: it came too late.
    #[error("a message for round `{round}` came too late: it is complete, and round `{current}` was the last to begin")]
    PastRound {
        /// Of the message.
        round: Round,
        /// The last one begun.
        current: Round,
    },
    /// A message for a round that hasn't begun.
    #[error("a message for round `{round}` came too early: round `{current}` was the last to begin")]
    FutureRound {
        /// Of the message.
        round: Round,
        /// The last one begun.
        current: Round,
    },
    /// There is no such client.
    #[error("client `{client}` is unknown: there are {num_clients}, counted from 0")]
    UnknownClient {
        /// Of the message.
        client: ClientId,
        /// How many there are.
        num_clients: usize,
    },
    /// The client has no part in this round.
    #[error("client `{client}` was not selected for round `{round}`")]
    NotSelected {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// The client answered before. The first answer counts.
    #[error("client `{client}` has answered in round `{round}` already")]
    Duplicate {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// The update's state isn't one of this model.
    #[error("the update of client `{client}` in round `{round}` can't be used: {source}")]
    State {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// What is wrong with it.
        source: StateError,
    },
    /// A number beside the state makes no sense.
    #[error("the update of client `{client}` in round `{round}` can't be used: its {what} is {value}")]
    Number {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// An evaluation that nobody asked for, or that came before.
    #[error("no evaluation of round `{round}` is awaited")]
    NoEvaluationDue {
        /// Of the message.
        round: Round,
    },
    /// A number of an evaluation makes no sense.
    #[error("the evaluation of round `{round}` can't be used: its {what} is {value}")]
    EvaluationNumber {
        /// The round.
        round: Round,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
}

impl ProtocolError {
    /// What is wrong with the content of an answer, in a sentence that names its client and round already; otherwise the whole error.
    #[must_use]
    pub fn complaint(&self) -> String {
        match self {
            Self::State { source, .. } => format!("its update can't be used: {source}"),
            Self::Number { what, value, .. } => format!("its update can't be used: the {what} is {value}"),
            Self::EvaluationNumber { what, value, .. } => format!("its {what} is {value}"),
            other => other.to_string(),
        }
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// A selected client can't answer, and a round needs all of its clients.
    #[error("client `{client}` failed in round `{round}`: {reason}")]
    Client {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// What it said.
        reason: String,
    },
    /// A global model can't be evaluated.
    #[error("the evaluation of round `{round}` failed: {reason}")]
    Evaluation {
        /// The round.
        round: Round,
        /// What the evaluator said.
        reason: String,
    },
    /// The deadline of a round passed.
    #[error("round `{round}` ran out of time: {} of {num_selected} clients did not answer, the first is `{}`", missing.len(), first(missing))]
    Deadline {
        /// The round.
        round: Round,
        /// Size of the cohort.
        num_selected: usize,
        /// Those without an answer, ascending.
        missing: Vec<ClientId>,
    },
    /// What the strategy remembers doesn't fit the model.
    #[error("round `{round}` can't be aggregated: {source}")]
    Remembered {
        /// The round.
        round: Round,
        /// What doesn't fit.
        source: WrongLength,
    },
    /// The aggregate of usable updates is not usable.
    #[error("the aggregate of round `{round}` can't be used: {source}")]
    Aggregate {
        /// The round.
        round: Round,
        /// What is wrong with it.
        source: StateError,
    },
}

fn first(missing: &[ClientId]) -> String {
    missing.first().map_or_else(|| "none".to_owned(), ToString::to_string)
}
