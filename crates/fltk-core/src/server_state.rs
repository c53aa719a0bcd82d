//! What a federated strategy remembers on the server between rounds, such as momentum.

use std::collections::BTreeMap;

/// Named arrays and scalars in f64. Empty before the first round, and under a strategy that remembers nothing. It is in every checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerState {
    /// Arrays by name, such as one element for each of the model's.
    pub arrays: BTreeMap<String, Vec<f64>>,
    /// Scalars by name.
    pub scalars: BTreeMap<String, f64>,
}

impl ServerState {
    /// True if there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty() && self.scalars.is_empty()
    }

    /// The array of this name; zeros, `len` of them, where there is none yet.
    ///
    /// # Errors
    /// If there is one of another length: it is of another model.
    pub fn array(&mut self, name: &str, len: usize) -> Result<&mut Vec<f64>, WrongLength> {
        let array = self.arrays.entry(name.to_owned()).or_insert_with(|| vec![0.0; len]);
        if array.len() == len { Ok(array) } else { Err(WrongLength { name: name.to_owned(), found: array.len(), expected: len }) }
    }
}

/// An array of a strategy that doesn't fit the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the strategy's array `{name}` has {found} elements, the model needs {expected}")]
pub struct WrongLength {
    /// The array.
    pub name: String,
    /// Its elements.
    pub found: usize,
    /// What the model needs.
    pub expected: usize,
}
