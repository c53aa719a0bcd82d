//! The numbers of an object by their names.

use std::collections::BTreeMap;

use super::Damage;

/// The numbers of a bundle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// The arrays of floats, by name.
    pub floats: BTreeMap<String, Vec<f32>>,
    /// The arrays of whole numbers, by name.
    pub counters: BTreeMap<String, Vec<i64>>,
    /// The scalars, by name.
    pub scalars: BTreeMap<String, f64>,
}

impl Bundle {
    /// Removes and returns the floats of this name.
    ///
    /// # Errors
    /// If there are none.
    pub fn take_floats(&mut self, name: &str) -> Result<Vec<f32>, Damage> {
        self.floats.remove(name).ok_or_else(|| Damage::Content(format!("the floats `{name}` are missing")))
    }

    /// Removes and returns the counters of this name.
    ///
    /// # Errors
    /// If there are none.
    pub fn take_counters(&mut self, name: &str) -> Result<Vec<i64>, Damage> {
        self.counters.remove(name).ok_or_else(|| Damage::Content(format!("the counters `{name}` are missing")))
    }
}
