//! The state that a client of a federated strategy keeps between the rounds in which it takes part, such as a control variate or a
//! personal head.

use std::collections::BTreeMap;

use crate::server_state::WrongLength;

/// Named arrays in f32, which training computes with, whole numbers, and scalars in f64. It is empty before the client's first round. It stays where the
/// client trains: a server sees only what a strategy asks for as extras.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientState {
    /// The arrays by name, such as one with an element for each of the model's.
    pub arrays: BTreeMap<String, Vec<f32>>,
    /// The lists of whole numbers by name, such as the counters of batch norms.
    pub counters: BTreeMap<String, Vec<i64>>,
    /// The scalars by name. Whole numbers are exact up to 2^53.
    pub scalars: BTreeMap<String, f64>,
}

impl ClientState {
    /// Returns the array of this name, created with `len` zeros if it doesn't exist yet.
    ///
    /// # Errors
    /// If the array has another length: it belongs to another model.
    pub fn array(&mut self, name: &str, len: usize) -> Result<&mut Vec<f32>, WrongLength> {
        let array = self.arrays.entry(name.to_owned()).or_insert_with(|| vec![0.0; len]);
        if array.len() == len { Ok(array) } else { Err(WrongLength { name: name.to_owned(), found: array.len(), expected: len }) }
    }

    /// Returns the array of this name if it exists.
    ///
    /// # Errors
    /// If it has another length than `len`: it belongs to another model.
    pub fn get(&self, name: &str, len: usize) -> Result<Option<&[f32]>, WrongLength> {
        match self.arrays.get(name) {
            Some(array) if array.len() != len => Err(WrongLength { name: name.to_owned(), found: array.len(), expected: len }),
            array => Ok(array.map(Vec::as_slice)),
        }
    }

    /// Returns the names of all arrays, then those of all counters, then those of all scalars.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().chain(self.counters.keys()).chain(self.scalars.keys()).map(String::as_str)
    }

    /// Returns the name of the first array or scalar that holds a number that isn't finite.
    #[must_use]
    pub fn not_finite(&self) -> Option<&str> {
        let array = self.arrays.iter().find(|(_, values)| values.iter().any(|value| !value.is_finite())).map(|(name, _)| name);
        let scalar = || self.scalars.iter().find(|(_, value)| !value.is_finite()).map(|(name, _)| name);
        array.or_else(scalar).map(String::as_str)
    }
}
