//! Federated averaging: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017,
//! arXiv:1602.05629, algorithm 1: `w = sum_k (n_k / n) w_k`.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Entry, StrategyEntry},
    model_state::{ModelState, TensorRole},
    server_state::{ServerState, WrongLength},
};

use super::{
    Gathered, Gathering, Spec, Update,
    pseudo_gradient::{self, WEIGHTS},
    round_to_f32,
};

/// The mean of the clients' models, weighted by the samples they hold unless `weights` says otherwise; buffers are weighted by samples in any
/// case.
///
/// With `weights: samples`, clients with 1 and 3 samples at 1 and 5 give (1 * 1 + 3 * 5) / 4 = 4; `uniform` gives 3, and `steps` with 3 and 1
/// steps gives (3 * 1 + 1 * 5) / 4 = 2. If nobody took a step, `steps` leaves the parameters as they are.
///
/// `n_k w_k` is exact in f64 up to `n_k = 2^29`; the sum is divided by `n` once and rounded to f32 once. So averaging equal models returns
/// the same bits, and every element lies between the clients' smallest and largest.
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(
        Entry::new("FedAvg", "The mean of the clients' models, weighted by the samples that they hold.")
            .parameters(&[WEIGHTS.parameter()])
            .paper("McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, arXiv:1602.05629"),
    ),
    take,
    finish,
);

/// The name of the sum of weights.
const TOTAL: &str = "weights";

/// Adds `p_k w_k` for parameters, where `p_k` is the weight by the setting `weights`, and `n_k w_k` for buffers.
pub(super) fn take(round: &Gathering<'_>, sums: &mut Gathered, update: Update) {
    let (weight, samples) = (pseudo_gradient::weight(round.config, &update), update.weight());
    sums.add(TOTAL, weight);
    for (role, span) in round.spans {
        let weight = if *role == TensorRole::Parameter { weight } else { samples };
        for (sum, &value) in sums.floats[span.clone()].iter_mut().zip(&update.state.floats[span.clone()]) {
            *sum += weight * f64::from(value);
        }
    }
    sums.take_counters(&update.state);
}

/// Divides by the sums of weights.
pub(super) fn finish(round: &Gathering<'_>, sums: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let total = sums.scalar(TOTAL);
    let mut floats = round.global.floats.clone();
    for (role, span) in round.spans {
        let total = if *role == TensorRole::Parameter { total } else { sums.samples };
        for (value, sum) in floats[span.clone()].iter_mut().zip(&sums.floats[span.clone()]).filter(|_| total > 0.0) {
            *value = round_to_f32(sum / total);
        }
    }
    Ok(ModelState { layout: Arc::clone(&round.global.layout), floats, counters: sums.counters })
}

