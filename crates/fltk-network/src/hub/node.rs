//! One node at the federator.

use std::time::Duration;

use fltk_core::ids::ClientId;
use fltk_fed::round::Timestamp;

/// A node as it introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The name, for people.
    pub name: String,
    /// The kind of processor.
    pub processor: String,
    /// The number of clients that it trains at a time; at least 1.
    pub workers: u32,
    /// The client whose data it has; `None` if every node has all data.
    pub own: Option<OwnData>,
}

/// The data of a client that is at its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnData {
    /// The client.
    pub client: ClientId,
    /// The number of samples that the node says it has.
    pub num_samples: u64,
}

impl Joined {
    /// Returns true if the node has the data of this client.
    pub(super) fn trains(&self, client: ClientId) -> bool {
        self.own.is_none_or(|own| own.client == client)
    }
}

/// The figures of a node's work since it joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The updates of it that were brought.
    pub num_updates: u64,
    /// The time between its orders and its answers, summed over them.
    pub busy: Duration,
    /// The bytes of objects that were sent to it.
    pub bytes_sent: u64,
    /// The bytes of updates that were received from it.
    pub bytes_received: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) joined: Joined,
    /// The time of the last message.
    pub(super) heard: Timestamp,
    pub(super) figures: Figures,
}

impl Node {
    pub(super) fn new(joined: Joined, now: Timestamp) -> Self {
        Self { joined, heard: now, figures: Figures::default() }
    }
}
