//! The reasons why a message is refused, and why a run fails.

use fltk_core::{
    attendance::Absence,
    ids::{ClientId, Round},
    server_state::WrongLength,
};

use crate::{state_check::StateError, strategy::OwnFailure};

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
    /// The message is one of training, and the clients of the round aren't selected yet.
    #[error("a message of training in round `{round}` came too early: its clients aren't selected yet")]
    NotTraining {
        /// The round.
        round: Round,
    },
    /// The loss was of use before the clients of its round were selected, and they are.
    #[error("the loss of client `{client}` in round `{round}` came too late: the clients of the round are selected")]
    LossPast {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
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
    /// The client was selected, and it is decided that its update doesn't count.
    #[error("client `{client}` doesn't count in round `{round}`: it {}", absence.words())]
    Absent {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The reason.
        absence: Absence,
    },
    /// The answer came after the round's deadline.
    #[error("the answer of client `{client}` in round `{round}` came after the deadline")]
    Late {
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
    /// Evaluations of clients aren't ascending by client, or one is there twice.
    #[error("the evaluations of clients after round `{round}` can't be used: that of client `{client}` is out of order")]
    ClientTestOrder {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// A number of a client's evaluation on its own samples is invalid.
    #[error("the evaluation of client `{client}` after round `{round}` can't be used: its {what} is {value}")]
    ClientTestNumber {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The name of the number.
        what: &'static str,
        /// The value of the number.
        value: f64,
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
    /// Returns true if the answer came too late to count, and nothing else is wrong with it.
    #[must_use]
    pub const fn is_lateness(&self) -> bool {
        matches!(self, Self::PastRound { .. } | Self::LossPast { .. } | Self::Absent { .. } | Self::Late { .. } | Self::Over)
    }

    /// Returns the problem with the content of an answer, for a sentence that already names its client and round; for other errors, the
    /// whole error.
    #[must_use]
    pub fn complaint(&self) -> String {
        match self {
            Self::State { source, .. } => format!("its update can't be used: {source}"),
            Self::Number { what, value, .. } => format!("its update can't be used: the {what} is {value}"),
            Self::Array { problem, .. } => format!("its update can't be used: {problem}"),
            Self::EvaluationNumber { what, value, .. } => format!("its {what} is {value}"),
            Self::ClientTestNumber { client, what, value, .. } => format!("on the samples of client `{client}`, its {what} is {value}"),
            other => other.to_string(),
        }
    }
}

/// The reason why a run failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// A selected client can't answer, and the round needs it.
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
    /// Too few clients are left whose updates may count.
    #[error(
        "round `{round}` can't have the {min_updates} update{} that it needs, at most {at_most}: of {num_selected} selected clients {}; \
         hint: {}",
        if *min_updates == 1 { "" } else { "s" },
        told(absences),
        more_updates(absences)
    )]
    TooFewUpdates {
        /// The round.
        round: Round,
        /// The number of updates that a round needs.
        min_updates: u32,
        /// The number of updates that count or may still come.
        at_most: u32,
        /// The size of the cohort.
        num_selected: usize,
        /// The number of clients that don't count, by reason, with what one of them said.
        absences: Vec<(Absence, u32, Option<String>)>,
    },
    /// Nobody is left who could fill the buffer of an asynchronous strategy.
    #[error(
        "round `{round}` can't have the {buffer} update{} that a model needs, at most {at_most}: {}; \
         hint: lower `buffer_size`, or have more clients that answer",
        if *buffer == 1 { "" } else { "s" },
        if absences.is_empty() { "nobody else is there, now or later".to_owned() } else { format!("{}, and nobody else is there", told(absences)) }
    )]
    Unfilled {
        /// The round.
        round: Round,
        /// The number of updates that a model needs.
        buffer: u32,
        /// The number of updates that are there.
        at_most: u32,
        /// The number of clients that don't count, by reason, with what one of them said.
        absences: Vec<(Absence, u32, Option<String>)>,
    },
    /// Never enough clients are there at once.
    #[error(
        "round `{round}` needs {needed} clients, and so many of {num_clients} are never there at once; \
         hint: lower `clients_per_round` (or `over_select`, or the selection's `candidates`), or have clients there for longer in `simulation.availability`"
    )]
    NeverThere {
        /// The round.
        round: Round,
        /// The number of clients that it needs.
        needed: usize,
        /// The number of clients with samples.
        num_clients: usize,
    },
    /// The record of an earlier start doesn't fit: it has a client in a round that was not selected for it.
    #[error("round `{round}` can't be repeated: client `{client}` has a record of it, and isn't selected for it")]
    Unrepeatable {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
    },
    /// The strategy's state doesn't fit the model.
    #[error("round `{round}` can't be aggregated: {source}")]
    Remembered {
        /// The round.
        round: Round,
        /// The mismatch.
        source: WrongLength,
    },
    /// A strategy of the user's own has no answer.
    #[error("the strategy failed in round `{round}`: {reason}")]
    Strategy {
        /// The round.
        round: Round,
        /// The reason.
        reason: OwnFailure,
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

/// Says what would give a round more updates.
fn more_updates(absences: &[(Absence, u32, Option<String>)]) -> &'static str {
    let is_there = |absence| absences.iter().any(|(found, ..)| *found == absence);
    if is_there(Absence::Late) || (is_there(Absence::Unmeasured) && !is_there(Absence::Failed)) {
        "raise `deadline`, lower `min_updates`, or select more clients"
    } else {
        "lower `min_updates`, or select more clients"
    }
}

/// Lists who doesn't count, such as "3 dropped out, 1 failed (client `4`: out of memory)".
fn told(absences: &[(Absence, u32, Option<String>)]) -> String {
    if absences.is_empty() {
        return "nobody more was there".to_owned();
    }
    let parts: Vec<String> = absences
        .iter()
        .map(|(absence, count, reason)| {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
            format!("{}{reason}", absence.counted((*count).into()))
        })
        .collect();
    parts.join(", ")
}

fn first(missing: &[ClientId]) -> String {
    missing.first().map_or_else(|| "none".to_owned(), ToString::to_string)
}
