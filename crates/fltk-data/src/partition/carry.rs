//! The rounding of fractional shares to whole samples, class after class: over all classes, every client gets its share, up to about one
//! sample.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The number of parts of a sample in which fractions are counted. The count is exact, so equal sums stay equal whatever the order of their
/// terms.
const PARTS: f64 = 4_294_967_296.0;

/// The fractions that each client is still owed from the classes so far, or has received too much.
#[derive(Clone, Debug)]
pub(super) struct Carry {
    /// The amount that each client is owed, in [`PARTS`] of a sample; below 0 if it got too much.
    behind: Vec<i64>,
    /// The order among clients that are equally far behind: the lower rank goes first.
    rank: Vec<usize>,
}

impl Carry {
    /// Starts with all clients even; `rng` decides the order among equals.
    pub(super) fn new(clients: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut rank: Vec<usize> = (0..clients).collect();
        rank.shuffle(rng);
        // The holder of the left-over samples, if there is one, comes last.
        rank.push(clients);
        Self { behind: vec![0; clients + 1], rank }
    }

    /// Returns how many of a class's `len` samples go to each of `shares`, which are clients with their fractions of the class: the whole samples of
    /// each share, and the rest, one each, to the clients furthest behind. All samples are assigned.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares are in 0..=1, and a class has less than 2^32 samples"
    )]
    pub(super) fn sizes(&mut self, len: usize, shares: &[(usize, f64)]) -> Vec<usize> {
        let mut sizes = Vec::with_capacity(shares.len());
        for &(client, share) in shares {
            let quota = share.clamp(0.0, 1.0) * len as f64;
            sizes.push(quota as usize);
            self.behind[client] += (quota.fract() * PARTS).round() as i64;
        }
        let missing = len.saturating_sub(sizes.iter().sum());
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by_key(|&place| (std::cmp::Reverse(self.behind[shares[place].0]), self.rank[shares[place].0]));
        for &place in order.iter().cycle().take(if order.is_empty() { 0 } else { missing }) {
            sizes[place] += 1;
            self.behind[shares[place].0] -= PARTS as i64;
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use fltk_core::seed::{Purpose, Seed};

    use super::*;

    fn carry(clients: usize, seed: u64) -> Carry {
        Carry::new(clients, &mut Seed(seed).stream(Purpose::Partition, &[1]))
    }

    #[test]
    fn fractions_are_carried_until_they_make_a_whole() {
        let mut carry = carry(3, 1);
        let shares = [(0, 0.5), (1, 0.3), (2, 0.2)];
        let of_classes: Vec<_> = (0..10).map(|_| carry.sizes(1, &shares)).collect();
        let of_client = |client: usize| of_classes.iter().map(|sizes| sizes[client]).sum::<usize>();
        assert_eq!([0, 1, 2].map(of_client), [5, 3, 2]);
        assert!(of_classes.iter().all(|sizes| sizes.iter().sum::<usize>() == 1));
        assert_eq!(carry.sizes(10, &shares), [5, 3, 2], "what is whole stays as it is");
        assert_eq!(carry.sizes(0, &shares), [0, 0, 0]);
        assert_eq!(carry.sizes(7, &[]), [0; 0]);
    }

    #[test]
    fn ties_are_broken_at_random() {
        let first = |seed| carry(100, seed).sizes(1, &(0..100).map(|client| (client, 0.01)).collect::<Vec<_>>());
        assert_eq!(first(1), first(1));
        assert!((2..10).any(|seed| first(seed) != first(1)));
    }
}
