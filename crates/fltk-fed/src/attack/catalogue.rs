//! The catalogue of all attacks.

use fltk_core::catalogue::AttackEntry;

use super::{Attack, a_little_is_enough, gaussian, label_flip, scale, sign_flip};

/// Every attack.
pub const CATALOGUE: &[&Attack] =
    &[&label_flip::ATTACK, &sign_flip::ATTACK, &gaussian::ATTACK, &scale::ATTACK, &a_little_is_enough::ATTACK];

/// Returns the attack of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Attack> {
    CATALOGUE.iter().copied().find(|attack| attack.entry.entry.name == name)
}

/// Returns the entries of all attacks, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static AttackEntry> {
    CATALOGUE.iter().map(|attack| &attack.entry).collect()
}
