//! The state of a federated strategy as a safetensors file: f64, arrays with one dimension, scalars with none; and the last round of each
//! client as u32, if clients keep state.

use std::collections::BTreeMap;

use fltk_core::{ids::Round, server_state::ServerState};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::TrainError;

/// The name of the tensor of [`ServerState::last_rounds`].
const LAST_ROUNDS: &str = "last_rounds";

/// Returns the bytes of the file.
///
/// # Errors
/// If two have the same name, or the file would be too large.
pub fn to_safetensors(server: &ServerState) -> Result<Vec<u8>, TrainError> {
    let failed = |reason: String| TrainError::State(reason);
    if let Some(name) = server.scalars.keys().find(|name| server.arrays.contains_key(*name)) {
        return Err(failed(format!("`{name}` is an array and a scalar")));
    }
    if server.arrays.contains_key(LAST_ROUNDS) || server.scalars.contains_key(LAST_ROUNDS) {
        return Err(failed(format!("`{LAST_ROUNDS}` is the name of something that isn't the strategy's")));
    }
    let bytes = |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let arrays = server.arrays.iter().map(|(name, values)| (name, vec![values.len()], bytes(values)));
    let scalars = server.scalars.iter().map(|(name, value)| (name, Vec::new(), bytes(&[*value])));
    let data: Vec<(&String, Vec<usize>, Vec<u8>)> = arrays.chain(scalars).collect();
    let mut views = Vec::with_capacity(data.len());
    for (name, shape, bytes) in &data {
        views.push((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), bytes).map_err(|error| failed(error.to_string()))?));
    }
    let last_rounds: Vec<u8> = server.last_rounds.iter().flat_map(|round| round.0.to_le_bytes()).collect();
    if !server.last_rounds.is_empty() {
        let view = TensorView::new(Dtype::U32, vec![server.last_rounds.len()], &last_rounds);
        views.push((LAST_ROUNDS, view.map_err(|error| failed(error.to_string()))?));
    }
    safetensors::serialize(views, None).map_err(|error| failed(error.to_string()))
}

/// Returns the state in `bytes`. Errors call the file `file`.
///
/// # Errors
/// If the bytes are no safetensors file, or a tensor has another type or more than one dimension.
pub fn from_safetensors(file: &str, bytes: &[u8]) -> Result<ServerState, TrainError> {
    let wrong = |reason: String| TrainError::File { file: file.to_owned(), reason };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
    let (mut arrays, mut scalars, mut last_rounds) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (name, view) in tensors.iter() {
        if (name, view.dtype(), view.shape().len()) == (LAST_ROUNDS, Dtype::U32, 1) {
            last_rounds = view.data().as_chunks().0.iter().map(|bytes| Round(u32::from_le_bytes(*bytes))).collect();
            continue;
        }
        if view.dtype() != Dtype::F64 {
            return Err(wrong(format!("tensor `{name}` is {:?} instead of F64", view.dtype())));
        }
        let mut values = view.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        match (view.shape(), values.next()) {
            ([], Some(value)) => drop(scalars.insert(name.to_owned(), value)),
            ([_], first) => drop(arrays.insert(name.to_owned(), first.into_iter().chain(values).collect())),
            (shape, _) => return Err(wrong(format!("tensor `{name}` has shape {shape:?} instead of one dimension or none"))),
        }
    }
    Ok(ServerState { arrays, scalars, last_rounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ServerState {
        ServerState {
            arrays: BTreeMap::from([("m".to_owned(), vec![1.0, -0.0, f64::MIN_POSITIVE]), ("none".to_owned(), vec![])]),
            scalars: BTreeMap::from([("beta".to_owned(), 0.1)]),
            last_rounds: vec![Round(0), Round(u32::MAX), Round(3)],
        }
    }

    #[test]
    fn strategy_state_round_trips_bit_for_bit() {
        let bytes = to_safetensors(&state()).unwrap();
        let found = from_safetensors("f", &bytes).unwrap();
        assert_eq!(found, state());
        assert_eq!(found.arrays["m"][1].to_bits(), (-0.0_f64).to_bits());
        for length in 0..bytes.len() {
            assert!(from_safetensors("f", &bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn invalid_strategy_files_are_refused() {
        let mut both = state();
        both.scalars.insert("m".to_owned(), 1.0);
        assert_eq!(
            to_safetensors(&both).unwrap_err().to_string(),
            TrainError::State("`m` is an array and a scalar".to_owned()).to_string()
        );
        let mut taken = state();
        taken.scalars.insert(LAST_ROUNDS.to_owned(), 1.0);
        assert!(to_safetensors(&taken).unwrap_err().to_string().contains("`last_rounds` is the name of something"));
        let file = |dtype, shape: Vec<usize>, bytes: &[u8]| {
            safetensors::serialize([("m", TensorView::new(dtype, shape, bytes).unwrap())], None).unwrap()
        };
        let check = |bytes: Vec<u8>, expected: &str| {
            let error = from_safetensors("f", &bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(file(Dtype::F32, vec![1], &[0; 4]), "tensor `m` is F32 instead of F64");
        check(file(Dtype::F64, vec![1, 1], &[0; 8]), "tensor `m` has shape [1, 1]");
    }
}
