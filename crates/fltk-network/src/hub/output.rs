//! The decisions of a hub, with their reasons.

use std::{fmt, time::Duration};

use fltk_fed::{round::Event, transport::worker::Order};

use super::{Figures, Joined};
use crate::wire::{order::Key, update::ReadyMessage};

/// The identity of a node: random, and the same as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub [u8; 16]);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An action to carry out, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Give this work to the node, as this attempt.
    Give {
        /// The node.
        node: NodeId,
        /// The order.
        order: Order,
        /// The attempt.
        attempt: u32,
    },
    /// Ask the node for the update of this attempt.
    Collect {
        /// The node.
        node: NodeId,
        /// The message that said that it is ready.
        ready: Box<ReadyMessage>,
    },
    /// Tell the node that nobody needs its answer.
    Release {
        /// The node.
        node: NodeId,
        /// The work.
        key: Key,
        /// The attempt.
        attempt: u32,
    },
    /// Pass this event to the round.
    Event(Event),
    /// End the session of a node.
    Close {
        /// The node.
        node: NodeId,
        /// Its introduction.
        joined: Joined,
        /// The figures of its work since it joined.
        figures: Figures,
        /// The reason.
        reason: Lost,
    },
    /// Nobody works on this any more: what was kept for it can go.
    Over(Key),
    /// Count a message that was refused, and say why.
    Refused {
        /// The node that sent it.
        node: NodeId,
        /// The reason.
        reason: Refused,
    },
}

/// The reason why a node is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The connection ended.
    #[error("its connection ended")]
    Disconnected,
    /// Nothing was heard of it for too long.
    #[error("nothing was heard of it for {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// The node has another connection now.
    #[error("it came back on another connection")]
    Replaced,
    /// The node sent something that no node sends.
    #[error("it sent what no node sends")]
    Misbehaved,
    /// Another node has its client's data now.
    #[error("another node trains its client now")]
    Superseded,
    /// The federator ends, and the run doesn't.
    #[error("the federator was interrupted")]
    Interrupted,
}

/// The reason why a message changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// Nobody waits for it: it is late, for another round, or was never ordered.
    #[error("nobody waits for the answer of {0}")]
    Unwanted(Key),
    /// The same answer was there before.
    #[error("the answer of {0} is there already")]
    Duplicate(Key),
    /// The work was given to another node.
    #[error("{0} was never ordered from this node")]
    NotGiven(Key),
    /// The update can't be used.
    #[error("the update of {0} can't be used: {1}")]
    Damaged(Key, String),
    /// The message can't be understood.
    #[error("a message can't be understood: {0}")]
    Malformed(String),
}

impl Lost {
    /// Each reason in one word.
    pub const WORDS: [&str; 6] = ["disconnected", "silent", "replaced", "misbehaved", "superseded", "interrupted"];

    /// Returns the reason in one word, for a metric.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Silent(_) => "silent",
            Self::Replaced => "replaced",
            Self::Misbehaved => "misbehaved",
            Self::Superseded => "superseded",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Refused {
    /// Each reason in one word.
    pub const WORDS: [&str; 5] = ["unwanted", "duplicate", "not_given", "damaged", "malformed"];

    /// Returns the reason in one word, for a metric.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unwanted(_) => "unwanted",
            Self::Duplicate(_) => "duplicate",
            Self::NotGiven(_) => "not_given",
            Self::Damaged(..) => "damaged",
            Self::Malformed(_) => "malformed",
        }
    }
}
