//! The test samples of federated clients' own: a part of each client's samples that it doesn't train on.
//!
//! The part is drawn from the seed for each client alone, so it depends on nothing but the client's samples, its number and the fraction.

use fltk_core::{
    experiment::num_client_test,
    seed::{Purpose, Seed},
};
use rand::seq::SliceRandom;

/// The samples of all clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSamples {
    /// For each client the ascending indices of the samples that it trains on.
    pub train: Vec<Vec<u32>>,
    /// For each client the ascending indices of the samples that it is tested on; all empty if clients have no test samples of their own.
    pub test: Vec<Vec<u32>>,
}

impl ClientSamples {
    /// Divides the samples of each client, ascending indices into the training set: a `fraction` becomes test samples, as
    /// [`num_client_test`] has it; none without a fraction.
    #[must_use]
    pub fn hold_out(parts: Vec<Vec<u32>>, fraction: Option<f64>, seed: Seed) -> Self {
        let Some(fraction) = fraction else { return Self { test: vec![Vec::new(); parts.len()], train: parts } };
        let (train, test) = (0..).zip(parts).map(|(client, part)| divide(part, fraction, seed, client)).unzip();
        Self { train, test }
    }

    /// Returns true if a client has test samples.
    #[must_use]
    pub fn has_tests(&self) -> bool {
        self.test.iter().any(|part| !part.is_empty())
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
        let of = ClientSamples::hold_out(parts(), Some(0.2), Seed(42));
        let sizes: Vec<(usize, usize)> = of.train.iter().zip(&of.test).map(|(train, test)| (train.len(), test.len())).collect();
        assert_eq!(sizes, [(8, 2), (0, 0), (1, 0), (1, 1), (80, 20)]);
        for ((train, test), part) in of.train.iter().zip(&of.test).zip(parts()) {
            assert!(train.is_sorted() && test.is_sorted());
            let mut all = [&train[..], &test[..]].concat();
            all.sort_unstable();
            assert_eq!(all, part);
        }
        assert!(of.has_tests());
        // Recorded from this code: these draws decide recorded results.
        assert_eq!(of.test[0], [6, 7]);
    }

    #[test]
    fn a_client_has_the_same_test_samples_whatever_others_have() {
        let of = ClientSamples::hold_out(parts(), Some(0.2), Seed(42));
        let mut others = parts();
        others[0].truncate(3);
        others[3].clear();
        assert_eq!(ClientSamples::hold_out(others, Some(0.2), Seed(42)).test[4], of.test[4]);
        assert_ne!(ClientSamples::hold_out(parts(), Some(0.2), Seed(43)).test[4], of.test[4]);
        let twins = ClientSamples::hold_out(vec![(0..100).collect(); 2], Some(0.2), Seed(42));
        assert_ne!(twins.test[0], twins.test[1], "each client has its own draw");
    }

    #[test]
    fn without_a_fraction_everything_is_trained_on() {
        let of = ClientSamples::hold_out(parts(), None, Seed(42));
        assert_eq!((of.train, of.test), (parts(), vec![vec![]; 5]));
        assert!(!ClientSamples::hold_out(vec![vec![1], vec![2]], Some(0.9), Seed(42)).has_tests());
    }
}
