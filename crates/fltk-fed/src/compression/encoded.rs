//! The numbers of a compressed update, by name.

use std::collections::BTreeMap;

use super::{Misfit, fits};

/// The numbers of a compressed update. Those of different kinds may have the same name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// Floats.
    pub floats: BTreeMap<String, Vec<f32>>,
    /// Bytes.
    pub bytes: BTreeMap<String, Vec<u8>>,
    /// Positions in other arrays.
    pub indices: BTreeMap<String, Vec<u32>>,
}

impl Encoded {
    /// Removes and returns floats of which there have to be so many.
    ///
    /// # Errors
    /// If they are missing, or others in number.
    pub fn take_floats(&mut self, name: &'static str, num: usize) -> Result<Vec<f32>, Misfit> {
        take(&mut self.floats, name, num)
    }

    /// Removes and returns bytes of which there have to be so many.
    ///
    /// # Errors
    /// If they are missing, or others in number.
    pub fn take_bytes(&mut self, name: &'static str, num: usize) -> Result<Vec<u8>, Misfit> {
        take(&mut self.bytes, name, num)
    }

    /// Removes and returns positions of which there have to be so many.
    ///
    /// # Errors
    /// If they are missing, or others in number.
    pub fn take_indices(&mut self, name: &'static str, num: usize) -> Result<Vec<u32>, Misfit> {
        take(&mut self.indices, name, num)
    }

    /// Checks that all of it was taken.
    ///
    /// # Errors
    /// If something is left.
    pub fn nothing_left(&self) -> Result<(), Misfit> {
        let mut names = self.floats.keys().chain(self.bytes.keys()).chain(self.indices.keys());
        names.next().map_or(Ok(()), |name| Err(Misfit::Unknown { name: format!("`{name}`") }))
    }
}

fn take<T>(arrays: &mut BTreeMap<String, Vec<T>>, name: &'static str, num: usize) -> Result<Vec<T>, Misfit> {
    let values = arrays.remove(name).ok_or(Misfit::Missing { name })?;
    fits(name, values.len(), num)?;
    Ok(values)
}
