//! The waiting jobs by class, each class in its order, so that the first job is found without looking at all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use crate::JobSpec;

/// The order within a class: priority, then arrival.
type Key = (i32, usize);

/// The waiting jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue(BTreeMap<String, Lane>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Lane {
    by_arrival: BTreeSet<usize>,
    by_priority: BTreeSet<Key>,
}

/// The jobs that were considered in this scheduling round, by how far each class got.
#[derive(Debug, Default)]
pub struct Seen {
    by_arrival: BTreeMap<String, usize>,
    by_priority: BTreeMap<String, Key>,
}

impl Queue {
    pub fn insert(&mut self, index: usize, spec: &JobSpec) {
        let lane = self.0.entry(spec.class.clone()).or_default();
        lane.by_arrival.insert(index);
        lane.by_priority.insert((spec.arrival.priority, index));
    }

    pub fn remove(&mut self, index: usize, spec: &JobSpec) {
        if let Some(lane) = self.0.get_mut(&spec.class) {
            lane.by_arrival.remove(&index);
            lane.by_priority.remove(&(spec.arrival.priority, index));
        }
    }

    /// The number of waiting jobs.
    pub fn len(&self) -> usize {
        self.0.values().map(|lane| lane.by_arrival.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.values().all(|lane| lane.by_arrival.is_empty())
    }

    /// The waiting jobs of each class.
    pub fn classes(&self) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        self.0.values().map(|lane| lane.by_arrival.iter().copied())
    }

    pub fn contains(&self, index: usize, spec: &JobSpec) -> bool {
        self.0.get(&spec.class).is_some_and(|lane| lane.by_arrival.contains(&index))
    }

    /// The first job to arrive of each class among those that weren't seen.
    pub fn first_arrivals<'a>(&'a self, seen: &'a Seen) -> impl Iterator<Item = (&'a str, usize)> {
        self.0.iter().filter_map(|(class, lane)| {
            let after = seen.by_arrival.get(class).map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
            Some((class.as_str(), *lane.by_arrival.range((after, Bound::Unbounded)).next()?))
        })
    }

    /// The smallest key (priority, index) of each class among the jobs that weren't seen.
    pub fn first_priorities<'a>(&'a self, seen: &'a Seen) -> impl Iterator<Item = Key> {
        self.0.iter().filter_map(|(class, lane)| {
            let after = seen.by_priority.get(class).map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
            lane.by_priority.range((after, Bound::Unbounded)).next().copied()
        })
    }
}

impl Seen {
    /// Marks a job as seen, and with it all jobs that go before it in its class.
    pub fn add(&mut self, index: usize, spec: &JobSpec) {
        self.by_arrival.insert(spec.class.clone(), index);
        self.by_priority.insert(spec.class.clone(), (spec.arrival.priority, index));
    }
}
