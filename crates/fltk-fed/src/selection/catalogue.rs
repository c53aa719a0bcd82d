//! The catalogue of all selections.

use fltk_core::catalogue::Entry;

use super::{Selection, file, random};

/// Every selection.
pub const CATALOGUE: &[&Selection] = &[&random::SELECTION, &file::SELECTION];

/// Returns the selection of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Selection> {
    CATALOGUE.iter().copied().find(|selection| selection.entry.name == name)
}

/// Returns the entries of all selections, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static Entry> {
    CATALOGUE.iter().map(|selection| &selection.entry).collect()
}
