//! The state of a federated strategy as a safetensors file: f64, arrays with one dimension, scalars with none.

use std::collections::BTreeMap;

use fltk_core::server_state::ServerState;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::TrainError;

/// Returns the bytes of the file.
///
/// # Errors
/// If an array and a scalar have the same name, or the file would be too large.
pub fn to_safetensors(server: &ServerState) -> Result<Vec<u8>, TrainError> {
    let failed = |reason: String| TrainError::State(reason);
    if let Some(name) = server.scalars.keys().find(|name| server.arrays.contains_key(*name)) {
        return Err(failed(format!("`{name}` is an array and a scalar")));
    }
    let bytes = |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let arrays = server.arrays.iter().map(|(name, values)| (name, vec![values.len()], bytes(values)));
    let scalars = server.scalars.iter().map(|(name, value)| (name, Vec::new(), bytes(&[*value])));
    let data: Vec<(&String, Vec<usize>, Vec<u8>)> = arrays.chain(scalars).collect();
    let mut views = Vec::with_capacity(data.len());
    for (name, shape, bytes) in &data {
        views.push((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), bytes).map_err(|error| failed(error.to_string()))?));
    }
    safetensors::serialize(views, None).map_err(|error| failed(error.to_string()))
}

/// Returns the state in `bytes`. Errors call the file `file`.
///
/// # Errors
/// If the bytes are no safetensors file, or a tensor isn't f64 or has more than one dimension.
pub fn from_safetensors(file: &str, bytes: &[u8]) -> Result<ServerState, TrainError> {
    let wrong = |reason: String| TrainError::File { file: file.to_owned(), reason };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
    let (mut arrays, mut scalars) = (BTreeMap::new(), BTreeMap::new());
    for (name, view) in tensors.iter() {
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
    Ok(ServerState { arrays, scalars })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ServerState {
        ServerState {
            arrays: BTreeMap::from([("m".to_owned(), vec![1.0, -0.0, f64::MIN_POSITIVE]), ("none".to_owned(), vec![])]),
            scalars: BTreeMap::from([("beta".to_owned(), 0.1)]),
        }
    }

    #[test]
    fn a_state_comes_back_to_the_bit() {
        let bytes = to_safetensors(&state()).unwrap();
        let found = from_safetensors("f", &bytes).unwrap();
        assert_eq!(found, state());
        assert_eq!(found.arrays["m"][1].to_bits(), (-0.0_f64).to_bits());
        for length in 0..bytes.len() {
            assert!(from_safetensors("f", &bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_a_strategy_never_wrote_is_refused() {
        let mut both = state();
        both.scalars.insert("m".to_owned(), 1.0);
        assert_eq!(
            to_safetensors(&both).unwrap_err().to_string(),
            TrainError::State("`m` is an array and a scalar".to_owned()).to_string()
        );
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
