//! Norm clipping: Sun et al., Can You Really Backdoor Federated Learning?, 2019, arXiv:1911.07963, section 4.

use fltk_core::{
    catalogue::{Entry, Number, Range, StrategyEntry},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, robust};

const MAX_NORM: Number =
    Number::new("max_norm", 1.0, "Largest norm of a client's change; longer ones are scaled down to it.").within(Range::POSITIVE);

/// The mean of the clients' changes, all alike, none of which is longer than `max_norm`:
///
/// ```text
/// D_i = w_i - w
/// w'  = w + mean of D_i / max(1, |D_i| / max_norm)
/// ```
///
/// With w = (0, 0), max_norm = 1 and clients at (0.6, 0) and (30, 40): the second is scaled to (0.6, 0.8), so w' = (0.6, 0.4).
pub static SPEC: Spec = Spec::robust(
    StrategyEntry::new(
        Entry::new("NormClipping", "The mean of the clients' changes, scaled down to a largest norm; robust.")
            .paper("Sun et al., Can You Really Backdoor Federated Learning?, 2019, arXiv:1911.07963")
            .parameters(&[MAX_NORM.parameter()]),
    ),
    finish,
);

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let (updates, max_norm) = (&gathered.updates, MAX_NORM.of(round.config));
    let mut sums = vec![0.0; round.num_parameters()];
    for update in updates {
        let norm = round.changes(&update.state).map(|change| change * change).sum::<f64>().sqrt();
        let divisor = (norm / max_norm).max(1.0);
        for (sum, change) in sums.iter_mut().zip(round.changes(&update.state)) {
            *sum += change / divisor;
        }
    }
    let globals = round.parameters().flat_map(|span| &round.global.floats[span]);
    let parameters = globals.zip(&sums).map(|(&global, sum)| f64::from(global) + sum / gathered.count());
    Ok(robust::model(round, updates, parameters))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client};

    #[test]
    fn long_changes_are_scaled_down() {
        let mut run = Run::new(&SPEC, Choice::new("NormClipping"), &[0.0, 0.0]);
        assert_close(&run.round(&[client(&[0.6, 0.0]).samples(1), client(&[30.0, 40.0]).samples(99).buffer(4.0)]), &[0.6, 0.4]);
        assert_eq!(run.buffer(), 2.0, "the median of two");
    }
}
