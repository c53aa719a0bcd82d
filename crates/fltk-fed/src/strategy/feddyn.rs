//! FedDyn: Acar et al., Federated Learning Based on Dynamic Regularization, 2021, arXiv:2111.04263, algorithm 1.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Entry, Number, Range, StrategyEntry},
    client_state::ClientState,
    local_pass::{Anchor, LocalPass, PassResult, Shift},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{ClientAnswer, ClientMethod, ClientRound, Gathered, Gathering, Kept, Spec, parameters, pseudo_gradient, round_to_f32};

const ALPHA: Number = Number::new("alpha", 0.01, "Strength of the regularization.").within(Range::POSITIVE);

/// The array that a client keeps: the gradient of its loss at its last model.
const GRADIENT: &str = "gradient";
/// The array that the server keeps.
const H: &str = "h";

/// Dynamic regularization, under which the clients' optima are those of all data:
///
/// ```text
/// client i:  minimizes  L_i(w_i) - <g_i, w_i> + alpha/2 |w_i - w|^2     from w
///            g_i' = g_i - alpha (w_i - w)                               0 at first
/// server:    h'   = h - alpha/N * sum_i (w_i - w)                       over those that answered; N is the number of all clients
///            w'   = mean_i(w_i) - h' / alpha                            over those that answered, all alike
/// ```
///
/// With alpha = 0.5, w = 1, h = 0 and two of four clients at 2 and 4: h' = -0.5/4 * (1 + 3) = -0.5, so w' = 3 + 1 = 4.
/// A client that ended at 2 keeps g_i' = -0.5 * 1 = -0.5, and has 0.5 added to every gradient in its next round.
///
/// Both terms are part of every gradient, so that momentum acts on them as on the loss, and the optimum stays where it is. Buffers are the means weighted by samples.
pub static SPEC: Spec = Spec {
    keeps: &[GRADIENT],
    client: ClientMethod::new(next_pass, finish_client),
    state: &[Kept::array(H, "The mean over all clients of what they keep, `h`; 0 before the first round.")],
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("FedDyn", "Dynamic regularization, which aligns the clients' optima with that of all data.")
                .paper("Acar et al., Federated Learning Based on Dynamic Regularization, 2021, arXiv:2111.04263, algorithm 1")
                .parameters(&[ALPHA.parameter()]),
        ),
        pseudo_gradient::take_uniform,
        finish,
    )
};

fn next_pass(round: &ClientRound<'_>, kept: &ClientState, done: &[PassResult]) -> Result<Option<LocalPass>, WrongLength> {
    if !done.is_empty() {
        return Ok(None);
    }
    let gradient = kept.get(GRADIENT, parameters::count(round.global))?;
    let shift = gradient.map(|gradient| Shift::Gradient(gradient.iter().map(|value| -value).collect()));
    let proximal = Some(Anchor { mu: ALPHA.of(round.settings), model: Arc::clone(round.global), is_in_gradient: true });
    Ok(Some(LocalPass { shift, proximal, ..round.plain_pass() }))
}

fn finish_client(round: &ClientRound<'_>, kept: &mut ClientState, done: Vec<PassResult>) -> Result<ClientAnswer, WrongLength> {
    let alpha = ALPHA.of(round.settings);
    let gradient = kept.array(GRADIENT, parameters::count(round.global))?;
    if let Some(pass) = done.first() {
        for (gradient, change) in gradient.iter_mut().zip(parameters::changes(round.global, &pass.state)) {
            *gradient = round_to_f32(f64::from(*gradient) - alpha * change);
        }
    }
    Ok(round.answer(done))
}

