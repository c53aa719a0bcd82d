//! FedPer: Arivazhagan et al., Federated Learning with Personalization Layers, 2019, arXiv:1912.00818.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, NetFacts, StrategyEntry, Whole},
    client_state::ClientState,
    model_state::{ModelState, TensorSpec},
    server_state::WrongLength,
};

use super::{ClientMethod, Spec, fedavg, personal};

/// The number of personal layers.
pub(super) const PERSONAL_LAYERS: Whole =
    Whole::new("personal_layers", 1, "The number of layers at the end of the net that each client keeps for itself.").within(1, u32::MAX);

/// FedAvg of everything but the last `personal_layers` layers, which stay at their clients; all layers are trained together.
///
/// Two clients train the shared layers to 1 and 3, and the last one to 5 and 7: the next global model has 2 for the shared layers, and what it
/// had for the last one; in their next rounds the clients start from (2, 5) and (2, 7).
///
/// A client starts from the global model's last layers in its first round. A net without further layers is refused.
pub static SPEC: Spec = Spec {
    keeps: personal::KEEPS,
    client: ClientMethod::new(
        |round, kept, done| personal::plain_pass(personal_tensors, round, kept, done),
        |round, kept, done| personal::answer(personal_tensors, round, kept, done),
    )
    .with_personal(own_model),
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("FedPer", "FedAvg whose clients keep their own last layers.")
                .paper("Arivazhagan et al., Federated Learning with Personalization Layers, 2019, arXiv:1912.00818")
                .parameters(&[PERSONAL_LAYERS.parameter()]),
        )
        .net(check_net),
        fedavg::take,
        fedavg::finish,
    )
};

/// Refuses a net that has no layer besides the personal ones.
pub(super) fn check_net(settings: &Choice, net: &NetFacts) -> Result<(), Misfit> {
    let num_personal = PERSONAL_LAYERS.of(settings);
    let Some(num_layers) = net.num_layers.filter(|&num_layers| num_layers <= num_personal) else { return Ok(()) };
    let message = format!("`personal_layers` is {num_personal}, and this net has only {} with parameters", plural(num_layers));
    let hint = match num_layers.saturating_sub(1) {
        0 => "choose a net with more layers".to_owned(),
        most => format!("at most {most} can be personal"),
    };
    Err(Misfit { parameter: PERSONAL_LAYERS.name(), message, hint })
}

fn plural(num_layers: u32) -> String {
    if num_layers == 1 { "1 layer".to_owned() } else { format!("{num_layers} layers") }
}

/// Returns the personal tensors of a model; none if there are too few layers, which [`check_net`] has refused.
pub(super) fn personal_tensors(settings: &Choice, layout: &[TensorSpec]) -> Vec<bool> {
    personal::last_layers(layout, PERSONAL_LAYERS.of(settings)).unwrap_or_else(|| vec![false; layout.len()])
}

/// Returns the global model with the client's own last layers.
pub(super) fn own_model(settings: &Choice, global: &ModelState, kept: &ClientState) -> Result<ModelState, WrongLength> {
    personal::with_own(global, &personal_tensors(settings, &global.layout), kept)
}
