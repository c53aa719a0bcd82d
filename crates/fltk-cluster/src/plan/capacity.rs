//! Whether a gang fits: all pods of a job on what the nodes have left.
//!
//! Allocatable, less what others request, less what the stream's own active jobs were promised, on nodes that are ready and whose taints the pods
//! tolerate. Pods that outlive their job are others'. The largest pod goes first, each to the first node in the order of names that has room; if that
//! leads nowhere, each to the node that it leaves the least on. So a place that there is may be missed, in rare cases, but none is found that there isn't.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Job;
use crate::{Amounts, JobSpec};

/// A node as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What pods may request in all, `pods` among it.
    pub allocatable: Amounts,
    /// What pods request that aren't of an active job of the stream.
    pub used: Amounts,
    /// Why no pod of the stream may go there, if so.
    pub closed: Option<Closed>,
}

/// Why a node takes no pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// In words: `untolerated taint gpu`, `not ready`.
    pub reason: String,
    /// Whether that lasts, as a taint or a missing label does; a node that is cordoned or not ready may come back.
    pub lasts: bool,
}

/// All nodes by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nodes(BTreeMap<String, Free>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Free {
    allocatable: Amounts,
    free: Amounts,
    closed: Option<Closed>,
}

/// Which node each pod of a job goes to, in the order of [`JobSpec::each_pod`]; empty where nobody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement(Vec<String>);

impl Placement {
    /// The node of pod `pod`.
    #[cfg(test)]
    pub fn node_of(&self, pod: usize) -> Option<&str> {
        self.0.get(pod).map(String::as_str)
    }

    /// Pod `pod` went to `node`; returns whether that is elsewhere than thought.
    pub fn correct(&mut self, pod: usize, node: String) -> bool {
        match self.0.get_mut(pod) {
            Some(place) if *place != node => {
                *place = node;
                true
            }
            _ => false,
        }
    }
}

/// Why a gang doesn't fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// Pods without a place, when as many as possible have one.
    pub unfit: u32,
    /// Pods of the job.
    pub pods: u32,
    /// What is in the way of the first of them, with the number of nodes; the most frequent first.
    pub because: Vec<(String, u32)>,
}

impl Nodes {
    pub fn new(nodes: Vec<Node>) -> Self {
        let free = |node: Node| {
            let mut free = node.allocatable.clone();
            free.subtract(&node.used);
            (node.name, Free { allocatable: node.allocatable, free, closed: node.closed })
        };
        Self(nodes.into_iter().map(free).collect())
    }

    /// What is left when `jobs` have what they were promised.
    pub fn without<'a>(&self, jobs: impl Iterator<Item = &'a Job>) -> Self {
        let mut left = self.clone();
        jobs.for_each(|job| left.take(&job.placement, &job.spec));
        left
    }

    /// As they would be if nobody's pods were there, and all that may come back had.
    pub fn empty(&self) -> Self {
        let empty = |(name, node): (&String, &Free)| {
            let closed = node.closed.clone().filter(|closed| closed.lasts);
            (name.clone(), Free { allocatable: node.allocatable.clone(), free: node.allocatable.clone(), closed })
        };
        Self(self.0.iter().map(empty).collect())
    }

    /// Promises `placement` to `spec`.
    pub fn take(&mut self, placement: &Placement, spec: &JobSpec) {
        for (node, (_, requests)) in placement.0.iter().zip(spec.each_pod()) {
            if let Some(free) = self.0.get_mut(node) {
                free.free.subtract(&with_place(requests));
            }
        }
    }

    /// Takes that back.
    pub fn give(&mut self, placement: &Placement, spec: &JobSpec) {
        for (node, (_, requests)) in placement.0.iter().zip(spec.each_pod()) {
            if let Some(free) = self.0.get_mut(node) {
                free.free.add(&with_place(requests));
            }
        }
    }

    /// Others hold that much more of each.
    pub fn occupy(&mut self, left: &BTreeMap<String, Amounts>) {
        for (node, requests) in left {
            if let Some(free) = self.0.get_mut(node) {
                free.free.subtract(requests);
            }
        }
    }

    /// Places for all pods of `spec`.
    pub fn place(&self, spec: &JobSpec) -> Result<Placement, Misfit> {
        let first = |left: &Self, pod: &Amounts| left.open(pod).next().cloned();
        let tightest = |left: &Self, pod: &Amounts| {
            let share = |name: &&String| left.0.get(*name).map_or(0.0, |node| node.free.share(pod));
            left.open(pod).max_by(|one, other| share(one).total_cmp(&share(other)).then_with(|| other.cmp(one))).cloned()
        };
        self.place_by(spec, &first).or_else(|misfit| self.place_by(spec, &tightest).map_err(|_| misfit))
    }

    /// Nodes that `pod` fits on.
    fn open<'a>(&'a self, pod: &'a Amounts) -> impl Iterator<Item = &'a String> {
        self.0.iter().filter(|(_, node)| node.closed.is_none() && node.free.lacks(pod).is_empty()).map(|(name, _)| name)
    }

    fn place_by(&self, spec: &JobSpec, choose: &dyn Fn(&Self, &Amounts) -> Option<String>) -> Result<Placement, Misfit> {
        let pods: Vec<Amounts> = spec.each_pod().map(|(_, requests)| with_place(requests)).collect();
        let mut total = Amounts::none();
        self.0.values().for_each(|node| total.add(&node.allocatable));
        let mut order: Vec<usize> = (0..pods.len()).collect();
        order.sort_by(|left, right| total.share(&pods[*right]).total_cmp(&total.share(&pods[*left])));
        let mut left = self.clone();
        let mut places = vec![String::new(); pods.len()];
        let (mut unfit, mut because) = (0, Vec::new());
        for index in order {
            let pod = &pods[index];
            let chosen = choose(&left, pod);
            if let Some((name, node)) = chosen.and_then(|name| left.0.get_mut(&name).map(|node| (name, node))) {
                node.free.subtract(pod);
                places[index] = name;
            } else {
                if unfit == 0 {
                    because = left.why_not(pod);
                }
                unfit += 1;
            }
        }
        if unfit == 0 { Ok(Placement(places)) } else { Err(Misfit { unfit, pods: u32::try_from(pods.len()).unwrap_or(u32::MAX), because }) }
    }

    fn why_not(&self, pod: &Amounts) -> Vec<(String, u32)> {
        let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
        for node in self.0.values() {
            let lacks: BTreeSet<&str> = node.free.lacks(pod).into_iter().collect();
            match &node.closed {
                Some(closed) => *reasons.entry(closed.reason.clone()).or_default() += 1,
                None => lacks.iter().for_each(|name| *reasons.entry(format!("insufficient {name}")).or_default() += 1),
            }
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        if reasons.is_empty() { vec![("there are no nodes".to_owned(), 0)] } else { reasons }
    }
}

/// A pod takes one of a node's places for pods.
fn with_place(requests: &Amounts) -> Amounts {
    const ONE: i128 = 1_000_000_000;
    requests.clone().with("pods", ONE)
}
