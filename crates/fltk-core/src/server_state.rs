//! The state that a federated strategy keeps on the server between rounds, such as momentum.

use std::collections::BTreeMap;

/// Named arrays and scalars in f64. It is empty before the first round, and for a strategy without state. Every checkpoint contains it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerState {
    /// The arrays by name, such as one with an element for each of the model's.
    pub arrays: BTreeMap<String, Vec<f64>>,
    /// The scalars by name.
    pub scalars: BTreeMap<String, f64>,
}

impl ServerState {
    /// True if the state is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty() && self.scalars.is_empty()
    }

    /// Returns the array of this name, created with `len` zeros if it doesn't exist yet.
    ///
    /// # Errors
    /// If the array has another length: it belongs to another model.
    pub fn array(&mut self, name: &str, len: usize) -> Result<&mut Vec<f64>, WrongLength> {
        let array = self.arrays.entry(name.to_owned()).or_insert_with(|| vec![0.0; len]);
        if array.len() == len { Ok(array) } else { Err(WrongLength { name: name.to_owned(), found: array.len(), expected: len }) }
    }
}

/// The error for an array of a strategy that doesn't fit the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the strategy's array `{name}` has {found} elements, the model needs {expected}")]
pub struct WrongLength {
    /// The name of the array.
    pub name: String,
    /// The number of its elements.
    pub found: usize,
    /// The number of elements that the model needs.
    pub expected: usize,
}
