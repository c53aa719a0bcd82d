//! The spans of a federator's log: a round, and in it each order from a node's getting it to its answer. Lines for programs have their fields.

use std::{collections::BTreeMap, time::Duration};

use fltk_core::ids::Round;
use fltk_fed::round::Timestamp;
use tracing::Span;

use crate::{hub::NodeId, wire::order::Key};

/// The spans that are open.
#[derive(Default)]
pub(super) struct Spans {
    rounds: BTreeMap<Round, Span>,
    orders: BTreeMap<(Key, NodeId), (Span, Timestamp)>,
}

impl Spans {
    /// Begins the span of an order that a node gets.
    pub(super) fn given(&mut self, now: Timestamp, key: Key, attempt: u32, node: &str, id: NodeId) {
        let round = self.rounds.entry(key.round).or_insert_with(|| tracing::debug_span!("round", round = key.round.0));
        let span = tracing::debug_span!(parent: &*round, "order", client = key.client.0, attempt, node);
        span.in_scope(|| tracing::trace!("{key} is ordered from node `{node}`"));
        self.orders.insert((key, id), (span, now));
    }

    /// Ends the span of an order that a node has answered, or won't answer any more.
    pub(super) fn answered(&mut self, now: Timestamp, key: Key, id: NodeId, how: &str) {
        let Some((span, began)) = self.orders.remove(&(key, id)) else { return };
        let seconds = rounded(now.0.saturating_sub(began.0));
        span.in_scope(|| tracing::trace!(seconds, "{key} {how}, after {seconds} s"));
    }

    /// Ends the spans of some work.
    pub(super) fn over(&mut self, now: Timestamp, key: Key) {
        let of_work = (key, NodeId([0; 16]))..=(key, NodeId([u8::MAX; 16]));
        let open: Vec<NodeId> = self.orders.range(of_work).map(|((_, id), _)| *id).collect();
        open.into_iter().for_each(|id| self.answered(now, key, id, "is over"));
        let is_open = self.orders.keys().any(|(of, _)| of.round == key.round);
        if !is_open {
            self.rounds.remove(&key.round);
        }
    }

    /// Ends the spans of a node that is lost.
    pub(super) fn lost(&mut self, id: NodeId) {
        self.orders.retain(|(_, of), _| *of != id);
    }
}

/// Returns a time in seconds, in milliseconds' precision.
fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}
