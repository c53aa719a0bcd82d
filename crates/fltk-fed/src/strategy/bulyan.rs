//! Bulyan: El Mhamdi et al., The Hidden Vulnerability of Distributed Learning in Byzantium, 2018, arXiv:1802.07927, section 4.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, StrategyEntry},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, Update, robust};

/// Krum, repeated, and then a trimmed mean around the median of the models that it took:
///
/// ```text
/// theta = n - 2 f models are taken, one after another, each by Krum among those left, with max(1, left - f - 2) neighbors
/// w'    = for each coordinate, the mean of the theta - 2 f values nearest to the median of those taken
/// ```
///
/// Of equal scores that of the lower client counts, and of equally near values the smaller one.
///
/// With f = 1 and clients at 0, 1, 2, 3, 4, 5 and 100, theta is 5: 2 is taken first (score 10 with 4 neighbors), then 3 (9 with 3), 1 (10
/// with 2), 4 (1 with 1) and 0 (25 with 1). Their median is 2, and the 3 values nearest to it are 1, 2 and 3: w' = 2.
pub static SPEC: Spec = Spec::robust(
    StrategyEntry::new(
        Entry::new("Bulyan", "Krum, repeated, and a trimmed mean of the models that it took; robust.")
            .paper("El Mhamdi et al., The Hidden Vulnerability of Distributed Learning in Byzantium, 2018, arXiv:1802.07927")
            .parameters(&[robust::F.parameter()]),
    )
    .cohort(check)
    .withstands(robust::withstood),
    finish,
);

fn check(settings: &Choice, cohort: u32) -> Result<(), Misfit> {
    let needed = 4 * u64::from(robust::F.of(settings)) + 3;
    robust::at_least(settings, "Bulyan", needed, "4 f + 3", cohort)
}

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let (updates, f) = (gathered.updates, robust::F.of(round.config) as usize);
    let places = taken(&robust::Distances::new(round, &updates), updates.len(), f);
    let num_nearest = places.len().saturating_sub(2 * f).max(1);
    let chosen: Vec<Update> = places.iter().map(|&place| updates[place].clone()).collect();
    let parameters = robust::by_coordinate(round, &chosen, |sorted| {
        let median = robust::median(sorted);
        let mut nearest = sorted.to_vec();
        // The sort is stable: of equally near values, the smaller one stays first.
        nearest.sort_by(|one, other| (one - median).abs().total_cmp(&(other - median).abs()));
        robust::mean(&nearest[..num_nearest.min(nearest.len())])
    });
    Ok(robust::model(round, &updates, parameters))
}

/// Returns the places of the updates that are taken, ascending.
fn taken(distances: &robust::Distances, num: usize, f: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..num).collect();
    let mut taken = Vec::new();
    while taken.len() < num.saturating_sub(2 * f) {
        let nearest = left.len().saturating_sub(f + 2).max(1);
        let Some(&best) = distances.ranked(&left, nearest).first() else { break };
        left.retain(|&place| place != best);
        taken.push(best);
    }
    taken.sort_unstable();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Run, client};

    fn bulyan(values: &[f32]) -> Vec<f32> {
        let answers: Vec<_> = values.iter().map(|&value| client(&[value])).collect();
        Run::new(&SPEC, Choice::new("Bulyan").with("f", 1), &[0.0]).round(&answers)
    }

    #[test]
    fn models_near_the_median_of_those_taken_are_averaged() {
        assert_eq!(bulyan(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 100.0]), [2.0]);
        // Of equal scores the lower client counts: from the other end, 3, 2, 4, 1 and 5 are taken, and their median is 3.
        assert_eq!(bulyan(&[100.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]), [3.0]);
    }

    #[test]
    fn one_value_remains_of_the_smallest_cohort_without_liars() {
        // f = 0 and n = 3: all three are taken, and all three values are averaged.
        let answers = [client(&[0.0]), client(&[1.0]).samples(1 << 50), client(&[5.0]).buffer(7.0)];
        let mut run = Run::new(&SPEC, Choice::new("Bulyan").with("f", 0), &[0.0]);
        assert_eq!((run.round(&answers), run.buffer()), (vec![2.0], 0.0));
    }

    #[test]
    fn impossible_cohorts_are_refused() {
        assert_eq!(check(&Choice::new("Bulyan"), 7), Ok(()));
        let refusal = check(&Choice::new("Bulyan"), 6).unwrap_err();
        assert_eq!(refusal.message, "`Bulyan` with `f: 1` needs at least 4 f + 3 = 7 updates in a round, and there are 6");
    }
}
