//! The catalogue of all selections.

use fltk_core::catalogue::SelectionEntry;

use super::{Selection, cyclic, file, oort, power_of_choice, random, tifl, weighted};

/// Every selection.
pub const CATALOGUE: &[&Selection] = &[
    &random::SELECTION,
    &weighted::SELECTION,
    &power_of_choice::SELECTION,
    &oort::SELECTION,
    &tifl::SELECTION,
    &cyclic::SELECTION,
    &file::SELECTION,
];

/// Returns the selection of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Selection> {
    CATALOGUE.iter().copied().find(|selection| selection.name() == name)
}

/// Returns the entries of all selections, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static SelectionEntry> {
    CATALOGUE.iter().map(|selection| &selection.entry).collect()
}

#[cfg(test)]
mod tests {
    use fltk_core::{
        catalogue::{Choice, SelectionSize},
        ids::{ClientId, Round},
        metrics::TrainSummary,
        seed::Seed,
        server_state::ServerState,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::selection::{Observing, Selecting, Trained};

    /// The selections that need no file, with values for parameters that have no default.
    fn any_selection() -> impl Strategy<Value = (&'static Selection, Choice)> {
        let settings = |selection: &Selection, value: u32| {
            let required = selection.entry.entry.parameters.iter().filter(|parameter| parameter.default().is_none());
            required.fold(Choice::new(selection.name()), |settings, parameter| settings.with(parameter.name, value))
        };
        let all: Vec<&Selection> = CATALOGUE.iter().copied().filter(|selection| !selection.reads_file()).collect();
        (prop::sample::select(all), 1..30_u32).prop_map(move |(selection, value)| (selection, settings(selection, value)))
    }

    /// The memory of clients 0 to 39, of whom some never counted.
    fn memories() -> impl Strategy<Value = Vec<(u32, u64, Option<f64>)>> {
        prop::collection::vec((0..40_u32, 0..9_u64, prop::option::of(-1.0..1e9_f64)), 0..60)
    }

    proptest! {
        #[test]
        fn every_cohort_has_the_right_number_of_different_eligible_clients(
            (selection, settings) in any_selection(),
            seed: u64,
            round in 2..100_u32,
            amount in 0..45_usize,
            samples in prop::collection::vec(0..50_u64, 40),
            memories in memories(),
        ) {
            let mut server = ServerState::default();
            for (earlier, (client, num_steps, loss)) in (1..).zip(memories) {
                let trained = [Trained::new(ClientId(client), TrainSummary { num_samples: 1, num_steps, loss })];
                let observing = Observing { settings: &settings, round: Round(1 + earlier % (round - 1).max(1)), samples: &samples, trained: &trained };
                (selection.observe)(&observing, &mut server);
            }
            let eligible: Vec<ClientId> = (0..).map(ClientId).zip(&samples).filter(|(_, held)| **held > 0).map(|(client, _)| client).collect();
            let size = SelectionSize { selected: amount as u64, clients: eligible.len() as u64 };
            let selecting = Selecting::new(&settings, (Seed(seed), Round(round)), &eligible, amount, &samples, &server);
            let cohort = selection.cohort(&selecting);
            prop_assert!(cohort.is_sorted_by(|one, other| one < other) && cohort.iter().all(|client| eligible.contains(client)));
            if (selection.entry.fits)(&settings, size).is_ok() {
                prop_assert_eq!(cohort.len(), amount.min(eligible.len()));
            }
            prop_assert_eq!(cohort, selection.cohort(&selecting));
        }
    }

    #[test]
    fn what_selections_and_strategies_remember_has_different_names() {
        for selection in CATALOGUE {
            let mut server = ServerState::default();
            let settings = Choice::new(selection.name()).with("pacer_step", 1);
            let trained = [Trained::new(ClientId(0), TrainSummary { num_samples: 1, num_steps: 1, loss: Some(1.0) })];
            for round in (1..50).map(Round) {
                (selection.observe)(&Observing { settings: &settings, round, samples: &[1], trained: &trained }, &mut server);
            }
            assert!(server.arrays.keys().chain(server.scalars.keys()).all(|name| name.starts_with("selection.")), "{server:?}");
        }
        for strategy in crate::strategy::CATALOGUE {
            assert!(strategy.state.iter().all(|kept| !kept.name.starts_with("selection.")), "{}", strategy.name());
        }
    }
}
