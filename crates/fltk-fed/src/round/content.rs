//! Checks of what an update holds.

use fltk_core::{metrics::TrainSummary, model_state::ModelState};

use super::{ClientUpdate, ProtocolError};
use crate::{
    state_check::check_like,
    strategy::{Array, Spec},
};

/// The limit on counts in a client's summary: larger ones are invalid; below it, sums of losses weighted by them can't overflow.
const COUNT_MAX: u64 = 1 << 53;

/// Checks that an update of a client that started from `base`, whose parameters have `expected` elements, can be used by `strategy`.
pub(super) fn check(update: &ClientUpdate, base: &ModelState, expected: usize, strategy: &Spec) -> Result<(), ProtocolError> {
    let (round, client) = (update.round, update.client);
    let number = |what, value| Err(ProtocolError::Number { round, client, what, value });
    let TrainSummary { num_samples, num_steps, loss } = update.train;
    for (what, count) in [("number of samples", num_samples), ("number of steps", num_steps)] {
        if count > COUNT_MAX {
            return number(what, as_f64(count));
        }
    }
    match loss {
        Some(loss) if !loss.is_finite() || loss.abs() > f64::from(f32::MAX) => return number("loss", loss),
        // Without a loss, its samples would count in the mean with a loss of 0.
        None if num_samples > 0 => return number("loss", f64::NAN),
        _ => {}
    }
    if !update.seconds.is_finite() || update.seconds < 0.0 {
        return number("time in seconds", update.seconds);
    }
    for extra in strategy.extras {
        let value = update.extras.get(extra.name).copied().unwrap_or(f64::NAN);
        if !value.is_finite() || !(extra.is_possible)(value, num_steps) {
            return number(extra.name, value);
        }
    }
    let array = |problem| Err(ProtocolError::Array { round, client, problem });
    for &Array { name, .. } in strategy.arrays {
        match update.arrays.get(name) {
            None => return array(format!("the array `{name}` is missing")),
            Some(values) if values.len() != expected => {
                return array(format!("the array `{name}` has {} elements, the model needs {expected}", values.len()));
            }
            Some(values) if values.iter().any(|value| !value.is_finite()) => {
                return array(format!(
                    "the array `{name}` has a number that isn't finite; hint: training diverged, a lower learning rate may help"
                ));
            }
            Some(_) => {}
        }
    }
    check_like(base, &update.state).map_err(|source| ProtocolError::State { round, client, source })
}

#[expect(clippy::cast_precision_loss, reason = "a count for an error")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
