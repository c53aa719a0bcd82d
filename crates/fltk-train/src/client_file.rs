//! The state that a federated client keeps, as a safetensors file: arrays in f32 and whole numbers with one
//! dimension, scalars in f64 with none. The file says
//! whose it is, and has a digest: it must not be taken for another client's, and damage must not go unnoticed, since a run would go on with
//! wrong numbers.

use std::collections::BTreeMap;

use fltk_core::{
    client_state::ClientState,
    ids::{ClientId, Round},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::TrainError;

/// The format of the file. A reader refuses any other.
const FORMAT: u64 = 1;
/// The name of the [`Label`] in the file's metadata. It is the only entry, so that the same state gives the same bytes.
const LABEL: &str = "fltk_client_state";

/// The client and the round that a state belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The run, by an id that stays the same when its folder is moved or copied.
    pub run: String,
    /// The client.
    pub client: ClientId,
    /// The round after which the client had the state.
    pub round: Round,
}

/// The label of a file: whose it is, and its digest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    format: u64,
    owner: Owner,
    /// The digest of names and values, in lower-case hex.
    sha256: String,
}

/// Returns the bytes of the file.
///
/// # Errors
/// If an array and a scalar have the same name, or the file would be too large.
pub fn to_safetensors(owner: &Owner, state: &ClientState) -> Result<Vec<u8>, TrainError> {
    let failed = |reason: String| TrainError::State(reason);
    let mut names: Vec<&str> = state.names().collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(failed(format!("`{}` is the name of two things", pair[0])));
    }
    let arrays = state.arrays.iter().map(|(name, values)| (name, Dtype::F32, vec![values.len()], array_bytes(values)));
    let scalars = state.scalars.iter().map(|(name, value)| (name, Dtype::F64, Vec::new(), value.to_le_bytes().to_vec()));
    let counters = state.counters.iter().map(|(name, values)| (name, Dtype::I64, vec![values.len()], counter_bytes(values)));
    let data: Vec<(&String, Dtype, Vec<usize>, Vec<u8>)> = arrays.chain(counters).chain(scalars).collect();
    let mut views = Vec::with_capacity(data.len());
    for (name, dtype, shape, bytes) in &data {
        views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| failed(error.to_string()))?));
    }
    let label = Label { format: FORMAT, owner: owner.clone(), sha256: digest(state) };
    let label = serde_json::to_string(&label).map_err(|error| failed(error.to_string()))?;
    safetensors::serialize(views, Some([(LABEL.to_owned(), label)].into())).map_err(|error| failed(error.to_string()))
}

/// Returns the state in `bytes`, which must be that of `owner`. Errors call the file `file`.
///
/// # Errors
/// If the bytes are no file of this format, are damaged, or are of another run, client or round.
pub fn from_safetensors(file: &str, bytes: &[u8], owner: &Owner) -> Result<ClientState, TrainError> {
    let wrong = |reason: String| TrainError::File { file: file.to_owned(), reason };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| wrong(error.to_string()))?;
    let label = metadata.metadata().as_ref().and_then(|entries| entries.get(LABEL));
    let label = label.ok_or_else(|| wrong("it doesn't say that it is the state of a client".to_owned()))?;
    let label: Label = serde_json::from_str(label).map_err(|error| wrong(format!("what it says of itself can't be read: {error}")))?;
    if label.format != FORMAT {
        return Err(wrong(format!("it has format {}, not {FORMAT}", label.format)));
    }
    if label.owner != *owner {
        let text = |owner: &Owner| format!("client {} after round {} in run `{}`", owner.client, owner.round, owner.run);
        return Err(wrong(format!("it is the state of {}, not of {}", text(&label.owner), text(owner))));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
    let (mut arrays, mut counters, mut scalars) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (name, view) in tensors.iter() {
        match (view.dtype(), view.shape(), view.data()) {
            (Dtype::F32, [_], data) => drop(arrays.insert(name.to_owned(), crate::state_file::f32s(data).collect())),
            (Dtype::I64, [_], data) => {
                counters.insert(name.to_owned(), data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect());
            }
            (Dtype::F64, [], data) => {
                scalars.extend(data.as_chunks().0.iter().map(|bytes| (name.to_owned(), f64::from_le_bytes(*bytes))));
            }
            (dtype, shape, _) => return Err(wrong(format!("tensor `{name}` is {dtype:?} {shape:?}, which no client keeps"))),
        }
    }
    let state = ClientState { arrays, counters, scalars };
    if digest(&state) != label.sha256 {
        return Err(wrong("it is not what was written: its SHA-256 differs".to_owned()));
    }
    Ok(state)
}

