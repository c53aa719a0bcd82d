//! FedNova: Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, 2020,
//! arXiv:2007.07481, equation 8 and section 4.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Entry, StrategyEntry},
    client_terms::NORMALIZER,
    model_state::{ModelState, TensorRole},
    server_state::{ServerState, WrongLength},
};

use super::{Extra, Gathered, Gathering, Spec, Update, round_to_f32};

/// The meaning of the scalar that clients send.
const STEPS: &str = "The sum of the weights of the client's steps in its change, `a_i`: the number of steps for plain SGD.";

/// The name of the sum `sum_i p_i a_i`.
const EFFECTIVE_STEPS: &str = "effective_steps";

/// Normalized averaging of the clients' changes:
///
/// ```text
/// d_i = (w - w_i) / a_i          a client's mean step; w is the global model, w_i the client's
/// tau = sum_i p_i a_i            the effective number of local steps; p_i = n_i / n
/// w' = w - tau * sum_i p_i d_i
/// ```
///
/// A client that took no step has `a_i = 0` and no `d_i`: it adds nothing to either sum. Buffers don't result from gradient steps, so they
/// are averaged as in [`FedAvg`](super::fedavg).
pub static SPEC: Spec = Spec {
    extras: &[Extra { name: NORMALIZER, doc: STEPS, is_possible: |value, num_steps| value >= 0.0 && (value > 0.0) == (num_steps > 0) }],
    ..Spec::fold(
        StrategyEntry::new(Entry::new("FedNova", "Normalized averaging, which allows for different numbers of local steps.").paper(
            "Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, 2020, arXiv:2007.07481",
        )),
        take,
        finish,
    )
};

/// Adds `p_i d_i` for parameters, `n_i w_i` for buffers, and `p_i a_i`.
fn take(round: &Gathering<'_>, gathered: &mut Gathered, update: Update) {
    let (weight, normalizer) = (update.weight(), update.extra(NORMALIZER));
    let share = weight / round.total;
    gathered.add(EFFECTIVE_STEPS, share * normalizer);
    for (role, span) in round.spans {
        let sums = gathered.floats[span.clone()].iter_mut();
        let values = round.global.floats[span.clone()].iter().zip(&update.state.floats[span.clone()]);
        match role {
            TensorRole::Parameter if normalizer > 0.0 => {
                for (sum, (&global, &client)) in sums.zip(values) {
                    *sum += share * ((f64::from(global) - f64::from(client)) / normalizer);
                }
            }
            TensorRole::Buffer => {
                for (sum, (_, &client)) in sums.zip(values) {
                    *sum += weight * f64::from(client);
                }
            }
            TensorRole::Parameter | TensorRole::Counter => {}
        }
    }
    gathered.take_counters(&update.state);
}

/// Computes the next model. Extreme normalizers can make elements infinite.
fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    // The shares are those of the whole cohort; if some didn't answer, the others' shares grow. It is 1 otherwise.
    let scale = round.total / gathered.samples;
    let effective_steps = gathered.scalar(EFFECTIVE_STEPS) * scale * scale;
    let mut floats = round.global.floats.clone();
    for (role, span) in round.spans {
        for (value, sum) in floats[span.clone()].iter_mut().zip(&gathered.floats[span.clone()]) {
            *value = round_to_f32(match role {
                TensorRole::Parameter => f64::from(*value) - effective_steps * sum,
                TensorRole::Buffer | TensorRole::Counter => sum / gathered.samples,
            });
        }
    }
    Ok(ModelState { layout: Arc::clone(&round.global.layout), floats, counters: gathered.counters })
}

#[cfg(test)]
mod tests {
    use fltk_core::{catalogue::Choice, client_terms::Extras, model_state::TensorSpec};
    use proptest::prelude::*;

    use super::*;
    use crate::strategy::{fedavg, float_spans, spec::combine};

    /// A model with two parameters and a buffer between them.
    fn state(floats: [f32; 3], counter: i64) -> ModelState {
        let spec = |name: &str, shape: Vec<usize>, role| TensorSpec { name: name.to_owned(), shape, role };
        let layout = vec![
            spec("weight", vec![1], TensorRole::Parameter),
            spec("running_mean", vec![1], TensorRole::Buffer),
            spec("num_batches_tracked", vec![], TensorRole::Counter),
            spec("bias", vec![1], TensorRole::Parameter),
        ];
        ModelState { layout: Arc::new(layout), floats: floats.to_vec(), counters: vec![counter] }
    }

