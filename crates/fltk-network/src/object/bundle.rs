//! The numbers of an object by their names.

use std::collections::BTreeMap;

use super::Damage;

/// The numbers of a bundle. Arrays of different kinds may have the same name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// The arrays of floats, by name.
    pub floats: BTreeMap<String, Vec<f32>>,
    /// The arrays of whole numbers, by name.
    pub counters: BTreeMap<String, Vec<i64>>,
    /// The arrays of bytes, by name.
    pub bytes: BTreeMap<String, Vec<u8>>,
    /// The arrays of positions in other arrays, by name.
    pub indices: BTreeMap<String, Vec<u32>>,
    /// The scalars, by name.
    pub scalars: BTreeMap<String, f64>,
}

impl Bundle {
    /// Removes and returns the floats of this name.
    ///
    /// # Errors
    /// If there are none.
    pub fn take_floats(&mut self, name: &str) -> Result<Vec<f32>, Damage> {
        take(&mut self.floats, "floats", name)
    }

    /// Removes and returns the counters of this name.
    ///
    /// # Errors
    /// If there are none.
    pub fn take_counters(&mut self, name: &str) -> Result<Vec<i64>, Damage> {
        take(&mut self.counters, "counters", name)
    }

    /// Removes and returns the bytes of this name.
    ///
    /// # Errors
    /// If there are none.
    pub fn take_bytes(&mut self, name: &str) -> Result<Vec<u8>, Damage> {
        take(&mut self.bytes, "bytes", name)
    }

    /// Removes and returns the indices of this name.
    ///
    /// # Errors
    /// If there are none.
    pub fn take_indices(&mut self, name: &str) -> Result<Vec<u32>, Damage> {
        take(&mut self.indices, "indices", name)
    }

    /// Returns the names of everything that is in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let wide = self.floats.keys().chain(self.counters.keys());
        let narrow = self.bytes.keys().chain(self.indices.keys());
        wide.chain(narrow).chain(self.scalars.keys()).map(String::as_str)
    }
}

fn take<T>(arrays: &mut BTreeMap<String, Vec<T>>, kind: &str, name: &str) -> Result<Vec<T>, Damage> {
    arrays.remove(name).ok_or_else(|| Damage::Content(format!("the {kind} `{name}` are missing")))
}
