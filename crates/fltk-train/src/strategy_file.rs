//! The state of a federated strategy as a safetensors file: f64, arrays with one dimension, scalars with none; the last round of each client as u32,
//! if clients keep state; under an asynchronous strategy, the clients that work as u64, and the models that they started from; and under a strategy of the
//! user's own, its arrays, with any number of dimensions.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    ids::{ClientId, Round},
    model_state::ModelState,
    server_state::{InFlight, ServerState, Shaped},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::TrainError;

/// The name of the tensor of [`ServerState::last_rounds`].
const LAST_ROUNDS: &str = "last_rounds";
/// The name of the tensor of [`ServerState::in_flight`]: for each client its number, the round and the time.
const IN_FLIGHT: &str = "in_flight";
/// The beginning of the names of [`ServerState::bases`], which go on with the round and `.floats` or `.counters`.
const BASE: &str = "base.";
/// The beginning of the names of [`ServerState::own`], which go on with the name that the user's code gives.
const OWN: &str = "own.";

/// Returns the bytes of the file.
///
/// # Errors
/// If two have the same name, or the file would be too large.
pub fn to_safetensors(server: &ServerState) -> Result<Vec<u8>, TrainError> {
    let failed = |reason: String| TrainError::State(reason);
    if let Some(name) = server.scalars.keys().find(|name| server.arrays.contains_key(*name)) {
        return Err(failed(format!("`{name}` is an array and a scalar")));
    }
    let is_taken =
        |name: &&String| [LAST_ROUNDS, IN_FLIGHT].contains(&name.as_str()) || [BASE, OWN].iter().any(|begins| name.starts_with(begins));
    if let Some(name) = server.arrays.keys().chain(server.scalars.keys()).find(is_taken) {
        return Err(failed(format!("`{name}` is the name of something that isn't the strategy's")));
    }
    let bytes = |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let arrays = server.arrays.iter().map(|(name, values)| (name, vec![values.len()], bytes(values)));
    let scalars = server.scalars.iter().map(|(name, value)| (name, Vec::new(), bytes(&[*value])));
    let names: Vec<String> = server.own.keys().map(|name| format!("{OWN}{name}")).collect();
    let own = names.iter().zip(server.own.values()).map(|(name, Shaped { shape, values })| (name, shape.clone(), bytes(values)));
    let data: Vec<(&String, Vec<usize>, Vec<u8>)> = arrays.chain(scalars).chain(own).collect();
    let mut views = Vec::with_capacity(data.len());
    for (name, shape, bytes) in &data {
        views.push((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), bytes).map_err(|error| failed(error.to_string()))?));
    }
    let last_rounds: Vec<u8> = server.last_rounds.iter().flat_map(|round| round.0.to_le_bytes()).collect();
    if !server.last_rounds.is_empty() {
        let view = TensorView::new(Dtype::U32, vec![server.last_rounds.len()], &last_rounds);
        views.push((LAST_ROUNDS, view.map_err(|error| failed(error.to_string()))?));
    }
    let in_flight: Vec<u8> = server
        .in_flight
        .iter()
        .flat_map(|InFlight { client, round, given }| [client.0.into(), round.0.into(), *given])
        .flat_map(u64::to_le_bytes)
        .collect();
    if !server.in_flight.is_empty() {
        let view = TensorView::new(Dtype::U64, vec![server.in_flight.len(), 3], &in_flight);
        views.push((IN_FLIGHT, view.map_err(|error| failed(error.to_string()))?));
    }
    let bases: Vec<(String, Dtype, usize, Vec<u8>)> = server
        .bases
        .iter()
        .flat_map(|(round, numbers)| {
            let (floats, counters) = (&numbers.floats, &numbers.counters);
            let of_floats = floats.iter().flat_map(|value| value.to_le_bytes()).collect();
            let of_counters = counters.iter().flat_map(|value| value.to_le_bytes()).collect();
            [
                (format!("{BASE}{round}.floats"), Dtype::F32, floats.len(), of_floats),
                (format!("{BASE}{round}.counters"), Dtype::I64, counters.len(), of_counters),
            ]
        })
        .collect();
    for (name, dtype, len, bytes) in &bases {
        views.push((name.as_str(), TensorView::new(*dtype, vec![*len], bytes).map_err(|error| failed(error.to_string()))?));
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
    let (mut in_flight, mut bases): (_, BTreeMap<Round, ModelState>) = (Vec::new(), BTreeMap::new());
    let mut own = BTreeMap::new();
    for (name, view) in tensors.iter() {
        if (name, view.dtype(), view.shape().len()) == (LAST_ROUNDS, Dtype::U32, 1) {
            last_rounds = view.data().as_chunks().0.iter().map(|bytes| Round(u32::from_le_bytes(*bytes))).collect();
            continue;
        }
        if let (IN_FLIGHT, Dtype::U64, [_, 3]) = (name, view.dtype(), view.shape()) {
            in_flight = clients(view.data()).ok_or_else(|| wrong(format!("tensor `{name}` has a client or a round that can't be")))?;
            continue;
        }
        if let Some((round, kind)) = name.strip_prefix(BASE).and_then(|rest| rest.split_once('.'))
            && let Ok(round) = round.parse().map(Round)
        {
            match (kind, view.dtype(), view.shape()) {
                ("floats", Dtype::F32, [_]) => {
                    bases.entry(round).or_insert_with(without_layout).floats =
                        view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                    continue;
                }
                ("counters", Dtype::I64, [_]) => {
                    bases.entry(round).or_insert_with(without_layout).counters =
                        view.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
                    continue;
                }
                _ => {}
            }
        }
        if view.dtype() != Dtype::F64 {
            return Err(wrong(format!("tensor `{name}` is {:?} instead of F64", view.dtype())));
        }
        if let Some(own_name) = name.strip_prefix(OWN) {
            let values = view.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
            own.insert(own_name.to_owned(), Shaped { shape: view.shape().to_vec(), values });
            continue;
        }
        let mut values = view.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        match (view.shape(), values.next()) {
            ([], Some(value)) => drop(scalars.insert(name.to_owned(), value)),
            ([_], first) => drop(arrays.insert(name.to_owned(), first.into_iter().chain(values).collect())),
            (shape, _) => return Err(wrong(format!("tensor `{name}` has shape {shape:?} instead of one dimension or none"))),
        }
    }
    let bases = bases.into_iter().map(|(round, numbers)| (round, Arc::new(numbers))).collect();
    Ok(ServerState { arrays, scalars, last_rounds, in_flight, bases, own })
}

