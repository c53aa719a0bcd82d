//! The catalogue of all strategies.

use fltk_core::catalogue::StrategyEntry;

use super::{
    Spec, apfl, bulyan, cyclic, ditto, fedadagrad, fedadam, fedavg, fedavgm, fedbn, feddyn, fedexp, fednova, fedper, fedprox, fedrep,
    fedyogi, geometric_median, krum, median, moon, norm_clipping, qfedavg, scaffold, trimmed_mean,
};

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
    &scaffold::SPEC,
    &feddyn::SPEC,
    &moon::SPEC,
    &fedbn::SPEC,
    &fedper::SPEC,
    &fedrep::SPEC,
    &ditto::SPEC,
    &apfl::SPEC,
    &cyclic::SPEC,
    &median::SPEC,
    &trimmed_mean::SPEC,
    &krum::KRUM,
    &krum::MULTI_KRUM,
    &bulyan::SPEC,
    &geometric_median::SPEC,
    &norm_clipping::SPEC,
];

/// Returns the strategy of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Spec> {
    CATALOGUE.iter().copied().find(|strategy| strategy.name() == name)
}

/// Returns the entries of all strategies, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static StrategyEntry> {
    CATALOGUE.iter().map(|strategy| &strategy.entry).collect()
}
