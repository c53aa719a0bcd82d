//! One piece of work at the federator: an order, and who has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fltk_fed::{round::Timestamp, transport::worker::Order};

use super::{NodeId, Output};
use crate::wire::{order::Key, update::ReadyMessage};

#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) order: Order,
    pub(super) num_attempts: u32,
    pub(super) num_failures: u32,
    /// The nodes that work on it, with their attempt and when it was given.
    pub(super) runners: BTreeMap<NodeId, (u32, Timestamp)>,
    /// The nodes that couldn't do it.
    pub(super) avoid: BTreeSet<NodeId>,
    pub(super) standing: Standing,
    /// True once the round knows that the update is ready somewhere.
    pub(super) is_announced: bool,
    /// True once the round has asked for the update.
    pub(super) is_wanted: bool,
    /// The time at which the node was asked for the update that is ready, until it begins to bring it.
    pub(super) asked: Option<Timestamp>,
    /// True while it is being brought.
    pub(super) is_coming: bool,
    /// The number of times that it broke off while it was brought.
    pub(super) num_breaks: u32,
    /// The time that the first training took whose update was ready.
    pub(super) took: Option<Duration>,
    /// The time since which an update is missing that was ready once.
    pub(super) missing_since: Option<Timestamp>,
}

/// The progress of a piece of work.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// No update.
    Open,
    /// An update is ready at a node.
    Ready { node: NodeId, ready: ReadyMessage },
}

impl Work {
    pub(super) fn new(order: Order) -> Self {
        let (runners, avoid, standing) = (BTreeMap::new(), BTreeSet::new(), Standing::Open);
        Self {
            order,
            num_attempts: 0,
            num_failures: 0,
            runners,
            avoid,
            standing,
            is_announced: false,
            is_wanted: false,
            asked: None,
            is_coming: false,
            num_breaks: 0,
            took: None,
            missing_since: None,
        }
    }

    /// Notes that no update is ready any more.
    pub(super) fn lost(&mut self, now: Timestamp) {
        self.standing = Standing::Open;
        if self.is_announced {
            self.missing_since.get_or_insert(now);
        }
    }

    /// Has the update brought that is ready, if there is one.
    pub(super) fn ask(&mut self, now: Timestamp) -> Option<Output> {
        let Standing::Ready { node, ready } = &self.standing else { return None };
        self.asked = Some(now);
        Some(Output::Collect { node: *node, ready: Box::new(ready.clone()) })
    }

    pub(super) fn key(&self) -> Key {
        Key::of(&self.order)
    }
}
