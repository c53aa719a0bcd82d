//! FLTrust: Cao et al., FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, 2021, arXiv:2012.13995, algorithm 2.

use fltk_core::{
    catalogue::{Entry, Number, StrategyEntry, Whole},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{ClientMethod, Gathered, Gathering, Spec, pseudo_gradient, robust};

const LEARNING_RATE: Number = pseudo_gradient::learning_rate(1.0);
const ROOT_SAMPLES: Whole =
    Whole::new("root_samples", 100, "Samples that the server holds itself: drawn from those that the clients train on, as in the paper.")
        .within(1, u32::MAX);

/// The mean of the clients' changes, each as long as the server's own and weighted by how far it points into the same direction:
///
/// ```text
/// g_0  = w_0 - w           the change of the model that the server trains on its own samples, by the terms of the round
/// g_i  = w_i - w           that of client i
/// t_i  = max(0, cos(g_i, g_0))
/// w'   = w + learning_rate * sum_i t_i |g_0|/|g_i| g_i / sum_i t_i
/// ```
///
/// From w = (0, 0), with the server at (1, 0) and clients at (2, 0), (3, 4) and (-1, 0): the cosines are 1, 0.6 and -1, so
/// w' = ((1, 0) + 0.6 (0.6, 0.8)) / 1.6 = (0.85, 0.3). If nobody is trusted, the parameters stay as they are.
///
/// The server trains in every round, beside the clients, for `epochs_per_round` (1 if clients have drawn amounts of work). Buffers are the unweighted medians over the clients.
pub static SPEC: Spec = Spec {
    // The settings say which samples the server's own are, so that they matter to trainers.
    client: ClientMethod { is_plain: false, ..ClientMethod::PLAIN },
    root: Some(|settings| ROOT_SAMPLES.of(settings)),
    ..Spec::robust(
        StrategyEntry::new(
            Entry::new("FLTrust", "The mean of the clients' changes, trusted as far as they agree with the server's own; robust.")
                .paper("Cao et al., FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, 2021, arXiv:2012.13995")
                .parameters(&[LEARNING_RATE.parameter(), ROOT_SAMPLES.parameter()]),
        ),
        finish,
    )
};

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let (root, clients): (Vec<_>, Vec<_>) = gathered.updates.into_iter().partition(|update| update.client == round.root());
    let own: Vec<f64> = root.first().map(|root| round.changes(&root.state).collect()).unwrap_or_default();
    let length = norm(&own);
    let (mut total, mut sums) = (0.0, vec![0.0; round.num_parameters()]);
    for update in &clients {
        let change: Vec<f64> = round.changes(&update.state).collect();
        let client_length = norm(&change);
        if client_length == 0.0 || length == 0.0 {
            continue;
        }
        let product: f64 = change.iter().zip(&own).map(|(one, other)| one / client_length * (other / length)).sum();
        let trust = product.clamp(0.0, 1.0);
        total += trust;
        for (sum, change) in sums.iter_mut().zip(&change) {
            *sum += trust * (change / client_length) * length;
        }
    }
    let scale = if total > 0.0 { LEARNING_RATE.of(round.config) / total } else { 0.0 };
    let before = round.parameters().flatten().map(|place| f64::from(round.global.floats[place]));
    let parameters: Vec<f64> = before.zip(&sums).map(|(value, sum)| value + scale * sum).collect();
    Ok(robust::model(round, &clients, parameters))
}

fn norm(change: &[f64]) -> f64 {
    change.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client};

    fn run() -> Run {
        Run::new(&SPEC, Choice::new("FLTrust"), &[0.0, 0.0]).clients(3)
    }

    /// The last answer is the server's own.
    #[test]
    fn changes_are_trusted_as_far_as_they_agree_with_the_servers() {
        let clients =
            [client(&[2.0, 0.0]).buffer(1.0), client(&[3.0, 4.0]).buffer(2.0).samples(1 << 52), client(&[-1.0, 0.0]).buffer(1e30)];
        let mut run = run();
        let found = run.round(&[&clients[..], &[client(&[1.0, 0.0]).buffer(-7.0)]].concat());
        assert_close(&found, &[0.85, 0.3]);
        assert_eq!(run.buffer(), 2.0, "the median over the clients");
    }

    #[test]
    fn long_changes_are_cut_to_the_servers_length() {
        let answers = [client(&[1e30, 0.0]), client(&[0.5, 0.0]), client(&[0.0, 0.0]), client(&[1.0, 0.0])];
        assert_close(&run().round(&answers), &[1.0, 0.0]);
    }

    #[test]
    fn without_trust_nothing_moves() {
        let against = [client(&[-1.0, 0.0]), client(&[0.0, 3.0]), client(&[0.0, 0.0]), client(&[1.0, 0.0])];
        assert_eq!(run().round(&against), [0.0, 0.0]);
        let idle = [client(&[1.0, 0.0]), client(&[1.0, 0.0]), client(&[1.0, 0.0]), client(&[0.0, 0.0])];
        assert_eq!(run().round(&idle), [0.0, 0.0]);
    }
}
