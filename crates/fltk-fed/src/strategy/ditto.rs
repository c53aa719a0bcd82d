//! Ditto: Li et al., Ditto: Fair and Robust Federated Learning Through Personalization, 2021, arXiv:2012.04221, algorithm 1.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Entry, Number, Range, StrategyEntry},
    client_state::ClientState,
    local_pass::{Anchor, LocalPass, PassResult},
    model_state::ModelState,
    server_state::WrongLength,
};

use super::{ClientAnswer, ClientMethod, ClientRound, SECOND_PASS, Spec, fedavg, personal};

const MU: Number =
    Number::new("mu", 0.1, "Strength of the pull of personal models to the received one (the paper's lambda).").within(Range::NOT_NEGATIVE);

/// FedAvg, beside which each client trains a model of its own:
///
/// ```text
/// w_i  is trained from the received model w by the round's terms, and is the client's update
/// v_i  is trained by the same terms with the term mu/2 |v_i - w|^2, from what it was after the client's last round; from w in its first
/// ```
///
/// The pull is to the model that was received, not to w_i; it acts beside the optimizer's own step, as under [`FedProx`](super::fedprox). For a client with the loss (x - 3)^2 / 2, one step of a learning rate of 0.5, w = 1
/// and v_i = 2: w_i' = 2, and with mu = 0.4 v_i' = 2 + 0.5 * (1 - 0.4 * 1) = 2.3.
pub static SPEC: Spec = Spec {
    keeps: personal::KEEPS,
    client: ClientMethod::new(next_pass, finish).with_personal(own_model),
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("Ditto", "FedAvg, and a personal model at each client that is drawn to the global one.")
                .paper("Li et al., Ditto: Fair and Robust Federated Learning Through Personalization, 2021, arXiv:2012.04221, algorithm 1")
                .parameters(&[MU.parameter()]),
        ),
        fedavg::take,
        fedavg::finish,
    )
};

fn own_model(_: &Choice, global: &ModelState, kept: &ClientState) -> Result<ModelState, WrongLength> {
    personal::with_own(global, &vec![true; global.layout.len()], kept)
}

fn next_pass(round: &ClientRound<'_>, kept: &ClientState, done: &[PassResult]) -> Result<Option<LocalPass>, WrongLength> {
    Ok(match done {
        [] => Some(round.plain_pass()),
        [_] => {
            let mu = MU.of(round.settings);
            let proximal = (mu != 0.0).then(|| Anchor { mu, model: Arc::clone(round.global), is_in_gradient: false });
            let start = Arc::new(own_model(round.settings, round.global, kept)?);
            Some(LocalPass { start, proximal, first_epoch: SECOND_PASS, ..round.plain_pass() })
        }
        _ => None,
    })
}

fn finish(round: &ClientRound<'_>, kept: &mut ClientState, mut done: Vec<PassResult>) -> Result<ClientAnswer, WrongLength> {
    if let Some(mut own) = done.pop() {
        personal::keep(&mut own.state, round.global, &vec![true; round.global.layout.len()], kept);
    }
    Ok(round.answer(done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client_state, train};

    #[test]
    fn the_personal_model_is_drawn_to_the_received_one() {
        let settings = Choice::new("Ditto").with("mu", 0.4);
        let run = Run::new(&SPEC, settings.clone(), &[1.0]).clients(2);
        let mut kept = client_state(personal::PERSONAL, &[2.0, 0.0]);
        assert_close(&train(&run, &mut kept, &[3.0], 1, 0.0).state, &[2.0]);
        assert_close(&kept.arrays[personal::PERSONAL][..1], &[2.3]);
        assert_close(&own_model(&settings, run.model(), &kept).unwrap().floats[..1], &[2.3]);
    }

    /// In its first round v starts at w: v' = 1 + 0.5 * 2, then 2 + 0.5 * (1 - 0.4 * 1) = 2.3 in the second step.
    #[test]
    fn it_starts_from_the_received_model() {
        let run = Run::new(&SPEC, Choice::new("Ditto").with("mu", 0.4), &[1.0]).clients(2);
        let mut kept = ClientState::default();
        train(&run, &mut kept, &[3.0], 2, 0.0);
        assert_close(&kept.arrays[personal::PERSONAL][..1], &[2.3]);
    }
}
