//! The catalogue of all forms of compressed updates.

use fltk_core::catalogue::CompressionEntry;

use super::{Compressor, fp16, int8, top_k};

/// Every form.
pub const CATALOGUE: &[&Compressor] = &[&fp16::COMPRESSOR, &int8::COMPRESSOR, &top_k::COMPRESSOR];

/// Returns the form of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Compressor> {
    CATALOGUE.iter().copied().find(|compressor| compressor.entry.entry.name == name)
}

/// Returns the entries of all forms, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static CompressionEntry> {
    CATALOGUE.iter().map(|compressor| &compressor.entry).collect()
}
