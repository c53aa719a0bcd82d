//! APFL: Deng et al., Adaptive Personalized Federated Learning, 2020, arXiv:2003.13461, algorithm 1.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Entry, Number, Range, StrategyEntry, Switch},
    client_state::ClientState,
    local_pass::{LocalPass, Mixture, PassResult},
    model_state::{ModelState, TensorRole},
    server_state::WrongLength,
};

use super::{ClientAnswer, ClientMethod, ClientRound, Spec, fedavg, float_spans, method, personal, round_to_f32};

const ALPHA: Number = Number::new("alpha", 0.5, "The share of a client's own model in its mixture; at first, if it is adaptive.")
    .within(Range::between(0.0, 1.0));
const ADAPTIVE: Switch = Switch::new("adaptive", true, "True if each client's `alpha` follows its gradient.");

/// The name of `alpha` in what a client keeps.
const SHARE: &str = "alpha";

/// FedAvg, beside which each client trains a model of its own for a mixture with the global one:
///
/// ```text
/// w_i    is trained from the received model w by the round's terms, and is the client's update
/// m      = alpha v_i + (1 - alpha) w_i           before every step, and g its gradient
/// alpha' = alpha - lr <g, v_i - w_i>             within 0 to 1, if it is adaptive
/// v_i'   = v_i - lr alpha g                      by the client's optimizer; from w in its first round
/// ```
///
/// A client is served by `alpha v_i + (1 - alpha) w`. For a client with the loss (x - 3)^2 / 2, a learning rate of 0.5, w_i = 1, v_i = 2 and
/// alpha = 0.5: m = 1.5 and g = -1.5; w_i' = 2, v_i' = 2 + 0.5 * 0.5 * 1.5 = 2.375, and alpha' = 0.5 + 0.5 * 1.5 * 1 = 1.25, so 1.
///
/// The buffers of v_i are those of the mixture.
pub static SPEC: Spec = Spec {
    keeps: &[personal::PERSONAL, personal::COUNTERS, SHARE],
    client: ClientMethod::new(next_pass, finish).with_personal(mixture),
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("APFL", "FedAvg, and a mixture of the global model with one of its own at each client.")
                .paper("Deng et al., Adaptive Personalized Federated Learning, 2020, arXiv:2003.13461, algorithm 1")
                .parameters(&[ALPHA.parameter(), ADAPTIVE.parameter()]),
        )
        .net(|_, net| method::no_module("APFL", "trains a mixture of two models", net)),
        fedavg::take,
        fedavg::finish,
    )
};

fn everything(model: &ModelState) -> Vec<bool> {
    vec![true; model.layout.len()]
}

fn share(settings: &Choice, kept: &ClientState) -> f64 {
    kept.scalars.get(SHARE).copied().unwrap_or(ALPHA.of(settings))
}

fn mixture(settings: &Choice, global: &ModelState, kept: &ClientState) -> Result<ModelState, WrongLength> {
    let (alpha, mut mixed) = (share(settings, kept), personal::with_own(global, &everything(global), kept)?);
    for (_, span) in float_spans(global).into_iter().filter(|(role, _)| *role == TensorRole::Parameter) {
        for (own, &global) in mixed.floats[span.clone()].iter_mut().zip(&global.floats[span]) {
            *own = round_to_f32(alpha * f64::from(*own) + (1.0 - alpha) * f64::from(global));
        }
    }
    Ok(mixed)
}

fn next_pass(round: &ClientRound<'_>, kept: &ClientState, done: &[PassResult]) -> Result<Option<LocalPass>, WrongLength> {
    if !done.is_empty() {
        return Ok(None);
    }
    let personal = Arc::new(personal::with_own(round.global, &everything(round.global), kept)?);
    let mixture = Mixture { alpha: share(round.settings, kept), is_adaptive: ADAPTIVE.of(round.settings), personal };
    Ok(Some(LocalPass { mixture: Some(mixture), ..round.plain_pass() }))
}

fn finish(round: &ClientRound<'_>, kept: &mut ClientState, mut done: Vec<PassResult>) -> Result<ClientAnswer, WrongLength> {
    if let Some((mut own, alpha)) = done.first_mut().and_then(|pass| pass.mixture.take()) {
        personal::keep(&mut own, round.global, &everything(round.global), kept);
        kept.scalars.insert(SHARE.to_owned(), alpha);
    }
    Ok(round.answer(done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client_state};

    #[test]
    fn a_client_is_served_by_the_mixture() {
        let (settings, run) = (Choice::new("APFL"), Run::new(&SPEC, Choice::new("APFL"), &[1.0]));
        let mut kept = client_state(personal::PERSONAL, &[3.0, 7.0]);
        assert_close(&mixture(&settings, run.model(), &kept).unwrap().floats, &[2.0, 7.0]);
        kept.scalars.insert(SHARE.to_owned(), 0.25);
        assert_close(&mixture(&settings, run.model(), &kept).unwrap().floats, &[1.5, 7.0]);
    }
}
