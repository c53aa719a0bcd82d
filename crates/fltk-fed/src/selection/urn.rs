//! Draws without replacement, with probabilities proportional to weights.

use rand::{Rng, RngExt};

/// Things with whole weights. They are drawn one after another; each draw takes one of those left with a probability that is its share of the
/// weights left. The arithmetic is exact.
pub(super) struct Urn {
    weights: Vec<u64>,
    /// A Fenwick tree: `sums[i]`, counted from 1, is the sum of the `i & -i` weights up to the `i`th.
    sums: Vec<u64>,
    total: u64,
}

impl Urn {
    /// Creates an urn with things of these weights, whose sum has to be below 2^64. What has no weight is never drawn.
    pub(super) fn new(weights: Vec<u64>) -> Self {
        let mut sums = vec![0; weights.len() + 1];
        for (index, &weight) in (1..).zip(&weights) {
            sums[index] += weight;
            let (above, sum) = (index + lowest_bit(index), sums[index]);
            if let Some(above) = sums.get_mut(above) {
                *above += sum;
            }
        }
        let total = weights.iter().sum();
        Self { weights, sums, total }
    }

    /// Draws the next thing, and returns its position; `None` if nothing with a weight is left.
    pub(super) fn draw(&mut self, stream: &mut impl Rng) -> Option<usize> {
        if self.total == 0 {
            return None;
        }
        let position = self.at(stream.random_range(0..self.total));
        let weight = std::mem::take(&mut self.weights[position]);
        self.total -= weight;
        let mut index = position + 1;
        while let Some(sum) = self.sums.get_mut(index) {
            *sum -= weight;
            index += lowest_bit(index);
        }
        Some(position)
    }

    /// Returns the position of the thing whose weight contains this part of the total, if the weights lie one after another.
    fn at(&self, mut part: u64) -> usize {
        let (mut position, mut step) = (0, self.weights.len().next_power_of_two());
        while step > 0 {
            if let Some(&sum) = self.sums.get(position + step).filter(|sum| **sum <= part) {
                position += step;
                part -= sum;
            }
            step /= 2;
        }
        position
    }
}

fn lowest_bit(index: usize) -> usize {
    index & index.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use fltk_core::seed::{Purpose, Seed};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_of_the_total_belong_to_the_weights_in_order() {
        let urn = Urn::new(vec![2, 0, 3, 1, 0, 0, 4]);
        let found: Vec<usize> = (0..10).map(|part| urn.at(part)).collect();
        assert_eq!(found, [0, 0, 2, 2, 2, 3, 6, 6, 6, 6]);
    }

    proptest! {
        #[test]
        fn each_thing_with_a_weight_is_drawn_once(weights in prop::collection::vec(0..5_u64, 0..40), seed: u64) {
            let (mut urn, mut stream) = (Urn::new(weights.clone()), Seed(seed).stream(Purpose::Selection, &[]));
            let mut left = weights;
            while let Some(position) = urn.draw(&mut stream) {
                prop_assert!(left[position] > 0);
                left[position] = 0;
                let expected: Vec<usize> =
                    left.iter().enumerate().flat_map(|(position, &weight)| std::iter::repeat_n(position, weight as usize)).collect();
                let found: Vec<usize> = (0..urn.total).map(|part| urn.at(part)).collect();
                prop_assert_eq!(found, expected);
            }
            prop_assert!(left.iter().all(|weight| *weight == 0));
        }
    }
}
