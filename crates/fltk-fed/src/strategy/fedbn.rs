//! FedBN: Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization, 2021, arXiv:2102.07623.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, NetFacts, StrategyEntry},
    client_state::ClientState,
    model_state::{ModelState, TensorSpec},
    server_state::WrongLength,
};

use super::{ClientMethod, Spec, fedavg, personal};

/// FedAvg of everything but batch norms, which stay at their clients whole: scale, shift, statistics and counter.
///
/// Two clients train a convolution to 1 and 3, and the weight of a batch norm to 5 and 7: the next global model has 2 for the convolution, and
/// what it had for the batch norm; in their next rounds the clients start from (2, 5) and (2, 7).
///
/// A client starts from the global model's batch norms in its first round. A net without batch norms is refused.
pub static SPEC: Spec = Spec {
    keeps: personal::KEEPS,
    client: ClientMethod::new(
        |round, kept, done| personal::plain_pass(batch_norms, round, kept, done),
        |round, kept, done| personal::answer(batch_norms, round, kept, done),
    )
    .with_personal(own_model),
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

fn batch_norms(_: &Choice, layout: &[TensorSpec]) -> Vec<bool> {
    personal::batch_norms(layout)
}

fn own_model(_: &Choice, global: &ModelState, kept: &ClientState) -> Result<ModelState, WrongLength> {
    personal::with_own(global, &personal::batch_norms(&global.layout), kept)
}
