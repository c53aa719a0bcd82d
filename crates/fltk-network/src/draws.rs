//! Numbers that look random and follow from a seed, for simulated networks and generated messages. They decide no result, and differ between versions of `rand`.

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Draws(SmallRng);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.random()
    }

    /// Returns a number below `limit`, which isn't 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0.random_range(0..limit)
    }

    /// Returns true once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Returns an index of a list that isn't empty.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }
}
