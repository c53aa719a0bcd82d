//! IID parts of equal or different sizes.

use fltk_core::experiment::QuantitySkew;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{PartitionError, deal};

/// The ratio between the sizes of the last and the first client of [`QuantitySkew::Exponential`].
const EXPONENTIAL_RATIO: f64 = 10.0;

fn permutation(samples: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    // `partition` has checked that indices fit.
    let mut order: Vec<u32> = (0..samples as u32).collect();
    order.shuffle(rng);
    order
}

fn check_one_each(samples: usize, clients: u32) -> Result<(), PartitionError> {
    if samples < clients as usize {
        return Err(PartitionError::TooFewSamples { samples, parts: u64::from(clients), each: 1, also: "" });
    }
    Ok(())
}

pub(super) fn uniform(samples: usize, clients: u32, rng: &mut ChaCha8Rng) -> Result<Vec<Vec<u32>>, PartitionError> {
    check_one_each(samples, clients)?;
    let mut parts = vec![Vec::new(); clients as usize];
    deal(permutation(samples, rng), &mut parts);
    Ok(parts)
}

pub(super) fn skewed(samples: usize, clients: u32, skew: QuantitySkew, rng: &mut ChaCha8Rng) -> Result<Vec<Vec<u32>>, PartitionError> {
    check_one_each(samples, clients)?;
    if let QuantitySkew::PowerLaw { exponent } = skew {
        // Above 100, the second client's share is below 2^-100, which is less than a sample of any data set and close to an overflow.
        if !(exponent > 0.0 && exponent <= 100.0) {
            return Err(PartitionError::Parameter { name: "exponent", value: exponent, range: "above 0 and at most 100" });
        }
    }
    let weights: Vec<f64> = (0..clients).map(|client| weight(skew, client, clients)).collect();
    let order = permutation(samples, rng);
    let mut rest = order.as_slice();
    let mut parts = Vec::with_capacity(clients as usize);
    for size in apportion(samples, &weights) {
        let (part, others) = rest.split_at(size);
        parts.push(part.to_vec());
        rest = others;
    }
    Ok(parts)
}

fn weight(skew: QuantitySkew, client: u32, clients: u32) -> f64 {
    let place = f64::from(client) + 1.0;
    match skew {
        QuantitySkew::Linear {} => place,
        QuantitySkew::Square {} => place * place,
        QuantitySkew::Exponential {} => EXPONENTIAL_RATIO.powf(f64::from(client) / f64::from(clients.max(2) - 1)),
        QuantitySkew::PowerLaw { exponent } => place.powf(-exponent),
    }
}

/// Divides `total` in proportion to `weights` by largest remainders (ties: the lower index), then gives each empty part one from the
/// largest part. This needs `total >= weights.len()`.
fn apportion(total: usize, weights: &[f64]) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    let quotas: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    let mut sizes: Vec<usize> = quotas.iter().map(|quota| quota.floor() as usize).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by(|&a, &b| quotas[b].fract().total_cmp(&quotas[a].fract()).then(a.cmp(&b)));
    let missing = total - sizes.iter().sum::<usize>().min(total);
    for &part in by_remainder.iter().cycle().take(missing) {
        sizes[part] += 1;
    }
    // Rounding of the quotas themselves can assign one too many; the largest part gives it back.
    while sizes.iter().sum::<usize>() > total {
        take_from_largest(&mut sizes);
    }
    for part in 0..sizes.len() {
        if sizes[part] == 0 {
            take_from_largest(&mut sizes);
            sizes[part] = 1;
        }
    }
    sizes
}

fn take_from_largest(sizes: &mut [usize]) {
    if let Some(largest) = sizes.iter_mut().max() {
        *largest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_law() {
        let sizes = |total, clients, skew| apportion(total, &(0..clients).map(|client| weight(skew, client, clients)).collect::<Vec<_>>());
        assert_eq!(sizes(100, 4, QuantitySkew::Linear {}), [10, 20, 30, 40]);
        assert_eq!(sizes(300, 4, QuantitySkew::Square {}), [10, 40, 90, 160]);
        assert_eq!(sizes(111, 3, QuantitySkew::Exponential {}), [8, 25, 78]);
        assert_eq!(sizes(7, 1, QuantitySkew::Exponential {}), [7]);
        assert_eq!(sizes(175, 3, QuantitySkew::PowerLaw { exponent: 2.0 }), [129, 32, 14]);
        assert_eq!(sizes(1000, 4, QuantitySkew::PowerLaw { exponent: 100.0 }), [997, 1, 1, 1]);
        assert_eq!(sizes(5, 5, QuantitySkew::Square {}), [1; 5]);
    }
}
