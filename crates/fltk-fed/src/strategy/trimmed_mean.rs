//! The trimmed mean of the clients' models: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018,
//! arXiv:1803.01498, definition 2.

use fltk_core::{
    catalogue::{Choice, Entry, Misfit, Number, Range, StrategyEntry, Withstood},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, robust};

const BETA: Number = Number::new("beta", 0.1, "Share of the clients that is cut at each end.")
    .within(Range { min: Some((0.0, true)), max: Some((0.5, true)) });

/// The mean of the clients' values of each coordinate without the `floor(beta * n)` smallest and largest of n clients.
///
/// With beta = 0.25 and clients at 1, 2, 6 and 100, one is cut at each end: (2 + 6) / 2 = 4.
pub static SPEC: Spec = Spec::robust(
    StrategyEntry::new(
        Entry::new("TrimmedMean", "The mean without the smallest and largest values of each coordinate; robust.")
            .paper("Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018, arXiv:1803.01498")
            .parameters(&[BETA.parameter()]),
    )
    .cohort(check)
    .withstands(withstood),
    finish,
);

/// Returns the number of values that are cut at each end. A product such as 0.29 * 100 may be rounded down to just below a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product is positive and at most half the number of clients"
)]
fn cut(settings: &Choice, cohort: u32) -> usize {
    // At least one value is left, however close `beta` is to 1/2.
    ((BETA.of(settings) * f64::from(cohort) + 1e-9).floor() as usize).min((cohort.saturating_sub(1) / 2) as usize)
}

fn check(settings: &Choice, cohort: u32) -> Result<(), Misfit> {
    if cut(settings, cohort) > 0 {
        return Ok(());
    }
    let beta = BETA.of(settings);
    let message = format!("`beta: {beta}` of {cohort} updates cuts none, so that the mean isn't robust");
    Err(Misfit { parameter: "beta", message, hint: format!("at least {}, or `FedAvg` with `weights: uniform`", smallest(cohort)) })
}

#[expect(
    clippy::unnecessary_wraps,
    clippy::cast_possible_truncation,
    reason = "at most half of the cohort is cut, always a number of clients"
)]
fn withstood(settings: &Choice, cohort: u32) -> Option<Withstood> {
    let (beta, cut) = (BETA.of(settings), cut(settings, cohort));
    let says = format!("`beta` is {beta}, which cuts {cut} of {cohort} clients at each end");
    Some(Withstood { clients: cut as u32, parameter: "beta", says })
}

/// Returns the smallest share that cuts a value, rounded up to three digits.
fn smallest(cohort: u32) -> f64 {
    (1000.0 / f64::from(cohort.max(1))).ceil() / 1000.0
}

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let cut = cut(round.config, gathered.num_updates);
    let parameters =
        robust::by_coordinate(round, &gathered.updates, |sorted| robust::mean(&sorted[cut..sorted.len().saturating_sub(cut).max(cut)]));
    Ok(robust::model(round, &gathered.updates, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Run, client};

    #[test]
    fn something_is_always_left() {
        let settings = Choice::new("TrimmedMean").with("beta", 0.499_999_999_9);
        assert_eq!([1, 2, 3, 4, 5, 1000].map(|cohort| cut(&settings, cohort)), [0, 0, 1, 1, 2, 499]);
    }

    #[test]
    fn smallest_and_largest_values_are_cut() {
        let mut run = Run::new(&SPEC, Choice::new("TrimmedMean").with("beta", 0.25), &[0.0]);
        let answers = [client(&[100.0]), client(&[1.0]).samples(1000), client(&[6.0]), client(&[2.0]).buffer(8.0)];
        assert_eq!((run.round(&answers), run.buffer()), (vec![4.0], 0.0));
    }

    #[test]
    fn products_just_below_a_whole_number_are_that_number() {
        assert_eq!(cut(&Choice::new("TrimmedMean").with("beta", 0.29), 100), 29);
        assert_eq!(cut(&Choice::new("TrimmedMean").with("beta", 0.3), 10), 3);
        assert_eq!(cut(&Choice::new("TrimmedMean").with("beta", 0.19), 10), 1);
    }

    #[test]
    fn shares_that_cut_nothing_are_refused() {
        let refusal = check(&Choice::new("TrimmedMean"), 9).unwrap_err();
        assert_eq!(refusal.message, "`beta: 0.1` of 9 updates cuts none, so that the mean isn't robust");
        assert_eq!(refusal.hint, "at least 0.112, or `FedAvg` with `weights: uniform`");
        assert_eq!(check(&Choice::new("TrimmedMean").with("beta", 0.112), 9), Ok(()));
        assert_eq!(check(&Choice::new("TrimmedMean"), 10), Ok(()));
    }
}
