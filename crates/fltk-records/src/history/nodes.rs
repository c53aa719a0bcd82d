//! The nodes of a federated run over a network.

use std::time::Duration;

use fltk_core::event::RunEvent;
use jiff::Timestamp;
use serde::Serialize;

use crate::files::printable;

/// One node, from when it joined until it left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeStay {
    /// The beginning of its identity, in hex: the same when it comes back.
    pub node: String,
    /// The name of the node.
    pub name: String,
    /// The kind of its processor.
    pub processor: String,
    /// The number of clients that it trains at a time.
    pub workers: u32,
    /// The name of its client; absent unless clients have data of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The number of samples that it said its client has; absent unless clients have data of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_samples: Option<u64>,
    /// The time at which it joined.
    pub joined_at: Timestamp,
    /// The end of its stay; absent while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<NodeEnd>,
}

/// The end of a node's stay, and its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeEnd {
    /// The time at which it left; absent if the federator was killed before it could record that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Timestamp>,
    /// The updates of it that were collected.
    pub num_updates: u64,
    /// The time between its orders and its answers, summed over them, in seconds.
    pub busy_seconds: f64,
    /// The bytes of models and other objects that were sent to it.
    pub bytes_sent: u64,
    /// The bytes of updates that were received from it.
    pub bytes_received: u64,
    /// The reason; absent if the run was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All nodes that ever joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Nodes(Vec<NodeStay>);

impl Nodes {
    pub(super) fn all(&self) -> &[NodeStay] {
        &self.0
    }

    /// Notes that the run begins, or begins again: whoever was there before has lost the federator.
    pub(super) fn begin(&mut self) {
        for stay in self.0.iter_mut().filter(|stay| stay.end.is_none()) {
            let reason = Some("the federator was interrupted".to_owned());
            stay.end = Some(NodeEnd { left_at: None, num_updates: 0, busy_seconds: 0.0, bytes_sent: 0, bytes_received: 0, reason });
        }
    }

    /// Notes that a node joined or left; nothing else changes anything.
    pub(super) fn apply(&mut self, at: Timestamp, event: &RunEvent) {
        match event {
            RunEvent::NodeJoined { node, name, processor, workers, client, num_samples, ago_seconds } => self.0.push(NodeStay {
                client: client.as_deref().map(printable),
                num_samples: *num_samples,
                node: printable(node),
                name: printable(name),
                processor: printable(processor),
                workers: *workers,
                joined_at: before(at, *ago_seconds),
                end: None,
            }),
            RunEvent::NodeLeft { node, num_updates, busy_seconds, bytes_sent, bytes_received, reason, ago_seconds } => {
                let node = printable(node);
                if let Some(stay) = self.0.iter_mut().rev().find(|stay| stay.node == node && stay.end.is_none()) {
                    stay.end = Some(NodeEnd {
                        left_at: Some(before(at, *ago_seconds)),
                        num_updates: *num_updates,
                        busy_seconds: *busy_seconds,
                        bytes_sent: *bytes_sent,
                        bytes_received: *bytes_received,
                        reason: reason.as_deref().map(printable),
                    });
                }
            }
            _ => {}
        }
    }
}
/// Returns the time so many seconds before `at`; `at` itself if they can't be.
fn before(at: Timestamp, seconds: f64) -> Timestamp {
    Duration::try_from_secs_f64(seconds).ok().and_then(|ago| at.checked_sub(ago).ok()).unwrap_or(at)
}
