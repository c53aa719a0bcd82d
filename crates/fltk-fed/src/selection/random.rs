//! The uniform selection of clients.

use fltk_core::{
    catalogue::{Entry, SelectionEntry},
    ids::ClientId,
};

use super::{Selecting, Selection, draw_uniformly};

/// Clients drawn uniformly at random, without replacement.
pub static SELECTION: Selection =
    Selection::new(SelectionEntry::new(Entry::new("random", "Uniformly at random, without replacement.")).one_by_one(), select);

fn select(this: &Selecting<'_>) -> Vec<ClientId> {
    draw_uniformly(this.eligible, this.amount, &mut this.stream())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fltk_core::{catalogue::Choice, ids::Round, seed::Seed, server_state::ServerState};
    use proptest::prelude::*;

    use super::*;

    fn select(seed: Seed, round: Round, eligible: &[ClientId], amount: usize) -> Vec<ClientId> {
        let (settings, server) = (&Choice::new("random"), &ServerState::default());
        SELECTION.cohort(&Selecting::new(settings, (seed, round), eligible, amount, &[], server))
    }

    #[test]
    fn selection_matches_golden_values() {
        let eligible: Vec<ClientId> = (0..1000).map(ClientId).collect();
        let check = |seed: u64, round: u32, expected: [u32; 5]| {
            let found: Vec<u32> = select(Seed(seed), Round(round), &eligible, 5).iter().map(|client| client.0).collect();
            assert_eq!(found, expected, "seed {seed}, round {round}");
        };
        // Recorded from this code: these draws decide recorded results, so a new version of `rand` must not change them unnoticed.
        check(42, 1, [360, 580, 675, 813, 826]);
        check(42, 2, [90, 95, 238, 603, 886]);
        check(43, 1, [6, 421, 423, 661, 948]);
    }

    #[test]
    fn clients_are_equally_likely() {
        let eligible: Vec<ClientId> = (0..20).map(ClientId).collect();
        let mut counts = [0_u32; 20];
        for round in 1..=4000 {
            for client in select(Seed(7), Round(round), &eligible, 5) {
                counts[client.0 as usize] += 1;
            }
        }
        // Binomial(4000, 1/4): mean 1000, standard deviation 27; deviations up to six times that are allowed.
        assert!(counts.iter().all(|count| (836..=1164).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn cohorts_are_sorted_subsets(seed: u64, round: u32, clients in prop::collection::btree_set(any::<u32>(), 1..200), share in 0.0..=1.0_f64) {
            let eligible: Vec<ClientId> = clients.iter().copied().map(ClientId).collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "at most 200")]
            let amount = (share * eligible.len() as f64) as usize;
            let cohort = select(Seed(seed), Round(round), &eligible, amount);
            prop_assert_eq!(cohort.len(), amount);
            prop_assert!(cohort.is_sorted_by(|a, b| a < b));
            prop_assert!(cohort.iter().all(|client| clients.contains(&client.0)));
            prop_assert_eq!(&cohort, &select(Seed(seed), Round(round), &eligible, amount));
        }

        #[test]
        fn oversized_cohort_has_all_clients(seed: u64, clients in prop::collection::btree_set(any::<u32>(), 0..50)) {
            let eligible: Vec<ClientId> = clients.iter().copied().map(ClientId).collect();
            let cohort = select(Seed(seed), Round(1), &eligible, 60);
            prop_assert_eq!(cohort.iter().map(|client| client.0).collect::<BTreeSet<_>>(), clients);
        }
    }
}
