//! Federated averaging with momentum on the server: Hsu et al., Measuring the Effects of Non-Identical Data Distribution for Federated
//! Visual Classification, 2019, arXiv:1909.06335, section 4.3.

use fltk_core::{
    catalogue::{Entry, Number, Range},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, pseudo_gradient};

const LEARNING_RATE: Number = pseudo_gradient::learning_rate(1.0);
const MOMENTUM: Number = Number::new("momentum", 0.9, "Momentum of the server, `beta`; 0 for none.").within(Range::BELOW_ONE);

/// Momentum on the mean change of the clients:
///
/// ```text
/// D  = sum_i p_i (w_i - w)        p_i is the client's share by `weights`
/// v' = momentum * v + D           v is 0 before the first round
/// w' = w + learning_rate * v'
/// ```
///
/// With w = 1 and two clients with equal samples at 2 and 4, D = 2: w' = 1 + 2 = 3. If they end at 3 and 4 in the next round, D = 0.5 and
/// v' = 0.9 * 2 + 0.5 = 2.3: w' = 5.3.
pub static SPEC: Spec = Spec {
    entry: Entry::new("FedAvgM", "FedAvg with momentum on the server.")
        .paper(
            "Hsu et al., Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, 2019, \
             arXiv:1909.06335",
        )
        .parameters(&[LEARNING_RATE.parameter(), MOMENTUM.parameter(), pseudo_gradient::WEIGHTS.parameter()]),
    extras: &[],
    keeps: &[],
    set_terms: |_, _, _| (),
    begin: Gathered::sums,
    take: pseudo_gradient::take,
    finish,
};

fn finish(round: &Gathering<'_>, gathered: Gathered, server: &mut ServerState) -> Result<ModelState, WrongLength> {
    let (rate, momentum) = (LEARNING_RATE.of(round.config), MOMENTUM.of(round.config));
    let velocity = server.array("velocity", round.num_parameters())?;
    for (velocity, change) in velocity.iter_mut().zip(pseudo_gradient::mean(round, &gathered)) {
        *velocity = momentum * *velocity + change;
    }
    Ok(pseudo_gradient::apply(round, gathered, velocity.iter().map(|velocity| rate * velocity)))
}
