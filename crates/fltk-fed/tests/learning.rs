//! Tests that the strategies learn what they should, on a problem with a known solution.

mod support;

use std::sync::Arc;

use fltk_core::{catalogue::Choice, experiment::FederatedConfig, model_state::ModelState, schedule::LearningRates, seed::Seed};
use fltk_fed::{
    dummy::Dummy,
    round::{Federation, Record, Setup},
};

use support::{SEED, config, federation, final_state, run_in_order};

/// Returns the largest distance of a weight from the optimum.
fn gap(dummy: &Dummy, state: &ModelState) -> f64 {
    dummy.optimum().iter().zip(&state.floats).map(|(best, &weight)| (best - f64::from(weight)).abs()).fold(0.0, f64::max)
}

fn everybody(strategy: Choice, rounds: u32) -> FederatedConfig {
    FederatedConfig { clients_per_round: 12, rounds, strategy, evaluate_every: 1, ..config() }
}

#[test]
fn fedavg_improves_every_round_and_finds_the_optimum() {
    let dummy = Dummy::new(Seed(1), 17, vec![3; 12]);
    let records = run_in_order(federation(&everybody(Choice::new("FedAvg"), 60), &dummy), &dummy);
    assert!(gap(&dummy, final_state(&records)) < 1e-6);
    let losses: Vec<f64> = records
        .iter()
        .filter_map(|record| if let Record::RoundEnded(round) = record { round.test.as_ref().map(|test| test.loss) } else { None })
        .collect();
    assert_eq!(losses.len(), 61);
    // In the end the rounds differ by less than f32 can represent.
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0] + 1e-9), "{losses:?}");
}

/// Wang et al. 2020, theorem 1: with unequal numbers of local steps, `FedAvg` converges to the optimum of a different objective, which
/// weights clients by their steps. `FedNova` doesn't.
#[test]
fn fednova_is_consistent_where_fedavg_is_not() {
    let steps = (0..12).map(|client| 1 + 4 * (client % 6)).collect();
    let dummy = Dummy::new(Seed(2), 17, steps);
    let final_gap = |strategy| {
        let setup =
            Setup::new(everybody(strategy, 3000), LearningRates { initial: 0.001, scheduler: None }, SEED, dummy.samples.clone(), 3);
        let federation = Federation::new(setup.expect("the settings are possible"), Arc::new(dummy.initial()));
        gap(&dummy, final_state(&run_in_order(federation.expect("the dummy's state is sound"), &dummy)))
    };
    let (nova, average) = (final_gap(Choice::new("FedNova")), final_gap(Choice::new("FedAvg")));
    assert!(average > 0.1, "{average}");
    assert!(nova < average / 20.0, "{nova} and {average}");
}

/// Checks the averages of the dummy's buffer and counter: the buffer's is within its clients' range, the counter is that of the client with
/// the most steps.
#[test]
fn counters_take_the_maximum() {
    for strategy in [Choice::new("FedAvg"), Choice::new("FedNova")] {
        let dummy = Dummy::new(Seed(3), 5, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 40]);
        let records = run_in_order(federation(&everybody(strategy, 6), &dummy), &dummy);
        assert_eq!(final_state(&records).counters, [6 * 40]);
    }
}