/// Returns the digest of names, lengths and little-endian values, in lower-case hex.
fn digest(state: &ClientState) -> String {
    let mut hash = Sha256::new();
    let arrays = state.arrays.iter().map(|(name, values)| (name, values.len() as u64, array_bytes(values)));
    let scalars = state.scalars.iter().map(|(name, value)| (name, u64::MAX, value.to_le_bytes().to_vec()));
    let counters = state.counters.iter().map(|(name, values)| (name, values.len() as u64 | COUNTERS, counter_bytes(values)));
    for (name, length, bytes) in arrays.chain(counters).chain(scalars) {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(length.to_le_bytes());
        hash.update(bytes);
    }
    hex::encode(hash.finalize())
}

/// The bit of a length, in what is hashed, that tells whole numbers from those of an array.
const COUNTERS: u64 = 1 << 62;

fn counter_bytes(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn array_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { run: "ab/0".to_owned(), client: ClientId(3), round: Round(12) }
    }

    fn state() -> ClientState {
        ClientState {
            arrays: BTreeMap::from([("control".to_owned(), vec![1.0, -0.0, f32::MIN_POSITIVE]), ("none".to_owned(), vec![])]),
            counters: BTreeMap::from([("batches".to_owned(), vec![1, -1, i64::MAX])]),
            scalars: BTreeMap::from([("turns".to_owned(), 0.1), ("last".to_owned(), -0.0)]),
        }
    }

    #[test]
    fn a_state_comes_back_to_the_bit_and_the_same_state_gives_the_same_file() {
        let bytes = to_safetensors(&owner(), &state()).unwrap();
        assert_eq!(to_safetensors(&owner(), &state()).unwrap(), bytes);
        let found = from_safetensors("f", &bytes, &owner()).unwrap();
        assert_eq!(found, state());
        assert_eq!(found.arrays["control"][1].to_bits(), (-0.0_f32).to_bits());
        assert_eq!(found.scalars["last"].to_bits(), (-0.0_f64).to_bits());
        let empty = to_safetensors(&owner(), &ClientState::default()).unwrap();
        assert_eq!(from_safetensors("f", &empty, &owner()).unwrap(), ClientState::default());
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let bytes = to_safetensors(&owner(), &state()).unwrap();
        for length in 0..bytes.len() {
            assert!(from_safetensors("f", &bytes[..length], &owner()).is_err(), "{length}");
        }
        // Any flipped bit is found: in the header, in what the file says of itself, and in the numbers.
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            // White space in the header is padding.
            let Err(error) = from_safetensors("the file", &damaged, &owner()) else {
                assert_eq!(bytes[place], b' ', "byte {place}");
                continue;
            };
            assert!(error.to_string().starts_with("`the file` is damaged or of another kind: "), "{error}");
        }
    }

    #[test]
    fn the_file_of_another_is_refused() {
        let bytes = to_safetensors(&owner(), &state()).unwrap();
        let check = |change: &dyn Fn(&mut Owner), expected: &str| {
            let mut other = owner();
            change(&mut other);
            let error = from_safetensors("f", &bytes, &other).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let is = "it is the state of client 3 after round 12 in run `ab/0`, not of client";
        check(&|owner| owner.client = ClientId(4), &format!("{is} 4 after round 12"));
        check(&|owner| owner.round = Round(11), &format!("{is} 3 after round 11"));
        check(&|owner| owner.run = "ab/1".to_owned(), &format!("{is} 3 after round 12 in run `ab/1`"));
        let plain = safetensors::serialize([("m", TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap())], None).unwrap();
        assert!(from_safetensors("f", &plain, &owner()).unwrap_err().to_string().contains("doesn't say that it is the state of a client"));
        let mut both = state();
        both.scalars.insert("control".to_owned(), 1.0);
        assert!(to_safetensors(&owner(), &both).unwrap_err().to_string().contains("`control` is the name of two things"));
    }
}
