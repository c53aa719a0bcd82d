//! MOON: Li et al., Model-Contrastive Federated Learning, 2021, arXiv:2103.16257.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, NetFacts, Number, Range, StrategyEntry},
    client_state::ClientState,
    local_pass::{Contrast, LocalPass, PassResult},
    model_state::ModelState,
    server_state::WrongLength,
};

use super::{ClientAnswer, ClientMethod, ClientRound, Spec, fedavg, method};

const MU: Number = Number::new("mu", 1.0, "Strength of the contrastive term.").within(Range::NOT_NEGATIVE);
const TAU: Number = Number::new("tau", 0.5, "Temperature of the contrastive term.").within(Range::POSITIVE);

/// The array that a client keeps: its last model.
const PREVIOUS: &str = "previous";

/// FedAvg whose clients draw their features to those of the global model:
///
/// ```text
/// z, z_g, z_p  the inputs of the net's last linear layer under the model in training, the received one, and the client's last one
/// term         = -log( e^(cos(z, z_g)/tau) / (e^(cos(z, z_g)/tau) + e^(cos(z, z_p)/tau)) )         mean over the batch
/// loss         + mu * term                                                                         takes the place of the loss
/// ```
///
/// For one sample with z = (1, 0), z_g = (1, 1), z_p = (0, 1) and tau = 0.5: the cosines are 0.707107 and 0, so the term is
/// log(1 + e^(-1.414214)) = 0.217622. Both other models are in evaluation mode, and no gradient flows into them. A client without a last model
/// has no term.
pub static SPEC: Spec = Spec {
    keeps: &[PREVIOUS],
    client: ClientMethod::new(next_pass, finish),
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("MOON", "FedAvg with a contrastive term between the features of models.")
                .paper("Li et al., Model-Contrastive Federated Learning, 2021, arXiv:2103.16257")
                .parameters(&[MU.parameter(), TAU.parameter()]),
        )
        .net(check_net),
        fedavg::take,
        fedavg::finish,
    )
};

fn check_net(_: &Choice, net: &NetFacts) -> Result<(), Misfit> {
    if net.num_layers == Some(1) {
        let message = "`MOON` compares features, the inputs of the last linear layer, and those of this net are the samples".to_owned();
        return Err(Misfit { parameter: "type", message, hint: "choose a net with more layers, or another strategy".to_owned() });
    }
    method::no_module("MOON", "compares the features of several models", net)
}

fn next_pass(round: &ClientRound<'_>, kept: &ClientState, done: &[PassResult]) -> Result<Option<LocalPass>, WrongLength> {
    if !done.is_empty() {
        return Ok(None);
    }
    let (mu, tau, global) = (MU.of(round.settings), TAU.of(round.settings), round.global);
    let previous = kept
        .get(PREVIOUS, global.floats.len())?
        .filter(|_| mu != 0.0)
        .map(|floats| Arc::new(ModelState { floats: floats.to_vec(), ..ModelState::clone(global) }));
    let contrast = previous.map(|previous| Contrast { mu, tau, global: Arc::clone(global), previous });
    Ok(Some(LocalPass { contrast, ..round.plain_pass() }))
}

fn finish(round: &ClientRound<'_>, kept: &mut ClientState, done: Vec<PassResult>) -> Result<ClientAnswer, WrongLength> {
    let answer = round.answer(done);
    kept.arrays.insert(PREVIOUS.to_owned(), answer.state.floats.clone());
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Run, train};

    #[test]
    fn without_an_earlier_model_there_is_no_term_and_the_last_model_is_kept() {
        let (settings, run) = (Choice::new("MOON"), Run::new(&SPEC, Choice::new("MOON"), &[1.0]));
        let (mut kept, terms) = (ClientState::default(), run.terms());
        let round = ClientRound { settings: &settings, terms: &terms, global: run.model() };
        assert_eq!(next_pass(&round, &kept, &[]).unwrap().unwrap().contrast, None);
        train(&run, &mut kept, &[3.0], 1, 0.0);
        let contrast = next_pass(&round, &kept, &[]).unwrap().unwrap().contrast.unwrap();
        assert_eq!((contrast.global.floats[0], contrast.previous.floats[0]), (1.0, 2.0));
        let off = settings.clone().with("mu", 0.0);
        assert_eq!(next_pass(&ClientRound { settings: &off, ..round }, &kept, &[]).unwrap().unwrap().contrast, None);
    }
}
