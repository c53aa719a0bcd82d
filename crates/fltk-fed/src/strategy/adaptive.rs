//! The common part of FedAdagrad, FedAdam and FedYogi: Reddi et al., Adaptive Federated Optimization, 2021, arXiv:2003.00295, algorithm 2.

use fltk_core::{
    catalogue::{Number, Numbers, Range, Word},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Kept, pseudo_gradient};

/// The publication.
pub(super) const PAPER: &str = "Reddi et al., Adaptive Federated Optimization, 2021, arXiv:2003.00295, algorithm 2";

/// The degree of adaptivity.
pub(super) const TAU: Number =
    Number::new("tau", 1e-3, "Degree of adaptivity, added to the square root of the second moment.").within(Range::POSITIVE);

/// The arithmetic in which figures are compared.
pub(super) const FLAVOR: Word = Word::new(
    "flavor",
    &["paper", "flower"],
    "`paper`: the second moment is `tau^2` before the first round, and no moment is corrected for its start. `flower`: as Flower computes, \
     from 0, and for FedAdam with a correction by the exponent `round + 1`.",
);

/// The arrays that the server keeps.
pub(super) const STATE: &[Kept] = &[
    Kept::array("m", "The first moment of the mean changes; 0 before the first round."),
    Kept::array("v", "The second moment; before the first round `tau^2`, or 0 with `flavor: flower`."),
];

/// Returns the decay rates as a parameter with these defaults.
pub(super) const fn betas(default: &'static [f64; 2], doc: &'static str) -> Numbers<2> {
    Numbers::new("betas", default, doc).within(Range::BELOW_ONE)
}

/// Computes the next model:
///
/// ```text
/// D  = sum_i p_i (w_i - w)                    p_i is the client's share by `weights`
/// m' = beta1 * m + (1 - beta1) * D            m is 0 before the first round
/// v' = second(v, D^2)                         v is tau^2 before the first round
/// w' = w + rate * m' / (sqrt(v') + tau)
/// ```
pub(super) fn finish(
    round: &Gathering<'_>,
    gathered: Gathered,
    server: &mut ServerState,
    rate: f64,
    beta1: f64,
    second: impl Fn(f64, f64) -> f64,
) -> Result<ModelState, WrongLength> {
    let tau = TAU.of(round.config);
    let start = if FLAVOR.of(round.config) == "flower" { 0.0 } else { tau * tau };
    let len = round.num_parameters();
    let mut first_moment = server.take_array("m", len, 0.0)?;
    let mut second_moment = server.take_array("v", len, start)?;
    for ((m, v), change) in first_moment.iter_mut().zip(&mut second_moment).zip(pseudo_gradient::mean(round, &gathered)) {
        *m = beta1 * *m + (1.0 - beta1) * change;
        *v = second(*v, change * change);
    }
    let steps = first_moment.iter().zip(&second_moment).map(|(m, v)| rate * m / (v.sqrt() + tau));
    let state = pseudo_gradient::apply(round, gathered, steps);
    server.arrays.extend([("m".to_owned(), first_moment), ("v".to_owned(), second_moment)]);
    Ok(state)
}
