//! The choice of nodes: work goes to whoever is free, and what a slow node does to a free one too.

use std::{collections::BTreeMap, time::Duration};

use fltk_fed::round::Timestamp;

use super::{
    Hub, NodeId, Output,
    node::Node,
    work::{Standing, Work},
};
use crate::wire::order::Key;

/// The time, in medians, after which a free node gets a copy of the work of a slow one, and the least time before it.
const SLOW_FACTOR: u32 = 3;
const SLOW_MIN: Duration = Duration::from_secs(2);

/// The share of the time of silence after which a node gets nothing new: a few heartbeats.
const QUIET: u32 = 4;

impl Hub {
    /// Notes how long a node took.
    pub(super) fn took(&mut self, now: Timestamp, id: NodeId, began: Timestamp) {
        /// So many that one slow piece of work isn't the median.
        const DURATIONS_MAX: usize = 64;
        let duration = now.0.saturating_sub(began.0);
        self.busy += duration;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.figures.busy += duration;
        }
        if self.durations.len() == DURATIONS_MAX {
            self.durations.remove(0);
        }
        self.durations.push(duration);
    }

    /// Gives waiting work to free nodes, that of the first clients first.
    pub(super) fn assign(&mut self, now: Timestamp) -> Vec<Output> {
        let mut outputs = Vec::new();
        // Most events of a round find nothing to give, and looking for free nodes goes through all of them.
        if self.waiting.is_empty() {
            return outputs;
        }
        let mut free = self.free(now);
        for key in self.waiting.iter().copied().collect::<Vec<_>>() {
            if free.is_empty() {
                break;
            }
            // Whoever is free may have spoiled this: others may do what comes after it.
            let Some(node) = self.freest(key, &free) else { continue };
            outputs.extend(self.give(now, key, node, &mut free));
        }
        outputs
    }

    fn give(&mut self, now: Timestamp, key: Key, node: NodeId, free: &mut BTreeMap<NodeId, u32>) -> Option<Output> {
        self.waiting.remove(&key);
        match free.get_mut(&node) {
            Some(left) if *left > 1 => *left -= 1,
            _ => drop(free.remove(&node)),
        }
        let work = self.works.get_mut(&key)?;
        work.num_attempts += 1;
        let attempt = work.num_attempts;
        work.runners.insert(node, (attempt, now));
        Some(Output::Give { node, order: work.order.clone(), attempt })
    }

    /// Returns the nodes that are free, with the number of their workers that are. One of which nothing was heard for a while gets nothing new before it is heard again, unless
    /// that is so of all: it may be frozen, and each round would wait for it.
    fn free(&self, now: Timestamp) -> BTreeMap<NodeId, u32> {
        let is_heard = |node: &Node| now.0.saturating_sub(node.heard.0) <= self.silence / QUIET;
        let any_heard = self.nodes.values().any(is_heard);
        let nodes = self.nodes.iter().filter(|(_, node)| is_heard(node) || !any_heard);
        let mut free: BTreeMap<NodeId, u32> = nodes.map(|(id, node)| (*id, node.joined.workers)).collect();
        for id in self.works.values().flat_map(|work| work.runners.keys()) {
            if let Some(left) = free.get_mut(id) {
                *left = left.saturating_sub(1);
            }
        }
        free.retain(|_, left| *left > 0);
        free
    }

    /// Returns, of those that are free, the node with the largest free share of its workers that may do this work; `None` if there is none. Nodes that have spoiled it
    /// come only if there is no other node at all.
    fn freest(&self, key: Key, free: &BTreeMap<NodeId, u32>) -> Option<NodeId> {
        let work = self.works.get(&key)?;
        let may_train = |id: &NodeId| self.nodes.get(id).is_some_and(|node| node.joined.trains(key.client));
        let all_avoided = self.nodes.keys().filter(|id| may_train(id)).all(|id| work.avoid.contains(id));
        let is_candidate = |id: &NodeId| may_train(id) && (all_avoided || !work.avoid.contains(id)) && !work.runners.contains_key(id);
        let candidates = free.iter().filter(|(id, _)| is_candidate(id));
        let share = |(id, left): (&NodeId, &u32)| {
            let workers = self.nodes.get(id)?.joined.workers;
            // As a share of its workers, in thousandths.
            Some((u64::from(*left) * 1000 / u64::from(workers.max(1)), std::cmp::Reverse(*id)))
        };
        candidates.filter_map(share).max().map(|(_, id)| id.0)
    }

    /// Gives copies of what slow nodes do to nodes that are free, since nothing else is left that these may do.
    pub(super) fn copy_slow(&mut self, now: Timestamp) -> Vec<Output> {
        if self.works.is_empty() || self.durations.is_empty() {
            return Vec::new();
        }
        let mut free = self.free(now);
        if free.is_empty() {
            return Vec::new();
        }
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        let limit = (sorted[sorted.len() / 2] * SLOW_FACTOR).max(SLOW_MIN);
        let is_slow = |work: &Work| {
            let began = work.runners.values().map(|(_, began)| *began).max();
            let alone = work.runners.len() == 1 && matches!(work.standing, Standing::Open);
            alone && began.is_some_and(|began| now.0.saturating_sub(began.0) > limit)
        };
        let slow: Vec<Key> = self.works.iter().filter(|(_, work)| is_slow(work)).map(|(key, _)| *key).collect();
        let mut copy = |key| self.freest(key, &free).and_then(|node| self.give(now, key, node, &mut free));
        slow.into_iter().filter_map(&mut copy).collect()
    }
}
