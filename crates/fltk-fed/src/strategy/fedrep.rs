//! FedRep: Collins et al., Exploiting Shared Representations for Personalized Federated Learning, 2021, arXiv:2102.07078, algorithm 1.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Entry, StrategyEntry, Whole},
    client_state::ClientState,
    client_terms::LocalWork,
    local_pass::{LocalPass, PassResult},
    server_state::WrongLength,
};

use super::{ClientMethod, ClientRound, SECOND_PASS, Spec, fedavg, fedper, personal};

const HEAD_EPOCHS: Whole =
    Whole::new("head_epochs", 1, "Passes over a client's samples that train its own last layers, before those that train the others.")
        .within(1, u32::MAX);

/// FedAvg of everything but the last `personal_layers` layers, the head, which stays at its client. A client first trains its head for
/// `head_epochs` epochs with the other layers fixed, then the others by the round's terms with the head fixed.
///
/// Two clients have heads at 5 and 7 after their first passes, and the other layers at 1 and 3 after their second: the next global model has 2
/// for the others, and what it had for the head; in their next rounds the clients start from (2, 5) and (2, 7).
///
/// A client starts from the global model's head in its first round. A net without further layers is refused.
pub static SPEC: Spec = Spec {
    keeps: personal::KEEPS,
    // The summary is that of the second pass, which trains the layers that the server gets.
    client: ClientMethod::new(next_pass, |round, kept, done| personal::answer(fedper::personal_tensors, round, kept, done))
        .with_personal(fedper::own_model),
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("FedRep", "FedAvg whose clients keep their own last layers, and train these first.")
                .paper(
                    "Collins et al., Exploiting Shared Representations for Personalized Federated Learning, 2021, arXiv:2102.07078, \
                     algorithm 1",
                )
                .parameters(&[fedper::PERSONAL_LAYERS.parameter(), HEAD_EPOCHS.parameter()]),
        )
        .net(fedper::check_net),
        fedavg::take,
        fedavg::finish,
    )
};

fn next_pass(round: &ClientRound<'_>, kept: &ClientState, done: &[PassResult]) -> Result<Option<LocalPass>, WrongLength> {
    let layout = &round.global.layout;
    let head = personal::floats_of(layout, &fedper::personal_tensors(round.settings, layout));
    Ok(match done {
        [] => {
            let start = Arc::new(fedper::own_model(round.settings, round.global, kept)?);
            let work = LocalWork::Epochs(HEAD_EPOCHS.of(round.settings).into());
            Some(LocalPass { start, work, trains: Some(head), ..round.plain_pass() })
        }
        [first] => {
            let body = head.into_iter().map(|is_head| !is_head).collect();
            let start = Arc::new(first.state.clone());
            Some(LocalPass { start, trains: Some(body), first_epoch: SECOND_PASS, ..round.plain_pass() })
        }
        _ => None,
    })
}