    fn nova(global: &ModelState, clients: &[(u64, f64, ModelState)]) -> ModelState {
        let extras = |normalizer| Extras::from([(NORMALIZER.to_owned(), normalizer)]);
        let updates = clients.iter().map(|(samples, normalizer, state)| (*samples, extras(*normalizer), state.clone()));
        combine(&SPEC, &Choice::new("FedNova"), global, updates.collect(), &mut ServerState::default())
    }

    #[test]
    fn aggregate_matches_golden_values() {
        // Computed by hand, p = (1/4, 3/4), a = (2, 8): tau = 6.5.
        // weight: d = ((10 - 6)/2, (10 - 2)/8) = (2, 1); 10 - 6.5 * (0.5 + 0.75) = 1.875.
        // bias:   d = ((0 - 1)/2, (0 + 4)/8) = (-0.5, 0.5); 0 - 6.5 * (-0.125 + 0.375) = -1.625.
        // running_mean: 0.25 * 4 + 0.75 * 8 = 7.
        let found = nova(&state([10.0, 100.0, 0.0], 1), &[(1, 2.0, state([6.0, 4.0, 1.0], 3)), (3, 8.0, state([2.0, 8.0, -4.0], 9))]);
        assert_eq!(found, state([1.875, 7.0, -1.625], 9));
    }

    #[test]
    fn clients_without_steps_are_ignored() {
        // p = (1/2, 1/2), a = (0, 4): tau = 2, sum p d = 1/2 * (8 - 4)/4 = 1/2; 8 - 2 * 1/2 = 7.
        let found = nova(&state([8.0, 0.0, 8.0], 0), &[(5, 0.0, state([8.0, 2.0, 8.0], 0)), (5, 4.0, state([4.0, 4.0, 4.0], 4))]);
        assert_eq!(found, state([7.0, 3.0, 7.0], 4));
        // No client took a step: the model is unchanged.
        let global = state([0.1, 0.0, -0.3], 0);
        assert_eq!(nova(&global, &[(5, 0.0, global.clone())]), global);
    }

    #[test]
    fn adjacent_roles_form_one_span() {
        let mut global = state([0.0; 3], 0);
        assert_eq!(float_spans(&global), [(TensorRole::Parameter, 0..1), (TensorRole::Buffer, 1..2), (TensorRole::Parameter, 2..3)]);
        let mut layout = global.layout.to_vec();
        layout[1].role = TensorRole::Parameter;
        global.layout = Arc::new(layout);
        assert_eq!(float_spans(&global), [(TensorRole::Parameter, 0..3)]);
    }

    proptest! {
        #[test]
        fn equal_normalizers_give_fedavg(
            global in prop::array::uniform3(-10.0..10.0_f32),
            clients in prop::collection::vec((1..10_000_u64, prop::array::uniform3(-10.0..10.0_f32)), 1..20),
            normalizer in 0.1..1e4_f64,
        ) {
            let global = state(global, 0);
            let updates = clients.iter().map(|(samples, floats)| (*samples, Extras::new(), state(*floats, 0))).collect();
            let expected = combine(&fedavg::SPEC, &Choice::new("FedAvg"), &global, updates, &mut ServerState::default());
            let clients: Vec<_> = clients.iter().map(|(samples, floats)| (*samples, normalizer, state(*floats, 0))).collect();
            let found = nova(&global, &clients);
            for (found, expected) in found.floats.iter().zip(&expected.floats) {
                // They differ by at most one rounding: in f64 both are accurate to 1e-14.
                prop_assert!((f64::from(*found) - f64::from(*expected)).abs() <= f64::from(expected.abs()) * f64::from(f32::EPSILON) + 1e-12);
            }
        }

        #[test]
        fn scale_of_normalizers_cancels(
            clients in prop::collection::vec((1..10_000_u64, 1..100_u32, prop::array::uniform3(-10.0..10.0_f32)), 1..20),
        ) {
            let global = state([1.0, 2.0, 3.0], 0);
            // A power of two scales without rounding, so the bits are the same.
            let scaled = |scale: f64| -> Vec<_> { clients.iter().map(|(samples, steps, floats)| (*samples, f64::from(*steps) * scale, state(*floats, 0))).collect() };
            prop_assert_eq!(nova(&global, &scaled(1.0)), nova(&global, &scaled(4.0)));
        }
    }
}
