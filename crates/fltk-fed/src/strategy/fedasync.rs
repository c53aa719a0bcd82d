//! Asynchronous federated optimization: Xie et al., Asynchronous Federated Optimization, 2019, arXiv:1903.03934, algorithm 1.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Entry, Number, Range, StrategyEntry, Word},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, pseudo_gradient, round_to_f32};

const ALPHA: Number = Number::new("alpha", 0.6, "The weight of an update that isn't stale.").within(Range::positive_up_to(1.0));
const STALENESS: Word = Word::new(
    "staleness",
    &["polynomial", "hinge", "constant"],
    "How the weight falls with the staleness `d`: `polynomial`, `(d + 1)^-a`; `hinge`, 1 up to `d = b` and `1 / (a (d - b) + 1)` beyond; `constant`, not at all.",
);
const A: Number = Number::new("a", 0.5, "The exponent of `polynomial`, and the slope of `hinge`.").within(Range::NOT_NEGATIVE);
const B: Number = Number::new("b", 4.0, "The staleness from which on `hinge` falls.").within(Range::NOT_NEGATIVE);
const MU: Number = Number::new(
    "mu",
    0.0,
    "The strength of the pull of local training towards the model that it started from (the paper's rho, equation 3); 0 for none.",
)
.within(Range::NOT_NEGATIVE);

/// Clients work all the time, `clients_per_round` of them at once, and every update makes a new model:
///
/// ```text
/// a_t = alpha s(d)                 d is the number of models made since the client began
/// w'  = (1 - a_t) w + a_t w_i
/// ```
///
/// Parameters and buffers are mixed alike; of a counter the larger one counts. An update from the newest model has staleness 0 and so the weight `alpha`; in the
/// paper's algorithm, its t - tau is 1. With w = 10,
/// alpha = 0.5 and a client that sends 20 with staleness 3: `constant` gives 15, `polynomial` with a = 0.5 has s = 1/2 and gives 12.5, `hinge` with
/// a = 1 and b = 2 has s = 1 / (1 * 1 + 1) and gives 12.5, too.
pub static SPEC: Spec = Spec {
    set_terms: |settings, _, terms| terms.proximal_mu = MU.of(settings),
    ..Spec::collect(
        StrategyEntry::new(
            Entry::new("FedAsync", "Clients work all the time, and every update is mixed into the model at once, less the staler it is.")
                .paper("Xie et al., Asynchronous Federated Optimization, 2019, arXiv:1903.03934")
                .parameters(&[ALPHA.parameter(), STALENESS.parameter(), A.parameter(), B.parameter(), MU.parameter()]),
        )
        .asynchronous(|_| 1),
        finish,
    )
};

/// Returns `s(d)`.
fn weight(settings: &Choice, staleness: u32) -> f64 {
    let (staleness, a, b) = (f64::from(staleness), A.of(settings), B.of(settings));
    match STALENESS.of(settings) {
        "polynomial" => (staleness + 1.0).powf(-a),
        "hinge" if staleness > b => 1.0 / (a * (staleness - b) + 1.0),
        _ => 1.0,
    }
}

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let mut floats = round.global.floats.clone();
    for update in &gathered.updates {
        let share = ALPHA.of(round.config) * weight(round.config, update.staleness);
        for (value, &sent) in floats.iter_mut().zip(&update.state.floats) {
            *value = round_to_f32((1.0 - share) * f64::from(*value) + share * f64::from(sent));
        }
    }
    let counters = gathered.updates.first().map_or_else(|| round.global.counters.clone(), |update| update.state.counters.clone());
    let next = ModelState { layout: Arc::clone(&round.global.layout), floats, counters };
    Ok(pseudo_gradient::with_newer_counters(round, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Run, client};

    fn settings(staleness: &str) -> Choice {
        Choice::new("FedAsync").with("alpha", 0.5).with("staleness", staleness)
    }

    fn mixed(settings: Choice, staleness: u32) -> f32 {
        Run::new(&SPEC, settings, &[10.0]).round(&[client(&[20.0]).stale(staleness, &[0.0])])[0]
    }

    #[test]
    fn an_update_is_mixed_in_by_its_staleness() {
        assert_eq!(mixed(settings("constant"), 3), 15.0);
        assert_eq!(mixed(settings("polynomial"), 3), 12.5);
        assert_eq!(mixed(settings("polynomial"), 0), 15.0);
        let hinge = || settings("hinge").with("a", 1.0).with("b", 2.0);
        assert_eq!(mixed(hinge(), 3), 12.5);
        // At b itself the weight is still 1, and it falls without a jump: 1 / (1 * 2 + 1) at 4.
        assert_eq!(mixed(hinge(), 2), 15.0);
        assert_eq!(mixed(hinge(), 4), 10.0 + 5.0 / 3.0);
    }

    #[test]
    fn training_is_pulled_to_where_it_started() {
        let run = Run::new(&SPEC, settings("constant").with("mu", 0.25), &[0.0]);
        assert_eq!(run.terms().proximal_mu, 0.25);
    }
}
