//! TiFL: Chai et al., TiFL: a tier-based federated learning system, 2020, arXiv:2001.09249, with its static policy.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, SelectionEntry, SelectionSize, Whole, Wholes},
    ids::ClientId,
};

use super::{Selecting, Selection, draw_uniformly, urn::Urn};

/// The limit on tiers; the paper has five.
const TIERS_MAX: u32 = 1000;

const TIERS: Whole =
    Whole::new("tiers", 5, "The number of tiers. Each has as many clients as the others, or one more.").within(1, TIERS_MAX);
const TIER_WEIGHTS: Wholes = Wholes::new(
    "tier_weights",
    &[1],
    TIERS_MAX as usize,
    (0, 1_000_000),
    "How often each tier is drawn, in proportion, the fastest first: one number for each tier, or one alone for tiers that are drawn equally often. `[1, 0, 0, 0, 0]` \
     and `[14, 2, 2, 1, 1]` are the paper's policies `fast` and `random` for five tiers.",
);

/// Clients of similar speed train together: they are sorted by the simulated time of a round, or by their samples, which stand for it, and divided into tiers
/// of equal size; a round draws a tier, and its clients within that tier uniformly, without replacement.
///
/// A tier is drawn that has enough clients there; if none has, the round draws among all that are there.
///
/// Seven clients with 10, 70, 30, 20, 60, 40 and 50 samples in three tiers: 0 and 3; 2 and 5; 6, 4 and 1.
pub static SELECTION: Selection = Selection::new(
    SelectionEntry::new(
        Entry::new(
            "tifl",
            "Clients of similar speed train together: a round draws one of `tiers`, and its clients within that tier uniformly without replacement. Clients are sorted \
             into tiers by the time that their devices and links need for a round if time is simulated; otherwise by their samples, which stand for it, since what a \
             clock measures would make results depend on the machine. The policy is the paper's static one; the adaptive one, by the accuracy of each tier, isn't there.",
        )
        .paper("Chai et al., TiFL: a tier-based federated learning system, 2020, arXiv:2001.09249")
        .parameters(&[TIERS.parameter(), TIER_WEIGHTS.parameter()])
        .check(check),
    )
    .fits(fits),
    select,
);

fn check(settings: &Choice) -> Result<(), Misfit> {
    let (tiers, weights) = (TIERS.of(settings), TIER_WEIGHTS.of(settings));
    let misfit = |message, hint: &str| Err(Misfit { parameter: TIER_WEIGHTS.name(), message, hint: hint.to_owned() });
    if weights.len() > 1 && weights.len() != tiers as usize {
        return misfit(format!("`tier_weights` has {} numbers, and there are {tiers} tiers", weights.len()), "give one for each tier");
    }
    if weights.iter().all(|weight| *weight == 0) {
        return misfit("`tier_weights` are all 0: no tier would be drawn".to_owned(), "give some tier a weight");
    }
    Ok(())
}

fn fits(settings: &Choice, SelectionSize { selected, clients }: SelectionSize) -> Result<(), Misfit> {
    let tiers = TIERS.of(settings);
    let smallest = clients / u64::from(tiers);
    if smallest >= selected {
        return Ok(());
    }
    let message = format!("{clients} clients make {tiers} tiers of {smallest} or more, and a round selects {selected} of one tier");
    let hint = match clients / selected.max(1) {
        0 | 1 => "raise `clients`, or select fewer for a round".to_owned(),
        most => format!("choose at most {most} tiers, or select fewer clients for a round"),
    };
    Err(Misfit { parameter: TIERS.name(), message, hint })
}

fn select(this: &Selecting<'_>) -> Vec<ClientId> {
    let (tiers, mut stream) = (tiers(this), this.stream());
    let weights = TIER_WEIGHTS.of(this.settings);
    let weight = |(place, tier): (usize, &Vec<ClientId>)| {
        let weight = if weights.len() == 1 { 1 } else { weights.get(place).copied().unwrap_or(0) };
        if tier.len() >= this.amount { u64::from(weight) } else { 0 }
    };
    let tier = Urn::new(tiers.iter().enumerate().map(weight).collect()).draw(&mut stream);
    // Where clients come and go, there may be too few of any tier.
    let tier = tier.and_then(|tier| tiers.get(tier)).map_or(this.eligible, Vec::as_slice);
    draw_uniformly(tier, this.amount, &mut stream)
}

