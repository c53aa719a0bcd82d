//! The parameters of a model, as one row of numbers in the layout's order.

use std::ops::Range;

use fltk_core::model_state::{ModelState, TensorRole, TensorSpec};

use super::float_spans;

/// Returns the number of elements of all parameters.
pub(crate) fn count(model: &ModelState) -> usize {
    model.layout.iter().filter(|spec| spec.role == TensorRole::Parameter).map(TensorSpec::num_elements).sum()
}

/// Returns the change of every parameter from `global` to `model`, in order. It is exact but for one rounding to f64.
pub(super) fn changes<'a>(global: &'a ModelState, model: &'a ModelState) -> impl Iterator<Item = f64> + 'a {
    let spans = float_spans(global).into_iter().filter(|(role, _)| *role == TensorRole::Parameter);
    changes_in(spans.map(|(_, span)| span), global, model)
}

/// Does the same, given the `spans` of the floats that are parameters.
pub(super) fn changes_in<'a>(
    spans: impl Iterator<Item = Range<usize>> + 'a,
    global: &'a ModelState,
    model: &'a ModelState,
) -> impl Iterator<Item = f64> + 'a {
    spans.flat_map(move |span| {
        let pairs = model.floats[span.clone()].iter().zip(&global.floats[span]);
        pairs.map(|(&client, &global)| f64::from(client) - f64::from(global))
    })
}