fn finish(round: &Gathering<'_>, gathered: Gathered, server: &mut ServerState) -> Result<ModelState, WrongLength> {
    let (alpha, num_clients) = (ALPHA.of(round.config), f64::from(round.num_clients));
    let h = server.array(H, round.num_parameters())?;
    for (h, sum) in h.iter_mut().zip(pseudo_gradient::sums(round, &gathered)) {
        *h -= alpha / num_clients * sum;
    }
    let steps: Vec<f64> = pseudo_gradient::mean(round, &gathered).zip(h).map(|(mean, h)| mean - *h / alpha).collect();
    Ok(pseudo_gradient::apply(round, gathered, steps))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client, client_state, train};

    fn settings() -> Choice {
        Choice::new("FedDyn").with("alpha", 0.5)
    }

    #[test]
    fn h_is_over_all_clients_and_the_mean_over_those_that_answered() {
        let mut run = Run::new(&SPEC, settings(), &[1.0]).clients(4);
        assert_close(&run.round(&[client(&[2.0]).samples(1), client(&[4.0]).samples(9)]), &[4.0]);
        assert_eq!(run.server.arrays[H], [-0.5]);
        // h' = -0.5 - 0.5/4 * (1 - 1) = -0.5; w' = 4 + 1.
        assert_close(&run.round(&[client(&[5.0]), client(&[3.0])]), &[5.0]);
    }

    /// A client whose loss is `(x - 3)^2 / 2`, from x = 1 with a learning rate of 0.5 and g = 0.25: the first step is 0.5 * (2 + 0.25) = 1.125, to
    /// 2.125. The second has the gradient -0.875 - 0.25 and a pull of 0.5 * 1.125: 2.125 + 0.5 * (1.125 - 0.5625) = 2.40625. So
    /// g' = 0.25 - 0.5 * 1.40625 = -0.453125.
    #[test]
    fn a_client_is_drawn_by_its_gradient_and_to_the_received_model() {
        let run = Run::new(&SPEC, settings(), &[1.0]).clients(4);
        let mut kept = client_state(GRADIENT, &[0.25]);
        assert_close(&train(&run, &mut kept, &[3.0], 2, 0.0).state, &[2.40625]);
        assert_close(&kept.arrays[GRADIENT], &[-0.453125]);
    }

    /// The same client with momentum 0.9: the second gradient is -0.875 - 0.25 + 0.5 * 1.125 = -0.5625, so the velocity is
    /// 0.9 * -2.25 - 0.5625 = -2.5875, which leads to 2.125 + 1.29375 = 3.41875; g' = 0.25 - 0.5 * 2.41875 = -0.959375.
    #[test]
    fn the_pull_goes_through_the_momentum_like_the_gradient() {
        let run = Run::new(&SPEC, settings(), &[1.0]).clients(4);
        let mut kept = client_state(GRADIENT, &[0.25]);
        assert_close(&train(&run, &mut kept, &[3.0], 2, 0.9).state, &[3.41875]);
        assert_close(&kept.arrays[GRADIENT], &[-0.959375]);
    }

    /// Two clients with optima 1 and 3 and many steps from w = 0: they end at 2/3 and 2, h' = -2/3 and w' = 4/3 + 4/3. With g' = -1/3
    /// and -1 they then end at 4/3 and 20/9, so h' = -2/9 and w' = 16/9 + 4/9. The optimum of all data is 2, with momentum and without.
    #[test]
    fn the_optimum_of_all_data_is_held_with_momentum_too() {
        for momentum in [0.0, 0.9] {
            let mut run = Run::new(&SPEC, settings(), &[0.0]).clients(2);
            let mut kept = [ClientState::default(), ClientState::default()];
            for round in 1..=10 {
                let [one, other] = &mut kept;
                let trained = [train(&run, one, &[1.0], 1000, momentum), train(&run, other, &[3.0], 1000, momentum)];
                let found = run.round(&trained.map(|trained| client(&trained.state)));
                let expected = match round {
                    1 => 8.0 / 3.0,
                    2 => 20.0 / 9.0,
                    10 => 2.0,
                    _ => continue,
                };
                assert!((f64::from(found[0]) - expected).abs() < 1e-3, "momentum {momentum}, round {round}: {found:?}, not {expected}");
            }
        }
    }

    #[test]
    fn a_first_round_has_no_linear_term() {
        let run = Run::new(&SPEC, settings(), &[1.0]).clients(4);
        let mut kept = ClientState::default();
        assert_close(&train(&run, &mut kept, &[3.0], 1, 0.0).state, &[2.0]);
        assert_close(&kept.arrays[GRADIENT], &[-0.5]);
    }
}
