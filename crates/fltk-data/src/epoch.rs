//! One pass over some samples: the key of its random draws, and its order.

use fltk_core::seed::{Purpose, Seed};
use rand::seq::SliceRandom;

/// The key of one pass over some samples, and so of its random draws: root seed, client, round, epoch (each 0 where it doesn't apply).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochKey {
    /// The root seed.
    pub seed: Seed,
    /// The federated client.
    pub client: u64,
    /// The federated round.
    pub round: u64,
    /// The epoch.
    pub epoch: u64,
}

/// Returns `0..len` in the order of the epoch with the key `key`; `len` is below 2^32.
pub(crate) fn permutation(len: usize, key: EpochKey) -> Vec<u32> {
    let mut order = (0..len as u32).collect::<Vec<_>>();
    shuffle(&mut order, key);
    order
}

/// Brings `order` into the order of the epoch with the key `key`.
pub(crate) fn shuffle(order: &mut [u32], EpochKey { seed, client, round, epoch }: EpochKey) {
    order.shuffle(&mut seed.stream(Purpose::Shuffle, &[client, round, epoch]));
}
