//! The selection of clients by their samples.

use fltk_core::{
    catalogue::{Entry, SelectionEntry},
    ids::ClientId,
};
use rand::Rng;

use super::{Selecting, Selection, urn::Urn};

/// Clients drawn one after another, each with a probability that is its share of the samples of those not drawn yet.
///
/// With clients of 1, 2 and 3 samples and two to draw, the third is drawn first with 3/6, or second: after the first with 1/6 * 3/5, after the second
/// with 2/6 * 3/4, together 0.85; the second with 1/3 + 1/6 * 2/5 + 1/2 * 2/3 = 11/15, the first with 1/6 + 1/3 * 1/4 + 1/2 * 1/3 = 5/12.
pub static SELECTION: Selection = Selection::new(
    SelectionEntry::new(
        Entry::new(
            "weighted",
            "At random by samples: clients are drawn one after another, each with a probability proportional to its samples among those not drawn yet. With \
             `strategy: { type: FedAvg, weights: uniform }` or the like this is the sampling of `FedProx`'s paper, where the mean isn't weighted again.",
        )
        .paper("Li et al., Federated optimization in heterogeneous networks, 2020, arXiv:1812.06127"),
    )
    .one_by_one(),
    |this| draw_by_samples(this, this.amount, &mut this.stream()),
);

/// Returns so many of the eligible clients, in the order in which they are drawn.
pub(super) fn draw_by_samples(this: &Selecting<'_>, amount: usize, stream: &mut impl Rng) -> Vec<ClientId> {
    let mut urn = Urn::new(this.eligible.iter().map(|&client| this.samples_of(client)).collect());
    std::iter::from_fn(|| urn.draw(stream)).take(amount).map(|position| this.eligible[position]).collect()
}

#[cfg(test)]
mod tests {
    use fltk_core::{catalogue::Choice, ids::Round, seed::Seed, server_state::ServerState};

    use super::*;

    fn select(seed: u64, round: u32, samples: &[u64], amount: usize) -> Vec<u32> {
        let eligible: Vec<ClientId> = (0..).zip(samples).filter(|(_, held)| **held > 0).map(|(client, _)| ClientId(client)).collect();
        let (settings, server) = (&Choice::new("weighted"), &ServerState::default());
        let (seed, round, eligible) = (Seed(seed), Round(round), &eligible[..]);
        let found = SELECTION.cohort(&Selecting::new(settings, (seed, round), eligible, amount, samples, server));
        found.into_iter().map(|client| client.0).collect()
    }

    #[test]
    fn selection_matches_golden_values() {
        let samples: Vec<u64> = (0..1000).collect();
        // Recorded from this code: these draws decide recorded results, so a new version of `rand` must not change them unnoticed.
        let expected = [[682, 733, 780, 903, 909], [253, 301, 489, 722, 979], [82, 436, 588, 650, 857]];
        assert_eq!([(42, 1), (42, 2), (43, 1)].map(|(seed, round)| select(seed, round, &samples, 5)), expected);
    }

    #[test]
    fn clients_are_drawn_by_their_share_of_what_is_left() {
        let (mut counts, rounds) = ([0_u32; 5], 20_000);
        for round in 1..=rounds {
            // Clients without samples are among them.
            for client in select(7, round, &[0, 1, 2, 0, 3], 2) {
                counts[client as usize] += 1;
            }
        }
        for (count, expected) in counts.iter().zip([0.0, 5.0 / 12.0, 11.0 / 15.0, 0.0, 0.85]) {
            // The standard deviation is at most 0.0035.
            let share = f64::from(*count) / f64::from(rounds);
            assert!((share - expected).abs() < 0.018, "{counts:?}");
        }
    }
}
