//! The clients that counted in each federated round, and those that didn't, with the reasons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, Round};

/// The reason why the update of a selected client doesn't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// A drop-out from this round, as ordered.
    DroppedOut,
    /// A crash in this round or an earlier one, as ordered.
    Crashed,
    /// A failure, or an update that can't be used.
    Failed,
    /// No answer before the round's deadline.
    Late,
    /// No loss of the current model, as a candidate of a selection that goes by it.
    Unmeasured,
    /// Enough others had answered before.
    Surplus,
    /// Not there when the round began, so that it couldn't be selected: its data is its own, and so was its node.
    Away,
}

impl Absence {
    /// Returns the reason in words, to follow "the client".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::DroppedOut => "dropped out",
            Self::Crashed => "crashed",
            Self::Failed => "failed",
            Self::Late => "was late",
            Self::Unmeasured => "measured no loss",
            Self::Surplus => "was not needed",
            Self::Away => "was away",
        }
    }

    /// Returns the reason in words for so many clients, such as "3 were late".
    #[must_use]
    pub fn counted(self, count: u64) -> String {
        match self.words().strip_prefix("was ") {
            Some(rest) if count != 1 => format!("{count} were {rest}"),
            _ => format!("{count} {}", self.words()),
        }
    }
}

/// A selected client's part in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attended {
    /// Its update counts.
    Counted {
        /// Under an asynchronous strategy, the number of models that were made since it began.
        staleness: u32,
    },
    /// Its update doesn't count.
    Absent {
        /// The reason.
        absence: Absence,
        /// The client's own reason, if it gave one.
        reason: Option<String>,
    },
}

/// The clients that counted in recorded rounds, and those that didn't. A wall clock may have decided that, so a run that repeats such a round takes it
/// from here instead of deciding anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attendance {
    rounds: BTreeMap<Round, BTreeMap<ClientId, Attended>>,
}

impl Attendance {
    /// Notes a client's part in a round.
    pub fn note(&mut self, round: Round, client: ClientId, attended: Attended) {
        self.rounds.entry(round).or_default().insert(client, attended);
    }

    /// Returns what is known of a round: the clients whose part is decided.
    #[must_use]
    pub fn of(&self, round: Round) -> Option<&BTreeMap<ClientId, Attended>> {
        self.rounds.get(&round)
    }

    /// Forgets all rounds from `round` on.
    pub fn forget_from(&mut self, round: Round) {
        self.rounds.split_off(&round);
    }
}
