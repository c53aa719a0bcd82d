//! Capacity: whether a gang, all pods of a job, fits on what the nodes have left.
//!
//! The remaining capacity of a node is its allocatable resources, less the requests of other pods, less the promises to the stream's own active jobs.
//! Only nodes count that are ready and whose taints the pods tolerate. Pods that outlive their job count as other pods. The largest pod is placed
//! first, each pod on the first node by name that has room; if that leaves a pod without a place, each pod goes to the node that it leaves the least
//! on. So in rare cases a placement that exists is missed, but every placement that is found is valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::Job;
use crate::{Amounts, JobSpec};

/// A node, as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// The total that pods may request, including the number of `pods`.
    pub allocatable: Amounts,
    /// The requests of pods that don't belong to an active job of the stream.
    pub used: Amounts,
    /// The reason why no pod of the stream may run there, if there is one.
    pub closed: Option<Closed>,
}

/// The reason why a node takes no pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The reason in words: `untolerated taint gpu`, `not ready`.
    pub reason: String,
    /// True if that lasts, as a taint or a missing label does; a node that is cordoned or not ready may come back.
    pub lasts: bool,
}

/// All nodes by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nodes(BTreeMap<String, Free>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Free {
    /// The total that pods may request, which copies share.
    allocatable: Arc<Amounts>,
    free: Amounts,
    closed: Option<Closed>,
}

/// The node of each pod of a job, in the order of [`JobSpec::each_pod`]; empty if no capacity check placed the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement(Vec<String>);

impl Placement {
    /// The node of pod `pod`.
    #[cfg(test)]
    pub fn node_of(&self, pod: usize) -> Option<&str> {
        self.0.get(pod).map(String::as_str)
    }

    /// Records that pod `pod` runs on `node`; returns true if the placement had another node.
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

/// The reason why a gang doesn't fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// The number of pods without a place when as many as possible have one.
    pub unfit: u32,
    /// The number of pods of the job.
    pub pods: u32,
    /// The obstacles for the first pod without a place, each with its number of nodes; the most frequent comes first.
    pub because: Vec<(String, u32)>,
}

impl Nodes {
    pub fn new(nodes: Vec<Node>) -> Self {
        let free = |node: Node| {
            let mut free = node.allocatable.clone();
            free.subtract(&node.used);
            (node.name, Free { allocatable: Arc::new(node.allocatable), free, closed: node.closed })
        };
        Self(nodes.into_iter().map(free).collect())
    }

    /// The capacity that is left after the promises to `jobs`.
    pub fn without<'a>(&self, jobs: impl Iterator<Item = &'a Job>) -> Self {
        let mut left = self.clone();
        jobs.for_each(|job| left.take(&job.placement, &job.spec));
        left
    }

    /// The nodes as they would be without any pods and with all nodes back that may come back.
    pub fn empty(&self) -> Self {
        let empty = |(name, node): (&String, &Free)| {
            let closed = node.closed.clone().filter(|closed| closed.lasts);
            (name.clone(), Free { allocatable: Arc::clone(&node.allocatable), free: Amounts::clone(&node.allocatable), closed })
        };
        Self(self.0.iter().map(empty).collect())
    }

    /// The total that pods may request on the nodes that are open.
    pub fn capacity(&self) -> Amounts {
        let mut total = Amounts::none();
        self.0.values().filter(|node| node.closed.is_none()).for_each(|node| total.add(&node.allocatable));
        total
    }

    /// Reserves `placement` for `spec`.
    pub fn take(&mut self, placement: &Placement, spec: &JobSpec) {
        for (node, (_, requests)) in placement.0.iter().zip(spec.each_pod()) {
            if let Some(free) = self.0.get_mut(node) {
                free.free.subtract(&with_place(requests));
            }
        }
    }

    /// Reverts [`take`](Self::take).
    pub fn give(&mut self, placement: &Placement, spec: &JobSpec) {
        for (node, (_, requests)) in placement.0.iter().zip(spec.each_pod()) {
            if let Some(free) = self.0.get_mut(node) {
                free.free.add(&with_place(requests));
            }
        }
    }

    /// Records that other pods hold this much more of each node.
    pub fn occupy(&mut self, left: &BTreeMap<String, Amounts>) {
        for (node, requests) in left {
            if let Some(free) = self.0.get_mut(node) {
                free.free.subtract(requests);
            }
        }
    }

    /// Finds places for all pods of `spec`.
    pub fn place(&self, spec: &JobSpec) -> Result<Placement, Misfit> {
        let first = |left: &Self, pod: &Amounts| left.open(pod).next().cloned();
        let tightest = |left: &Self, pod: &Amounts| {
            let share = |name: &&String| left.0.get(*name).map_or(0.0, |node| node.free.share(pod));
            left.open(pod).max_by(|one, other| share(one).total_cmp(&share(other)).then_with(|| other.cmp(one))).cloned()
        };
        // Another order doesn't help where no node has room.
        self.place_by(spec, &first)
            .or_else(|misfit| if misfit.pods == 1 { Err(misfit) } else { self.place_by(spec, &tightest).map_err(|_| misfit) })
    }

    /// True if there are places for all pods of `spec`; why there are none takes longer to say.
    pub fn fits(&self, spec: &JobSpec) -> bool {
        let mut pods = spec.each_pod();
        match (pods.next(), pods.next()) {
            (Some((_, only)), None) => self.open(&with_place(only)).next().is_some(),
            _ => self.place(spec).is_ok(),
        }
    }

    /// The nodes on which `pod` fits.
    fn open<'a>(&'a self, pod: &'a Amounts) -> impl Iterator<Item = &'a String> {
        self.0.iter().filter(|(_, node)| node.closed.is_none() && node.free.lacks(pod).is_empty()).map(|(name, _)| name)
    }

    fn place_by(&self, spec: &JobSpec, choose: &dyn Fn(&Self, &Amounts) -> Option<String>) -> Result<Placement, Misfit> {
        let pods: Vec<Amounts> = spec.each_pod().map(|(_, requests)| with_place(requests)).collect();
        if let [pod] = &pods[..] {
            // Most jobs of a stream: nothing is left over for another pod, so that nothing need be copied.
            return choose(self, pod).map(|name| Placement(vec![name])).ok_or_else(|| Misfit {
                unfit: 1,
                pods: 1,
                because: self.why_not(pod),
            });
        }
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

/// The requests of a pod, including one of the node's `pods`.
fn with_place(requests: &Amounts) -> Amounts {
    const ONE: i128 = 1_000_000_000;
    requests.clone().with("pods", ONE)
}
