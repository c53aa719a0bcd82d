//! Checks of model states that come from clients or files.

use std::collections::BTreeSet;

use fltk_core::model_state::{ModelState, TensorRole, TensorSpec};

/// The problem with a model state.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StateError {
    /// Two tensors have the same name.
    #[error("tensor `{name}` is there twice")]
    RepeatedName {
        /// The name.
        name: String,
    },
    /// The product of a tensor's sizes overflows.
    #[error("tensor `{name}` of shape {shape:?} is too large")]
    TooLarge {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The state has more or fewer tensors than the model.
    #[error("it has {found} tensors, the model has {expected}")]
    NumTensors {
        /// The number of the model's tensors.
        expected: usize,
        /// The number of the state's tensors.
        found: usize,
    },
    /// A tensor differs from the model's tensor at that position.
    #[error("its tensor {index} is {found}, the model's is {expected}")]
    Tensor {
        /// The position in the layout, from 0.
        index: usize,
        /// The model's tensor.
        expected: String,
        /// The state's tensor.
        found: String,
    },
    /// The number of elements doesn't match the layout.
    #[error("it has {found} {what}, its layout needs {expected}")]
    NumElements {
        /// The kind of the elements: floats or counters.
        what: &'static str,
        /// The number according to the layout.
        expected: usize,
        /// The number in the state.
        found: usize,
    },
    /// An element is infinite or not a number.
    #[error("element {element} of `{tensor}` is {value}; hint: training diverged, a lower learning rate may help")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The position in the tensor, row-major, from 0.
        element: usize,
        /// The value.
        value: f32,
    },
}

/// Checks a state against its own layout: unique names, the right number of elements, all finite.
///
/// # Errors
///
/// The first problem found.
pub fn check_state(state: &ModelState) -> Result<(), StateError> {
    let mut names = BTreeSet::new();
    let (mut num_floats, mut num_counters) = (0_usize, 0_usize);
    for spec in state.layout.iter() {
        if !names.insert(spec.name.as_str()) {
            return Err(StateError::RepeatedName { name: spec.name.clone() });
        }
        let count = match spec.role {
            TensorRole::Parameter | TensorRole::Buffer => &mut num_floats,
            TensorRole::Counter => &mut num_counters,
        };
        let size = spec.shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        *count = size
            .and_then(|size| count.checked_add(size))
            .ok_or_else(|| StateError::TooLarge { name: spec.name.clone(), shape: spec.shape.clone() })?;
    }
    check_len("floats", num_floats, state.floats.len())?;
    check_len("counters", num_counters, state.counters.len())?;
    check_finite(state)
}

/// Checks that `state` can replace `model`, which [`check_state`] accepts: the same layout, filled, all finite.
///
/// # Errors
///
/// The first problem found.
pub fn check_like(model: &ModelState, state: &ModelState) -> Result<(), StateError> {
    if state.layout != model.layout {
        let (expected, found) = (model.layout.len(), state.layout.len());
        if expected != found {
            return Err(StateError::NumTensors { expected, found });
        }
        for (index, (expected, found)) in model.layout.iter().zip(state.layout.iter()).enumerate() {
            if expected != found {
                return Err(StateError::Tensor { index, expected: describe(expected), found: describe(found) });
            }
        }
    }
    check_len("floats", model.floats.len(), state.floats.len())?;
    check_len("counters", model.counters.len(), state.counters.len())?;
    check_finite(state)
}

fn check_len(what: &'static str, expected: usize, found: usize) -> Result<(), StateError> {
    if expected == found { Ok(()) } else { Err(StateError::NumElements { what, expected, found }) }
}

fn check_finite(state: &ModelState) -> Result<(), StateError> {
    let Some(position) = state.floats.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let value = state.floats[position];
    let mut start = 0;
    for spec in state.layout.iter().filter(|spec| spec.role != TensorRole::Counter) {
        let element = position - start;
        if element < spec.num_elements() {
            return Err(StateError::NotFinite { tensor: spec.name.clone(), element, value });
        }
        start += spec.num_elements();
    }
    Err(StateError::NumElements { what: "floats", expected: start, found: state.floats.len() })
}

fn describe(spec: &TensorSpec) -> String {
    format!("{:?} `{}` of shape {:?}", spec.role, spec.name, spec.shape)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn spec(name: &str, shape: &[usize], role: TensorRole) -> TensorSpec {
        TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role }
    }

    fn model() -> ModelState {
        let layout = vec![
            spec("weight", &[2, 2], TensorRole::Parameter),
            spec("num_batches_tracked", &[], TensorRole::Counter),
            spec("running_mean", &[3], TensorRole::Buffer),
        ];
        ModelState { layout: Arc::new(layout), floats: vec![1.0; 7], counters: vec![5] }
    }

    #[test]
    fn states_are_checked_against_their_own_layout() {
        let check = |change: &dyn Fn(&mut ModelState, &mut Vec<TensorSpec>), expected: &str| {
            let mut state = model();
            let mut layout = state.layout.to_vec();
            change(&mut state, &mut layout);
            state.layout = Arc::new(layout);
            let found = check_state(&state).map_or_else(|error| error.to_string(), |()| "fine".to_owned());
            assert_eq!(found, expected);
        };
        check(&|_, _| (), "fine");
        check(&|_, layout| layout[2].name = "weight".to_owned(), "tensor `weight` is there twice");
        check(&|_, layout| layout[0].shape = vec![usize::MAX, 2], &format!("tensor `weight` of shape [{}, 2] is too large", usize::MAX));
        check(&|_, layout| layout[2].shape = vec![usize::MAX], &format!("tensor `running_mean` of shape [{}] is too large", usize::MAX));
        check(&|state, _| state.floats.truncate(6), "it has 6 floats, its layout needs 7");
        check(&|state, _| state.counters.push(1), "it has 2 counters, its layout needs 1");
        check(
            &|state, _| state.floats[5] = f32::NAN,
            "element 1 of `running_mean` is NaN; hint: training diverged, a lower learning rate may help",
        );
    }

    #[test]
    fn states_are_checked_against_the_model() {
        let check = |change: &dyn Fn(&mut ModelState, &mut Vec<TensorSpec>), expected: &str| {
            let mut state = model();
            let mut layout = state.layout.to_vec();
            change(&mut state, &mut layout);
            state.layout = Arc::new(layout);
            let found = check_like(&model(), &state).map_or_else(|error| error.to_string(), |()| "fine".to_owned());
            assert_eq!(found, expected);
        };
        check(&|_, _| (), "fine");
        check(&|state, _| state.floats[0] = -2.0, "fine");
        check(&|_, layout| layout.truncate(2), "it has 2 tensors, the model has 3");
        check(
            &|_, layout| layout[0].shape = vec![4],
            "its tensor 0 is Parameter `weight` of shape [4], the model's is Parameter `weight` of shape [2, 2]",
        );
        check(
            &|_, layout| layout[2].role = TensorRole::Parameter,
            "its tensor 2 is Parameter `running_mean` of shape [3], the model's is Buffer `running_mean` of shape [3]",
        );
        check(&|state, _| state.floats.clear(), "it has 0 floats, its layout needs 7");
        check(&|state, _| state.counters.clear(), "it has 0 counters, its layout needs 1");
        check(
            &|state, _| state.floats[3] = f32::NEG_INFINITY,
            "element 3 of `weight` is -inf; hint: training diverged, a lower learning rate may help",
        );
    }
}
