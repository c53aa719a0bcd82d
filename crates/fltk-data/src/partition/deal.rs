//! Equal and nearly equal parts of samples.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::error::PartitionError;

/// Returns chunk `position` out of `parts` nearly equal consecutive chunks of `samples`: their lengths differ by at most 1.
pub(super) fn chunk(samples: &[u32], position: usize, parts: usize) -> &[u32] {
    let cut = |position: usize| (samples.len() as u128 * position as u128 / parts as u128) as usize;
    &samples[cut(position)..cut(position + 1)]
}

/// Deals `samples` round-robin, starting with client 0.
pub(super) fn deal(samples: impl IntoIterator<Item = u32>, parts: &mut [Vec<u32>]) {
    let clients = parts.len();
    for (position, sample) in samples.into_iter().enumerate() {
        parts[position % clients].push(sample);
    }
}

/// Returns `0..samples` in random order.
pub(super) fn permutation(samples: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    // The number of samples has been checked, so indices fit.
    let mut order: Vec<u32> = (0..samples as u32).collect();
    order.shuffle(rng);
    order
}

/// Checks that there is a sample for each client.
pub(super) fn check_one_each(samples: usize, clients: u32) -> Result<(), PartitionError> {
    if samples < clients as usize {
        return Err(PartitionError::TooFewSamples { samples, parts: u64::from(clients), each: 1, also: "" });
    }
    Ok(())
}
