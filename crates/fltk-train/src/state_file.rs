//! States as safetensors files that PyTorch reads: PyTorch's names, contiguous NCHW, f32, and i64 for counters.

use std::{collections::BTreeSet, sync::Arc};

use fltk_core::model_state::{ModelState, TensorRole, TensorSpec};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::TrainError;

/// Returns the bytes of the file.
///
/// # Errors
/// If the state contradicts its own layout.
pub fn state_to_safetensors(state: &ModelState) -> Result<Vec<u8>, TrainError> {
    encode(&state.layout, &state.floats, &state.counters)
}

/// Returns the state in `bytes`, which must contain exactly the tensors of `layout`. Errors call the file `file`.
///
/// # Errors
/// If the bytes are no safetensors file, or a tensor is missing, unknown, or has another shape or type.
pub fn state_from_safetensors(file: &str, bytes: &[u8], layout: &Arc<Vec<TensorSpec>>) -> Result<ModelState, TrainError> {
    let (floats, counters) = decode(file, bytes, layout)?;
    Ok(ModelState { layout: layout.clone(), floats, counters })
}

pub(crate) fn encode(layout: &[TensorSpec], floats: &[f32], counters: &[i64]) -> Result<Vec<u8>, TrainError> {
    let float_bytes: Vec<u8> = floats.iter().flat_map(|value| value.to_le_bytes()).collect();
    let counter_bytes: Vec<u8> = counters.iter().flat_map(|value| value.to_le_bytes()).collect();
    let (mut float_rest, mut counter_rest) = (float_bytes.as_slice(), counter_bytes.as_slice());
    let mut views = Vec::with_capacity(layout.len());
    for spec in layout {
        let (rest, dtype, width) = match spec.role {
            TensorRole::Counter => (&mut counter_rest, Dtype::I64, 8),
            TensorRole::Parameter | TensorRole::Buffer => (&mut float_rest, Dtype::F32, 4),
        };
        let data = rest.split_off(..spec.num_elements() * width);
        let data = data.ok_or_else(|| TrainError::State(format!("it ends before `{}`", spec.name)))?;
        let view = TensorView::new(dtype, spec.shape.clone(), data).map_err(|error| TrainError::State(error.to_string()))?;
        views.push((spec.name.as_str(), view));
    }
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).map_err(|error| TrainError::State(error.to_string()))
}

pub(crate) fn decode(file: &str, bytes: &[u8], layout: &[TensorSpec]) -> Result<(Vec<f32>, Vec<i64>), TrainError> {
    let wrong = |reason: String| TrainError::File { file: file.to_owned(), reason };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
    let known: BTreeSet<&str> = layout.iter().map(|spec| spec.name.as_str()).collect();
    if let Some(name) = tensors.names().into_iter().find(|name| !known.contains(name)) {
        return Err(wrong(format!("unknown tensor `{name}`")));
    }
    let (mut floats, mut counters) = (vec![], vec![]);
    for spec in layout {
        let view = tensors.tensor(&spec.name).map_err(|_| wrong(format!("tensor `{}` is missing", spec.name)))?;
        let dtype = if spec.role == TensorRole::Counter { Dtype::I64 } else { Dtype::F32 };
        if view.dtype() != dtype || view.shape() != spec.shape {
            let (name, shape) = (&spec.name, &spec.shape);
            return Err(wrong(format!("tensor `{name}` is {:?} {:?} instead of {dtype:?} {shape:?}", view.dtype(), view.shape())));
        }
        match spec.role {
            TensorRole::Counter => counters.extend(i64s(view.data())),
            TensorRole::Parameter | TensorRole::Buffer => floats.extend(f32s(view.data())),
        }
    }
    Ok((floats, counters))
}

/// Returns the little-endian elements of a tensor's data.
pub(crate) fn f32s(data: &[u8]) -> impl Iterator<Item = f32> {
    data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

/// Returns the little-endian elements of a tensor's data.
pub(crate) fn i64s(data: &[u8]) -> impl Iterator<Item = i64> {
    data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ModelState {
        let spec = |name: &str, shape: &[usize], role| TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role };
        let layout =
            vec![spec("w", &[2, 2], TensorRole::Parameter), spec("n", &[], TensorRole::Counter), spec("b", &[1], TensorRole::Buffer)];
        ModelState { layout: Arc::new(layout), floats: vec![1.0, -2.5, f32::MIN_POSITIVE, 4.0, 5.0], counters: vec![7] }
    }

    #[test]
    fn state_round_trips() {
        let state = state();
        let bytes = state_to_safetensors(&state).unwrap();
        assert_eq!(state_from_safetensors("f", &bytes, &state.layout).unwrap(), state);
    }

    #[test]
    fn foreign_files_are_refused_with_the_tensor_named() {
        let check = |change: fn(&mut TensorSpec), expected: &str| {
            let state = state();
            let bytes = state_to_safetensors(&state).unwrap();
            let mut layout = (*state.layout).clone();
            change(&mut layout[0]);
            let error = state_from_safetensors("f", &bytes, &Arc::new(layout)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(|spec| spec.name = "v".to_owned(), "unknown tensor `w`");
        check(|spec| spec.shape = vec![4], "`w` is F32 [2, 2] instead of F32 [4]");
        check(|spec| spec.role = TensorRole::Counter, "instead of I64");
        let state = state();
        let bytes = state_to_safetensors(&state).unwrap();
        for length in 0..bytes.len() {
            assert!(state_from_safetensors("f", &bytes[..length], &state.layout).is_err(), "{length}");
        }
        let short = ModelState { floats: vec![1.0], ..state };
        assert!(matches!(state_to_safetensors(&short), Err(TrainError::State(_))));
    }
}
