//! The test samples of federated clients' own: a part of each client's samples that it doesn't train on.
//!
//! The part is drawn from the seed for each client alone, so it depends on nothing but the client's samples, its number and the fraction.

use std::ops::Range;

use fltk_core::{
    experiment::num_client_test,
    seed::{Purpose, Seed},
};
use rand::seq::SliceRandom;

use crate::partition::Division;

/// The samples of all clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSamples {
    /// The samples that each client trains on.
    pub train: Division,
    /// The samples that each client is tested on; none if clients have no test samples of their own.
    pub test: Division,
}

impl ClientSamples {
    /// Divides the samples of each client, ascending indices into the training set: a `fraction` becomes test samples, as
    /// [`num_client_test`] has it; none without a fraction. Of samples that follow each other, and are drawn independently, these are the last.
    #[must_use]
    pub fn hold_out(parts: Division, fraction: Option<f64>, seed: Seed) -> Self {
        let Some(fraction) = fraction else { return Self { test: Division::empty(parts.num_clients()), train: parts } };
        match parts {
            Division::Lists(lists) => {
                let (train, test) = (0..).zip(lists).map(|(client, part)| divide(part, fraction, seed, client)).unzip();
                Self { train: Division::Lists(train), test: Division::Lists(test) }
            }
            Division::Ranges(ranges) => {
                let halves = |range: Range<u32>| {
                    let first = range.end - num_client_test(fraction, range.len()) as u32;
                    (range.start..first, first..range.end)
                };
                let (train, test) = ranges.into_iter().map(halves).unzip();
                Self { train: Division::Ranges(train), test: Division::Ranges(test) }
            }
        }
    }

    /// Returns true if a client has test samples.
    #[must_use]
    pub fn has_tests(&self) -> bool {
        self.test.sizes().any(|size| size > 0)
    }
}

/// Returns the training samples and the test samples of one client.
fn divide(mut part: Vec<u32>, fraction: f64, seed: Seed, client: u64) -> (Vec<u32>, Vec<u32>) {
    let num_test = num_client_test(fraction, part.len());
    let (test, train) = part.partial_shuffle(&mut seed.stream(Purpose::ClientTest, &[client]), num_test);
    let sorted = |samples: &[u32]| {
        let mut samples = samples.to_vec();
        samples.sort_unstable();
        samples
    };
    (sorted(train), sorted(test))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<Vec<u32>> {
        vec![(0..10).collect(), vec![], vec![77], vec![40, 50], (100..200).collect()]
    }

    #[test]
    fn every_sample_is_either_trained_on_or_tested_on() {
        let of = ClientSamples::hold_out(parts().into(), Some(0.2), Seed(42));
        let sizes: Vec<(usize, usize)> = of.train.sizes().zip(of.test.sizes()).collect();
        assert_eq!(sizes, [(8, 2), (0, 0), (1, 0), (1, 1), (80, 20)]);
        for (client, part) in parts().into_iter().enumerate() {
            let (train, test) = (of.train.of(client), of.test.of(client));
            assert!(train.is_sorted() && test.is_sorted());
            let mut all = [&train[..], &test[..]].concat();
            all.sort_unstable();
            assert_eq!(all, part);
        }
        assert!(of.has_tests());
        // Recorded from this code: these draws decide recorded results.
        assert_eq!(*of.test.of(0), [6, 7]);
    }

    #[test]
    fn a_client_has_the_same_test_samples_whatever_others_have() {
        let of = ClientSamples::hold_out(parts().into(), Some(0.2), Seed(42));
        let mut others = parts();
        others[0].truncate(3);
        others[3].clear();
        assert_eq!(ClientSamples::hold_out(others.into(), Some(0.2), Seed(42)).test.of(4), of.test.of(4));
        assert_ne!(ClientSamples::hold_out(parts().into(), Some(0.2), Seed(43)).test.of(4), of.test.of(4));
        let twins = ClientSamples::hold_out(vec![(0..100).collect(); 2].into(), Some(0.2), Seed(42));
        assert_ne!(twins.test.of(0), twins.test.of(1), "each client has its own draw");
    }

    #[test]
    fn without_a_fraction_everything_is_trained_on() {
        let of = ClientSamples::hold_out(parts().into(), None, Seed(42));
        assert_eq!((of.train, of.test), (parts().into(), Division::empty(5)));
        assert!(!ClientSamples::hold_out(vec![vec![1], vec![2]].into(), Some(0.9), Seed(42)).has_tests());
    }

    #[test]
    fn clients_whose_samples_follow_each_other_are_tested_on_their_last() {
        let of = ClientSamples::hold_out(Division::Ranges(vec![0..10, 10..10, 10..11, 11..13]), Some(0.2), Seed(42));
        assert_eq!(of.train, Division::Ranges(vec![0..8, 10..10, 10..11, 11..12]));
        assert_eq!(of.test, Division::Ranges(vec![8..10, 10..10, 11..11, 12..13]));
    }
}
