//! Noise on the training images of federated clients: the noise-based feature imbalance of NIID-Bench (Li et al. 2022, arXiv:2102.02079).
//!
//! Client `i` of `N`, counted from 1, has Gaussian noise with the variance `level * i / N` on its images, whose pixels are 0 to 1. It is a property of the
//! client's samples: each has the same noise in every round and epoch. Sums may leave the range of pixels.
//!
//! That is what the paper says. Its program has the *standard deviation* `level * (i - 1) / (N - 1)`, and draws the noise anew for every epoch.

use fltk_core::seed::{Purpose, Seed};
use rand_distr::{Distribution as _, StandardNormal};

/// The noise levels of all clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevels {
    /// The variance for the last client; 0 is none.
    pub level: f64,
    /// The number of clients.
    pub clients: u32,
}

/// The noise on the samples of one client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureNoise {
    /// The standard deviation, for pixels from 0 to 1.
    deviation: f64,
    seed: Seed,
    client: u32,
}

impl NoiseLevels {
    /// Returns the noise of `client`, counted from 0; `None` without any, and for the server, which comes after the clients.
    #[must_use]
    pub fn of_client(self, seed: Seed, client: u32) -> Option<FeatureNoise> {
        let variance = self.level * (f64::from(client) + 1.0) / f64::from(self.clients.max(1));
        (variance > 0.0 && client < self.clients).then(|| FeatureNoise { deviation: variance.sqrt(), seed, client })
    }
}

impl FeatureNoise {
    /// Fills `noise`, one number for each value of the sample at position `sample` of the training set, channel by channel and row by row.
    pub(crate) fn fill(&self, sample: u32, noise: &mut [f32]) {
        let mut draws = self.seed.stream(Purpose::FeatureNoise, &[u64::from(self.client), u64::from(sample)]);
        for value in noise {
            let draw: f64 = StandardNormal.sample(&mut draws);
            *value = (self.deviation * draw) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(level: f64, clients: u32, client: u32, sample: u32) -> Vec<f32> {
        let mut values = vec![0.0; 10_000];
        NoiseLevels { level, clients }.of_client(Seed(3), client).expect("noise").fill(sample, &mut values);
        values
    }

    #[test]
    fn variance_grows_with_the_client() {
        for (client, expected) in [(0, 0.1), (1, 0.2), (3, 0.4)] {
            let values = noise(0.4, 4, client, 7);
            let sum = |power: i32| values.iter().map(|value| f64::from(*value).powi(power)).sum::<f64>() / 10_000.0;
            // Standard deviations of the mean are 0.0063 at most, and of the variance 1.4 % of it.
            assert!(sum(1).abs() < 0.035 && (sum(2) / expected - 1.0).abs() < 0.08, "client {client}: {} {}", sum(1), sum(2));
        }
        assert_eq!(NoiseLevels { level: 0.0, clients: 4 }.of_client(Seed(3), 3), None);
    }

    #[test]
    fn noise_depends_on_client_and_sample_alone() {
        assert_eq!(noise(0.4, 4, 1, 7), noise(0.4, 4, 1, 7));
        assert_ne!(noise(0.4, 4, 1, 7), noise(0.4, 4, 1, 8));
        // With equal variances, other clients have other noise.
        assert_ne!(noise(0.4, 4, 1, 7), noise(0.2, 4, 3, 7));
        // Recorded from this code: an update of `rand_distr` that changes draws must not go unnoticed.
        let first = noise(1.0, 1, 0, 0);
        assert_eq!(first[..3], [-0.701_353_5, 1.409_920_9, 0.425_010_56]);
    }
}
