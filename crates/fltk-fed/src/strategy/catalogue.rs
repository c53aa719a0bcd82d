//! The catalogue of all strategies.

use fltk_core::catalogue::Entry;

use super::{Spec, fedadagrad, fedadam, fedavg, fedavgm, fedexp, fednova, fedprox, fedyogi, qfedavg};

/// Every strategy.
pub const CATALOGUE: &[&Spec] = &[
    &fedavg::SPEC,
    &fedprox::SPEC,
    &fednova::SPEC,
    &fedavgm::SPEC,
    &fedadagrad::SPEC,
    &fedadam::SPEC,
    &fedyogi::SPEC,
    &qfedavg::SPEC,
    &fedexp::SPEC,
];

/// Returns the strategy of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Spec> {
    CATALOGUE.iter().copied().find(|strategy| strategy.entry.name == name)
}

/// Returns the entries of all strategies, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static Entry> {
    CATALOGUE.iter().map(|strategy| &strategy.entry).collect()
}
