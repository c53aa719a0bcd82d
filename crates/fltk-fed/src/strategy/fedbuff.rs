//! Buffered asynchronous aggregation: Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, 2022, arXiv:2106.06639, algorithm 1.

use fltk_core::{
    catalogue::{Entry, Number, Range, StrategyEntry, Whole},
    model_state::{ModelState, TensorRole},
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, Update, pseudo_gradient};

const BUFFER_SIZE: Whole =
    Whole::new("buffer_size", 10, "The number of updates `K` after which the server makes the next model; at most `clients`.")
        .within(1, 1_000_000);
const LEARNING_RATE: Number = Number::new("learning_rate", 1.0, "The server's step size.").within(Range::POSITIVE);
const A: Number = Number::new("a", 0.5, "The exponent of the weight `(1 + d)^-a` of an update with staleness `d`; 0 for equal weights.")
    .within(Range::NOT_NEGATIVE);

/// Clients work all the time, `clients_per_round` of them at once; after `K` updates, whenever their clients began, the server makes a step:
///
/// ```text
/// D_i = w_i - b_i                  b_i is the model that client i started from
/// s_i = (1 + d_i)^-a               d_i is the number of models made since
/// w'  = w + lr / K sum_i s_i D_i
/// ```
///
/// An update from the newest model has staleness 0 and weight 1, and the sum is divided by `K`, not by the weights. Buffers are the mean weighted by samples. With w = 10, K = 2, lr = 1 and
/// a = 0.5: client 0 started from 8 three models ago and sends 9, client 1 started from 10 and sends 14, so w' = 10 + (0.5 * 1 + 1 * 4) / 2 = 12.25.
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(
        Entry::new(
            "FedBuff",
            "Clients work all the time, and after `buffer_size` updates, weighted by how stale they are, the server makes a step.",
        )
        .paper("Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, 2022, arXiv:2106.06639")
        .parameters(&[BUFFER_SIZE.parameter(), LEARNING_RATE.parameter(), A.parameter()]),
    )
    .asynchronous(|settings| BUFFER_SIZE.of(settings)),
    take,
    finish,
);

fn take(round: &Gathering<'_>, sums: &mut Gathered, update: Update) {
    let weight = (1.0 + f64::from(update.staleness)).powf(-A.of(round.config));
    let base = update.base.as_ref().unwrap_or(round.global);
    for (role, span) in round.spans {
        let pairs = update.state.floats[span.clone()].iter().zip(&base.floats[span.clone()]);
        for (sum, (&sent, &base)) in sums.floats[span.clone()].iter_mut().zip(pairs) {
            *sum += match role {
                TensorRole::Parameter => weight * (f64::from(sent) - f64::from(base)),
                TensorRole::Buffer | TensorRole::Counter => update.weight() * f64::from(sent),
            };
        }
    }
    sums.take_counters(&update.state);
}

fn finish(round: &Gathering<'_>, sums: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let rate = LEARNING_RATE.of(round.config) / sums.count();
    let steps: Vec<f64> = pseudo_gradient::sums(round, &sums).map(|sum| rate * sum).collect();
    Ok(pseudo_gradient::with_newer_counters(round, pseudo_gradient::apply(round, sums, steps)))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, client};

    fn settings() -> Choice {
        Choice::new("FedBuff").with("buffer_size", 2)
    }

    #[test]
    fn differences_to_the_model_that_a_client_started_from_are_weighted_by_staleness() {
        let round = |settings: Choice| {
            let mut run = Run::new(&SPEC, settings, &[10.0]);
            run.round(&[client(&[9.0]).stale(3, &[8.0]), client(&[14.0])])[0]
        };
        assert_eq!(round(settings()), 12.25);
        // Without weights: 10 + (1 + 4) / 2. With half the rate: 10 + 0.5 * 2.25.
        assert_eq!(round(settings().with("a", 0.0)), 12.5);
        assert_eq!(round(settings().with("learning_rate", 0.5)), 11.125);
        // (1 + 3)^-1 = 1/4.
        assert_eq!(round(settings().with("a", 1.0)), 12.125);
    }

    #[test]
    fn fresh_updates_are_averaged_whatever_their_samples() {
        let mut run = Run::new(&SPEC, settings(), &[1.0, 2.0]);
        assert_eq!(run.round(&[client(&[2.0, 4.0]).samples(1), client(&[4.0, 0.0]).samples(99)]), [3.0, 2.0]);
    }
}