/// Returns the clients of each tier that are there, the fastest first. Tiers are made of all clients, there or not.
fn tiers(this: &Selecting<'_>) -> Vec<Vec<ClientId>> {
    let mut clients = this.profile.map_or(this.eligible, |profile| profile.clients).to_vec();
    clients.sort_by_cached_key(|&client| (this.round_trip(client), this.samples_of(client), client));
    let tiers = TIERS.of(this.settings) as usize;
    let is_there = |client: &ClientId| this.eligible.binary_search(client).is_ok();
    let tier = |tier: usize| &clients[clients.len() * tier / tiers..clients.len() * (tier + 1) / tiers];
    (0..tiers).map(|place| tier(place).iter().copied().filter(is_there).collect()).collect()
}

#[cfg(test)]
mod tests {
    use fltk_core::{ids::Round, seed::Seed, server_state::ServerState};

    use super::*;

    const SAMPLES: [u64; 8] = [10, 70, 30, 20, 60, 40, 50, 0];

    fn with<T>(settings: &Choice, round: u32, amount: usize, of: impl FnOnce(&Selecting<'_>) -> T) -> T {
        let eligible: Vec<ClientId> = (0..7).map(ClientId).collect();
        let (seed, round, eligible, server) = (Seed(42), Round(round), &eligible[..], &ServerState::default());
        of(&Selecting::new(settings, (seed, round), eligible, amount, &SAMPLES, server))
    }

    fn settings(tiers: u32) -> Choice {
        Choice::new("tifl").with("tiers", tiers)
    }

    #[test]
    fn clients_are_sorted_into_tiers_of_equal_size() {
        let found = with(&settings(3), 1, 2, tiers);
        assert_eq!(found, [vec![0, 3], vec![2, 5], vec![6, 4, 1]].map(|tier| tier.into_iter().map(ClientId).collect::<Vec<_>>()));
        assert_eq!(with(&settings(1), 1, 2, tiers).concat().len(), 7);
    }

    #[test]
    fn a_round_has_clients_of_one_tier() {
        let shares = |settings: &Choice| {
            let mut counts = [0_u32; 7];
            for round in 1..=3000 {
                let cohort = with(settings, round, 2, |this| SELECTION.cohort(this));
                assert_eq!(cohort.len(), 2);
                assert_eq!(
                    with(settings, round, 2, tiers).iter().filter(|tier| cohort.iter().all(|client| tier.contains(client))).count(),
                    1
                );
                cohort.iter().for_each(|client| counts[client.0 as usize] += 1);
            }
            counts.map(|count| f64::from(count) / 3000.0)
        };
        let check = |found: [f64; 7], expected: [f64; 7]| {
            // The standard deviation is at most 0.0092.
            assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 0.046), "{found:?}");
        };
        let third = 1.0 / 3.0;
        check(shares(&settings(3)), [third, 2.0 / 9.0, third, third, 2.0 / 9.0, third, 2.0 / 9.0]);
        check(shares(&settings(3).with("tier_weights", [3, 0, 1])), [0.75, 1.0 / 6.0, 0.0, 0.75, 1.0 / 6.0, 0.0, 1.0 / 6.0]);
    }

    #[test]
    fn only_what_is_possible_is_accepted() {
        let size = |selected, clients| SelectionSize { selected, clients };
        assert_eq!(fits(&settings(3), size(2, 7)), Ok(()));
        let misfit = fits(&settings(3), size(3, 7)).unwrap_err();
        assert_eq!(misfit.message, "7 clients make 3 tiers of 2 or more, and a round selects 3 of one tier");
        assert_eq!(misfit.hint, "choose at most 2 tiers, or select fewer clients for a round");
        assert_eq!(check(&settings(3).with("tier_weights", [1, 2, 3])), Ok(()));
        assert_eq!(
            check(&settings(3).with("tier_weights", [1, 2])).unwrap_err().message,
            "`tier_weights` has 2 numbers, and there are 3 tiers"
        );
        assert!(check(&settings(2).with("tier_weights", [0, 0])).is_err());
    }
}
