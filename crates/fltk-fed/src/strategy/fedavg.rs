//! Federated averaging: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017,
//! arXiv:1602.05629, algorithm 1: `w = sum_k (n_k / n) w_k`.

use std::sync::Arc;

use fltk_core::{
    catalogue::Entry,
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, Update, round_to_f32};

/// The mean of the clients' models, weighted by the samples they hold.
///
/// `n_k w_k` is exact in f64 up to `n_k = 2^29`; the sum is divided by `n` once and rounded to f32 once. So averaging equal models returns
/// the same bits, and every element lies between the clients' smallest and largest.
pub static SPEC: Spec = Spec {
    entry: Entry::new("FedAvg", "The mean of the clients' models, weighted by the samples that they hold.")
        .paper("McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, arXiv:1602.05629"),
    extras: &[],
    keeps: &[],
    set_terms: |_, _, _| (),
    begin: Gathered::sums,
    take,
    finish,
};

/// Adds `n_k w_k`.
pub(super) fn take(_: &Gathering<'_>, sums: &mut Gathered, update: Update) {
    let weight = update.weight();
    for (sum, &value) in sums.floats.iter_mut().zip(&update.state.floats) {
        *sum += weight * f64::from(value);
    }
    sums.take_counters(&update.state);
}

/// Divides by `n`.
pub(super) fn finish(round: &Gathering<'_>, sums: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let floats = sums.floats.iter().map(|sum| round_to_f32(sum / sums.samples)).collect();
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
    use crate::strategy::spec::combine;

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
