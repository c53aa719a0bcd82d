//! The samples of each rank of a data-parallel training, epoch by epoch. They are a pure function, so every rank knows all ranks' shares.
//!
//! ```text
//! permutation of the epoch:  | step 1: rank 0, rank 1, ... | step 2: rank 0, rank 1, ... | ... | last step: what is left |
//! ```
//!
//! As in PyTorch's `DistributedSampler`, all ranks share one permutation per (seed, epoch), and each takes its own part. The samples of a
//! step are those that a single process would take with the sum of all ranks' batch sizes as its batch size, so both compute the same mean
//! gradient.

use crate::epoch::{EpochKey, permutation};

/// The treatment of an epoch's last step if the remaining samples don't fill it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// They are shared in proportion to the batch sizes; a rank may get none. Every sample is used once.
    Share,
    /// They are padded with samples from the beginning of the epoch until they can be shared in exact proportion.
    Pad,
    /// They are dropped.
    Drop,
}

/// The shares of all ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharding {
    /// The number of samples of a full step, by rank; 0 counts as 1. Never empty.
    pub batch_sizes: Vec<usize>,
    /// The treatment of the last step.
    pub remainder: Remainder,
}

impl Sharding {
    /// The number of steps of an epoch over `num_samples`, which is the same on every rank.
    #[must_use]
    pub fn num_steps(&self, num_samples: usize) -> usize {
        let total = self.total();
        if self.remainder == Remainder::Drop { num_samples / total } else { num_samples.div_ceil(total) }
    }

    /// Returns, for each step, the number of samples of every rank.
    #[must_use]
    pub fn step_sizes(&self, num_samples: usize) -> Vec<Vec<usize>> {
        (0..self.num_steps(num_samples))
            .map(|step| self.ends(step, num_samples).windows(2).map(|ends| ends[1] - ends[0]).collect())
            .collect()
    }

    /// Returns the samples of `rank` in the epoch with the key `key`, step after step: as many per step as [`Self::step_sizes`] says.
    #[must_use]
    pub fn indices(&self, rank: usize, num_samples: usize, key: EpochKey) -> Vec<u32> {
        let order = permutation(num_samples, key);
        let mut indices = Vec::new();
        for step in 0..self.num_steps(num_samples) {
            let ends = self.ends(step, num_samples);
            let start = step * self.total();
            // Beyond the end, the order restarts at the beginning; only padding gets there.
            indices.extend((start + ends[rank]..start + ends[rank + 1]).map(|place| order[place % num_samples]));
        }
        indices
    }

    fn sizes(&self) -> impl Iterator<Item = usize> + '_ {
        self.batch_sizes.iter().map(|size| (*size).max(1))
    }

    fn total(&self) -> usize {
        self.sizes().sum()
    }

    /// Returns where each rank's part of a step begins, counted from the step's first sample, and where the last part ends.
    fn ends(&self, step: usize, num_samples: usize) -> Vec<usize> {
        let total = self.total();
        let left = num_samples - step * total;
        let samples = match self.remainder {
            _ if left >= total => total,
            Remainder::Pad => {
                // This is the smallest number of samples that all ranks can share in whole numbers.
                let unit = total / self.sizes().fold(0, gcd);
                left.div_ceil(unit) * unit
            }
            Remainder::Share | Remainder::Drop => left,
        };
        let mut ends = vec![0];
        let mut sum = 0;
        for size in self.sizes() {
            sum += size;
            ends.push(samples * sum / total);
        }
        ends
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use fltk_core::seed::Seed;
    use proptest::prelude::*;

    use super::*;

    const KEY: EpochKey = EpochKey { seed: Seed(7), client: 0, round: 0, epoch: 1 };

    fn check(batch_sizes: &[usize], remainder: Remainder, num_samples: usize, expected: &[&[usize]]) {
        let sharding = Sharding { batch_sizes: batch_sizes.to_vec(), remainder };
        assert_eq!(sharding.step_sizes(num_samples), expected, "{batch_sizes:?} {remainder:?} {num_samples}");
    }

    #[test]
    fn last_step_is_shared_padded_or_dropped() {
        check(&[2, 2], Remainder::Share, 7, &[&[2, 2], &[1, 2]]);
        check(&[2, 2], Remainder::Share, 5, &[&[2, 2], &[0, 1]]);
        check(&[2, 2], Remainder::Pad, 5, &[&[2, 2], &[1, 1]]);
        check(&[2, 2], Remainder::Drop, 7, &[&[2, 2]]);
        check(&[2, 2], Remainder::Share, 8, &[&[2, 2], &[2, 2]]);
        check(&[3, 1], Remainder::Share, 6, &[&[3, 1], &[1, 1]]);
        check(&[6, 2], Remainder::Pad, 9, &[&[6, 2], &[3, 1]]);
        check(&[4], Remainder::Share, 6, &[&[4], &[2]]);
        check(&[0, 0], Remainder::Drop, 1, &[]);
    }

    #[test]
    fn one_rank_has_the_order_of_a_single_process() {
        let alone = Sharding { batch_sizes: vec![8], remainder: Remainder::Share }.indices(0, 100, KEY);
        assert_eq!(alone, permutation(100, KEY));
        assert_ne!(alone, permutation(100, EpochKey { epoch: 2, ..KEY }));
    }

    proptest! {
        #[test]
        fn ranks_split_the_samples_of_each_step(
            batch_sizes in prop::collection::vec(1..9usize, 1..6),
            num_samples in 1..200usize,
            remainder in prop_oneof![Just(Remainder::Share), Just(Remainder::Pad), Just(Remainder::Drop)],
        ) {
            let total: usize = batch_sizes.iter().sum();
            let sharding = Sharding { batch_sizes: batch_sizes.clone(), remainder };
            let order = permutation(num_samples, KEY);
            let sizes = sharding.step_sizes(num_samples);
            let mut parts: Vec<std::vec::IntoIter<u32>> =
                (0..batch_sizes.len()).map(|rank| sharding.indices(rank, num_samples, KEY).into_iter()).collect();
            for (step, sizes) in sizes.iter().enumerate() {
                let taken: Vec<u32> = parts.iter_mut().zip(sizes).flat_map(|(part, size)| part.by_ref().take(*size)).collect();
                prop_assert!(sizes.iter().zip(&batch_sizes).all(|(size, full)| size <= full));
                let one_process: Vec<u32> = order.iter().skip(step * total).take(total).copied().collect();
                prop_assert!(taken.starts_with(&one_process), "a step has the samples of one process's step");
                if remainder == Remainder::Pad {
                    prop_assert!(sizes.iter().zip(&batch_sizes).all(|(size, full)| size * total == full * taken.len()));
                } else {
                    prop_assert_eq!(taken.len(), one_process.len());
                }
            }
            prop_assert!(parts.iter_mut().all(|part| part.next().is_none()));
            let covered = sizes.len() * total >= num_samples;
            prop_assert!(covered || remainder == Remainder::Drop);
        }
    }
}
