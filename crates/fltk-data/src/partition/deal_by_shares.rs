//! The dealing of samples to clients that have proportions over classes: what the partitions that draw these for each client share.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, OpenClosed01};

use super::{error::PartitionError, partitioner::Parts};

/// Makes one draw of the Dirichlet distribution with these concentrations. A concentration of 0 has the share 0; the others are positive, at least one.
///
/// Shares are computed from logarithms, so that tiny concentrations have shares too: a gamma variable of shape `a` is one of shape `a + 1`, times a uniform one
/// to the power of `1/a`.
pub(super) fn dirichlet(concentrations: &[f64], rng: &mut ChaCha8Rng) -> Result<Vec<f64>, PartitionError> {
    let mut logarithm = |concentration: f64| {
        if concentration == 0.0 {
            return Ok(f64::NEG_INFINITY);
        }
        let refused = PartitionError::Parameter { name: "alpha", value: concentration, range: "above 0" };
        let gamma: f64 = Gamma::new(concentration + 1.0, 1.0).map_err(|_| refused)?.sample(rng);
        let uniform: f64 = OpenClosed01.sample(rng);
        Ok(gamma.ln() + uniform.ln() / concentration)
    };
    let logarithms: Vec<f64> = concentrations.iter().map(|&concentration| logarithm(concentration)).collect::<Result<_, _>>()?;
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = logarithms.iter().map(|logarithm| (logarithm - largest).exp()).collect();
    let sum: f64 = shares.iter().sum();
    Ok(shares.into_iter().map(|share| share / sum).collect())
}

/// Gives each client as many samples as `sizes` say, by its shares of the classes, whose samples are taken from the end. There are enough samples in all.
pub(super) fn deal_by_shares(mut classes: Vec<Vec<u32>>, shares: &[Vec<f64>], sizes: &[usize], rng: &mut ChaCha8Rng) -> Parts {
    let mut parts: Parts = sizes.iter().map(|&size| Vec::with_capacity(size)).collect();
    let mut open: Vec<usize> = (0..sizes.len()).filter(|&client| sizes[client] > 0).collect();
    while !open.is_empty() {
        let place = rng.random_range(0..open.len());
        let client = open[place];
        let class = class_of(&classes, &shares[client], rng);
        let Some(sample) = classes.get_mut(class).and_then(Vec::pop) else { break };
        parts[client].push(sample);
        if parts[client].len() == sizes[client] {
            open.swap_remove(place);
        }
    }
    parts
}

/// Draws a class that has samples left, in proportion to `shares`; if none of these has any, in proportion to what is left.
fn class_of(classes: &[Vec<u32>], shares: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let weigh = |weight: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..classes.len()).map(|class| if classes[class].is_empty() { 0.0 } else { weight(class) }).collect()
    };
    let mut weights = weigh(&|class| shares[class]);
    if weights.iter().all(|weight| *weight <= 0.0) {
        weights = weigh(&|class| classes[class].len() as f64);
    }
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let mut chosen = 0;
    for (class, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        // The last class with a weight is also the result if rounding leaves a remainder.
        chosen = class;
        if left < weight {
            break;
        }
        left -= weight;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use fltk_core::seed::{Purpose, Seed};

    use super::*;

    #[test]
    fn samples_are_dealt_by_shares_until_a_class_runs_out() {
        let mut rng = Seed(1).stream(Purpose::Partition, &[]);
        let classes = || vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]];
        let mut deal = |shares: &[&[f64]], sizes: &[usize]| {
            let shares: Vec<Vec<f64>> = shares.iter().map(|shares| shares.to_vec()).collect();
            let mut parts = deal_by_shares(classes(), &shares, sizes, &mut rng);
            parts.iter_mut().for_each(|part| part.sort_unstable());
            parts
        };
        // Each client has a class alone: nothing is left to chance but the order of turns.
        assert_eq!(deal(&[&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0]], &[4, 3]), [vec![0, 1, 2, 3], vec![5, 6, 7]]);
        // The class of client 0 has too few samples: the rest comes from what the others leave.
        let parts = deal(&[&[0.0, 0.0, 1.0], &[0.0, 1.0, 0.0]], &[6, 4]);
        assert_eq!(parts.concat().len(), 10);
        assert!(parts[0].ends_with(&[8, 9]) && parts[1].iter().filter(|sample| (4..8).contains(*sample)).count() >= 2, "{parts:?}");
        // Shares that are all zero, as tiny ones can be, mean no preference.
        assert_eq!(deal(&[&[0.0, 0.0, 0.0]], &[10])[0].len(), 10);
    }

    /// Draws are proportional to the shares of the classes that have samples left.
    #[test]
    fn classes_are_drawn_in_proportion() {
        let mut rng = Seed(3).stream(Purpose::Partition, &[]);
        let classes = [vec![0], vec![], vec![1], vec![2]];
        let mut counts = [0_u32; 4];
        for _ in 0..10_000 {
            counts[class_of(&classes, &[0.1, 0.5, 0.3, 0.0], &mut rng)] += 1;
        }
        // Of what is left, 1/4 and 3/4: 2500 with a standard deviation of 43.
        assert!(counts[0].abs_diff(2500) < 220 && counts[0] + counts[2] == 10_000, "{counts:?}");
    }

    /// A share of `Dir(a)` has the mean `a_i / a` and the variance `m (1 - m) / (a + 1)`, where `m` is the mean and `a` the sum.
    #[test]
    fn dirichlet_shares_have_its_moments() {
        let mut rng = Seed(5).stream(Purpose::Partition, &[]);
        for concentrations in [[0.5, 0.5, 1.0, 0.0], [3.0, 1.0, 0.02, 0.0], [1e-5, 3e-5, 1e-5, 0.0], [1e5, 2e5, 1e5, 0.0]] {
            let sum: f64 = concentrations.iter().sum();
            let draws: Vec<Vec<f64>> = (0..10_000).map(|_| dirichlet(&concentrations, &mut rng).expect("positive")).collect();
            for (class, concentration) in concentrations.iter().enumerate() {
                let mean = concentration / sum;
                let variance = mean * (1.0 - mean) / (sum + 1.0);
                let found = draws.iter().map(|draw| draw[class]).sum::<f64>() / 10_000.0;
                // Five standard deviations of the mean of 10,000 draws.
                assert!((found - mean).abs() <= 0.05 * variance.sqrt(), "{concentrations:?}: class {class} has the mean {found}");
                let spread = draws.iter().map(|draw| (draw[class] - mean).powi(2)).sum::<f64>() / 10_000.0;
                assert!((spread - variance).abs() <= 0.15 * variance, "{concentrations:?}: class {class} has the variance {spread}");
            }
        }
    }
}
