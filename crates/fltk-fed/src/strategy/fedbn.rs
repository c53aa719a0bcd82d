//! FedBN: Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization, 2021, arXiv:2102.07623.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, NetFacts, StrategyEntry},
    client_state::ClientState,
    local_pass::{LocalPass, PassResult},
    model_state::ModelState,
    server_state::WrongLength,
};

use super::{ClientAnswer, ClientMethod, ClientRound, Spec, fedavg, personal};

/// FedAvg of everything but batch norms, which stay at their clients whole: scale, shift, statistics and counter.
///
/// Two clients train a convolution to 1 and 3, and the weight of a batch norm to 5 and 7: the next global model has 2 for the convolution, and
/// what it had for the batch norm; in their next rounds the clients start from (2, 5) and (2, 7).
///
/// A client starts from the global model's batch norms in its first round. A net without batch norms is refused.
pub static SPEC: Spec = Spec {
    keeps: personal::KEEPS,
    client: ClientMethod::new(next_pass, finish).with_personal(own_model),
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("FedBN", "FedAvg whose clients keep their own batch norms.")
                .paper("Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization, 2021, arXiv:2102.07623"),
        )
        .net(check_net),
        fedavg::take,
        fedavg::finish,
    )
};

fn check_net(_: &Choice, net: &NetFacts) -> Result<(), Misfit> {
    if net.has_batch_norms {
        return Ok(());
    }
    let message = "`FedBN` keeps batch norms at the clients, and this net has none".to_owned();
    Err(Misfit { parameter: "type", message, hint: "choose a net with batch norms, such as `Cifar10CNN`, or another strategy".to_owned() })
}

fn own_model(_: &Choice, global: &ModelState, kept: &ClientState) -> Result<ModelState, WrongLength> {
    personal::with_own(global, &personal::batch_norms(&global.layout), kept)
}

fn next_pass(round: &ClientRound<'_>, kept: &ClientState, done: &[PassResult]) -> Result<Option<LocalPass>, WrongLength> {
    if !done.is_empty() {
        return Ok(None);
    }
    let start = Arc::new(own_model(round.settings, round.global, kept)?);
    Ok(Some(LocalPass { start, ..round.plain_pass() }))
}

fn finish(round: &ClientRound<'_>, kept: &mut ClientState, done: Vec<PassResult>) -> Result<ClientAnswer, WrongLength> {
    let mut answer = round.answer(done);
    personal::keep(&mut answer.state, round.global, &personal::batch_norms(&round.global.layout), kept);
    Ok(answer)
}