#[cfg(test)]
mod tests {
    use fltk_core::{
        catalogue::Choice,
        client_terms::Extras,
        model_state::{TensorRole, TensorSpec},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::strategy::{
        by_hand::{Run, client},
        spec::combine,
    };

    fn state(floats: &[f32], counter: i64) -> ModelState {
        let spec = |name: &str, shape: Vec<usize>, role| TensorSpec { name: name.to_owned(), shape, role };
        let layout =
            vec![spec("weight", vec![floats.len()], TensorRole::Parameter), spec("num_batches_tracked", vec![], TensorRole::Counter)];
        ModelState { layout: Arc::new(layout), floats: floats.to_vec(), counters: vec![counter] }
    }

    fn average(clients: &[(u64, ModelState)]) -> ModelState {
        let updates = clients.iter().map(|(samples, state)| (*samples, Extras::new(), state.clone()));
        combine(&SPEC, &Choice::new("FedAvg"), &clients[0].1, updates.collect(), &mut ServerState::default())
    }

    fn bits(state: &ModelState) -> Vec<u32> {
        state.floats.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn mean_matches_golden_values() {
        // Computed by hand: (1*1 + 3*5) / 4 = 4; (1*-2 + 3*2) / 4 = 1; (0.5 + 3*0.25) / 4 = 0.3125.
        // The reference system would give 4, 1, 0.25.
        let found = average(&[(1, state(&[1.0, -2.0, 0.5], 7)), (3, state(&[5.0, 2.0, 0.25], 3))]);
        assert_eq!(found, state(&[4.0, 1.0, 0.3125], 7));
    }

    #[test]
    fn sums_are_rounded_to_nearest_ties_to_even() {
        let (one, next) = (1.0_f32, 1.0_f32.next_up());
        let check = |weights: (u64, u64), values: (f32, f32), expected: f32| {
            assert_eq!(
                average(&[(weights.0, state(&[values.0], 0)), (weights.1, state(&[values.1], 0))]).floats,
                [expected],
                "{weights:?}"
            );
        };
        check((1, 1), (one, next), one);
        check((1, 1), (next, next.next_up()), next.next_up());
        check((2, 1), (one, next), one);
        check((1, 2), (one, next), next);
        // Sums in f32 would overflow, and would lose the small value.
        check((1, 1), (f32::MAX, f32::MAX), f32::MAX);
        check((1, 1), (f32::MAX, -f32::MAX), 0.0);
        check((1, 1), (16_777_216.0, 2.0), 8_388_609.0);
        check((1, 1), (f32::from_bits(1), f32::from_bits(3)), f32::from_bits(2));
    }

    #[test]
    fn weights_are_samples_or_uniform_or_steps() {
        let check = |weights: &str, steps: (u64, u64), expected: f32| {
            let mut run = Run::new(&SPEC, Choice::new("FedAvg").with("weights", weights), &[0.5]);
            let answers = [client(&[1.0]).samples(1).steps(steps.0).buffer(8.0), client(&[5.0]).samples(3).steps(steps.1).buffer(4.0)];
            assert_eq!((run.round(&answers), run.buffer()), (vec![expected], 5.0), "{weights}");
        };
        check("samples", (3, 1), 4.0);
        check("uniform", (3, 1), 3.0);
        check("steps", (3, 1), 2.0);
        check("steps", (0, 0), 0.5);
    }

    #[test]
    fn sign_of_zero_is_kept() {
        assert_eq!(bits(&average(&[(2, state(&[-0.0, 0.0], 0)), (5, state(&[-0.0, 0.0], 0))])), [(-0.0_f32).to_bits(), 0]);
    }

    fn finite() -> impl Strategy<Value = f32> {
        any::<f32>().prop_filter("finite", |value| value.is_finite())
    }

    proptest! {
        #[test]
        fn mean_of_equal_models_is_that_model(floats in prop::collection::vec(finite(), 1..20), samples in prop::collection::vec(1..1_u64 << 40, 1..30)) {
            let clients: Vec<_> = samples.iter().map(|&samples| (samples, state(&floats, -4))).collect();
            let found = average(&clients);
            prop_assert_eq!(bits(&found), bits(&clients[0].1));
            prop_assert_eq!(found.counters, vec![-4]);
        }

        #[test]
        fn mean_lies_between_the_models(clients in prop::collection::vec((1..100_000_u64, prop::array::uniform4(finite()), any::<i64>()), 1..30)) {
            let clients: Vec<_> = clients.iter().map(|(samples, floats, counter)| (*samples, state(floats, *counter))).collect();
            let found = average(&clients);
            for (index, value) in found.floats.iter().enumerate() {
                let of_clients = || clients.iter().map(|(_, state)| state.floats[index]);
                let (low, high) = (of_clients().fold(f32::INFINITY, f32::min), of_clients().fold(f32::NEG_INFINITY, f32::max));
                prop_assert!((low..=high).contains(value), "{value} is not in {low}..={high}");
            }
            prop_assert_eq!(Some(found.counters[0]), clients.iter().map(|(_, state)| state.counters[0]).max());
        }

        /// Multiples of 2^-10 keep every sum exact, so the result can be compared with integer arithmetic, and order doesn't matter.
        #[test]
        fn exact_sums_are_rounded_once(clients in prop::collection::vec((1..1000_u64, -1_000_000..1_000_000_i32), 1..30).prop_shuffle()) {
            let total: u64 = clients.iter().map(|(samples, _)| samples).sum();
            let sum: i64 = clients.iter().map(|&(samples, value)| samples as i64 * i64::from(value)).sum();
            let expected = (sum as f64 / 1024.0 / total as f64) as f32;
            let mut models: Vec<_> = clients.iter().map(|&(samples, value)| (samples, state(&[(f64::from(value) / 1024.0) as f32], 0))).collect();
            prop_assert_eq!(average(&models).floats, vec![expected]);
            models.reverse();
            prop_assert_eq!(average(&models).floats, vec![expected]);
        }

        #[test]
        fn equal_weights_give_the_plain_mean(values in prop::collection::vec(-1e3..1e3_f32, 1..30), samples in 1..1_u64 << 20) {
            let clients: Vec<_> = values.iter().map(|&value| (samples, state(&[value], 0))).collect();
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
            prop_assert!((f64::from(average(&clients).floats[0]) - mean).abs() <= mean.abs() * 1e-7 + 1e-11);
        }
    }
}