fn without_layout() -> ModelState {
    ModelState { layout: Arc::default(), floats: Vec::new(), counters: Vec::new() }
}

/// Reads clients that work; returns `None` if a number can't be that of a client or a round.
fn clients(bytes: &[u8]) -> Option<Vec<InFlight>> {
    let numbers: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let client = |[client, round, given]: &[u64; 3]| {
        let (client, round) = (ClientId(u32::try_from(*client).ok()?), Round(u32::try_from(*round).ok().filter(|round| *round > 0)?));
        Some(InFlight { client, round, given: *given })
    };
    numbers.as_chunks().0.iter().map(client).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ServerState {
        ServerState {
            arrays: BTreeMap::from([("m".to_owned(), vec![1.0, -0.0, f64::MIN_POSITIVE]), ("none".to_owned(), vec![])]),
            scalars: BTreeMap::from([("beta".to_owned(), 0.1)]),
            last_rounds: vec![Round(0), Round(u32::MAX), Round(3)],
            in_flight: vec![
                InFlight { client: ClientId(7), round: Round(2), given: 1 << 40 },
                InFlight { client: ClientId(9), round: Round(3), given: 0 },
            ],
            bases: BTreeMap::from([
                (Round(1), Arc::new(ModelState { floats: vec![0.5, -0.0], counters: vec![-3], ..without_layout() })),
                (Round(2), Arc::new(without_layout())),
            ]),
            own: BTreeMap::from([
                ("m".to_owned(), Shaped { shape: vec![2, 1], values: vec![0.1, f64::INFINITY] }),
                ("steps".to_owned(), Shaped { shape: Vec::new(), values: vec![3.0] }),
                ("none".to_owned(), Shaped { shape: vec![0, 3], values: Vec::new() }),
            ]),
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
        let mut base = state();
        base.arrays.insert("base.1.floats".to_owned(), vec![1.0]);
        assert!(to_safetensors(&base).unwrap_err().to_string().contains("`base.1.floats` is the name of something"));
        let file = |dtype, shape: Vec<usize>, bytes: &[u8]| {
            safetensors::serialize([("m", TensorView::new(dtype, shape, bytes).unwrap())], None).unwrap()
        };
        let check = |bytes: Vec<u8>, expected: &str| {
            let error = from_safetensors("f", &bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(file(Dtype::F32, vec![1], &[0; 4]), "tensor `m` is F32 instead of F64");
        check(file(Dtype::F64, vec![1, 1], &[0; 8]), "tensor `m` has shape [1, 1]");
        // Nobody began in round 0, and no client has that number.
        let in_flight = |numbers: [u64; 3]| {
            let bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
            safetensors::serialize([(IN_FLIGHT, TensorView::new(Dtype::U64, vec![1, 3], &bytes).unwrap())], None).unwrap()
        };
        check(in_flight([1, 0, 5]), "tensor `in_flight` has a client or a round that can't be");
        check(in_flight([1 << 40, 1, 5]), "tensor `in_flight` has a client or a round that can't be");
    }
}
