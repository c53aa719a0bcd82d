//! Capacity: whether a gang, all pods of a job, fits on what the nodes have left.
//!
//! The remaining capacity of a node is its allocatable resources, less the requests of other pods, less the promises to the stream's own active jobs.
//! Only nodes count that are ready and whose taints the pods tolerate. Pods that outlive their job count as other pods. The largest pod is placed
//! first, each pod on the first node by name that has room; if that leaves a pod without a place, each pod goes to the node that it leaves the least
//! on. So in rare cases a placement that exists is missed, but every placement that is found is valid.

use std::{collections::BTreeMap, sync::Arc};

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

    /// Finds places for all pods of `spec`, if there are any.
    pub fn place(&self, spec: &JobSpec) -> Option<Placement> {
        let pods = pods(spec);
        self.place_by(&pods, Left::first).or_else(|| {
            // Another order helps neither a single pod nor pods that are all alike.
            let are_alike = pods.windows(2).all(|pair| pair[0] == pair[1]);
            if are_alike { None } else { self.place_by(&pods, Left::tightest) }
        })
    }

    /// True if there are places for all pods of `spec`.
    pub fn fits(&self, spec: &JobSpec) -> bool {
        self.place(spec).is_some()
    }

    /// The reason why there are no places for all pods of `spec`; `None` if there are.
    pub fn misfit(&self, spec: &JobSpec) -> Option<Misfit> {
        if self.fits(spec) {
            return None;
        }
        let pods = pods(spec);
        let (mut left, mut unfit, mut because) = (Left::of(self), 0, Vec::new());
        for pod in self.largest_first(&pods).into_iter().map(|index| &pods[index]) {
            if let Some((name, node)) = left.first(pod) {
                left.take(name, node, pod);
                continue;
            }
            if unfit == 0 {
                because = left.why_not(pod);
            }
            unfit += 1;
        }
        Some(Misfit { unfit, pods: u32::try_from(pods.len()).unwrap_or(u32::MAX), because })
    }

    /// Places `pods` one after another, the largest first, each on the node that `choose` names.
    fn place_by<'a>(
        &'a self,
        pods: &[Amounts],
        choose: impl Fn(&Left<'a>, &Amounts) -> Option<(&'a String, &'a Free)>,
    ) -> Option<Placement> {
        let mut left = Left::of(self);
        let mut places = vec![String::new(); pods.len()];
        for index in self.largest_first(pods) {
            let (name, node) = choose(&left, &pods[index])?;
            left.take(name, node, &pods[index]);
            places[index].clone_from(name);
        }
        Some(Placement(places))
    }

    /// The indices of `pods`, that of the largest first.
    fn largest_first(&self, pods: &[Amounts]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..pods.len()).collect();
        if pods.windows(2).any(|pair| pair[0] != pair[1]) {
            let mut total = Amounts::none();
            self.0.values().for_each(|node| total.add(&node.allocatable));
            order.sort_by(|left, right| total.share(&pods[*right]).total_cmp(&total.share(&pods[*left])));
        }
        order
    }
}

/// The nodes while the pods of a job are being placed. Those without one of its pods aren't copied.
struct Left<'a> {
    nodes: &'a Nodes,
    /// The rest of the nodes that have pods of the job.
    taken: BTreeMap<&'a str, Amounts>,
}

impl<'a> Left<'a> {
    fn of(nodes: &'a Nodes) -> Self {
        Self { nodes, taken: BTreeMap::new() }
    }

    fn free<'b>(&'b self, name: &str, node: &'b Free) -> &'b Amounts {
        self.taken.get(name).unwrap_or(&node.free)
    }

    /// The nodes on which `pod` fits.
    fn open(&self, pod: &Amounts) -> impl Iterator<Item = (&'a String, &'a Free)> {
        self.nodes.0.iter().filter(|(name, node)| node.closed.is_none() && self.free(name, node).holds(pod))
    }

    /// The first node by name on which `pod` fits.
    fn first(&self, pod: &Amounts) -> Option<(&'a String, &'a Free)> {
        self.open(pod).next()
    }

    /// Reserves `pod` on the node called `name`.
    fn take(&mut self, name: &'a str, node: &Free, pod: &Amounts) {
        self.taken.entry(name).or_insert_with(|| node.free.clone()).subtract(pod);
    }

    /// The node that `pod` leaves the least on; of several, the first by name.
    fn tightest(&self, pod: &Amounts) -> Option<(&'a String, &'a Free)> {
        let share = |(name, node): &(&'a String, &'a Free)| self.free(name, node).share(pod);
        self.open(pod).max_by(|one, other| share(one).total_cmp(&share(other)).then_with(|| other.0.cmp(one.0)))
    }

    /// The obstacles for `pod`, each with its number of nodes.
    fn why_not(&self, pod: &Amounts) -> Vec<(String, u32)> {
        let (mut closed, mut lacking): (BTreeMap<&str, u32>, BTreeMap<&str, u32>) = (BTreeMap::new(), BTreeMap::new());
        for (name, node) in &self.nodes.0 {
            match &node.closed {
                Some(Closed { reason, .. }) => *closed.entry(reason).or_default() += 1,
                None => self.free(name, node).lacks(pod).into_iter().for_each(|name| *lacking.entry(name).or_default() += 1),
            }
        }
        let mut reasons: BTreeMap<String, u32> = closed.into_iter().map(|(reason, nodes)| (reason.to_owned(), nodes)).collect();
        lacking.into_iter().for_each(|(name, nodes)| *reasons.entry(format!("insufficient {name}")).or_default() += nodes);
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        if reasons.is_empty() { vec![("there are no nodes".to_owned(), 0)] } else { reasons }
    }
}

/// The requests of each pod of `spec`, including one of the node's `pods`.
fn pods(spec: &JobSpec) -> Vec<Amounts> {
    spec.each_pod().map(|(_, requests)| with_place(requests)).collect()
}

/// The requests of a pod, including one of the node's `pods`.
fn with_place(requests: &Amounts) -> Amounts {
    const ONE: i128 = 1_000_000_000;
    requests.clone().with("pods", ONE)
}
