//! The catalogue of all strategies.

use fltk_core::catalogue::{Choice, StrategyEntry};

use super::{
    Spec, apfl, bulyan, cyclic, ditto, fedadagrad, fedadam, fedasync, fedavg, fedavgm, fedbn, fedbuff, feddyn, fedexp, fednova, fedper,
    fedprox, fedrep, fedyogi, fltrust, geometric_median, krum, median, moon, norm_clipping, own, qfedavg, scaffold, trimmed_mean,
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
    &fedasync::SPEC,
    &fedbuff::SPEC,
    &cyclic::SPEC,
    &median::SPEC,
    &trimmed_mean::SPEC,
    &krum::KRUM,
    &krum::MULTI_KRUM,
    &bulyan::SPEC,
    &geometric_median::SPEC,
    &norm_clipping::SPEC,
    &fltrust::SPEC,
];

/// Returns the strategy of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Spec> {
    CATALOGUE.iter().copied().find(|strategy| strategy.name() == name)
}

/// Returns the strategy that `choice` names: one of the catalogue, or the stand-in for one of the user's own.
#[must_use]
pub fn of(choice: &Choice) -> Option<&'static Spec> {
    if choice.is_python() { Some(&own::SPEC) } else { by_name(choice.name()) }
}

/// Returns the entries of all strategies, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static StrategyEntry> {
    CATALOGUE.iter().map(|strategy| &strategy.entry).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fltk_core::catalogue::{Choice, Preset};

    use super::*;
    use crate::strategy::by_hand::{Answer, Run, client};

    #[test]
    fn what_is_left_on_the_server_is_what_is_listed() {
        for strategy in CATALOGUE {
            let required = strategy.entry.entry.parameters.iter().filter(|parameter| parameter.preset == Preset::Required);
            let settings = required.fold(Choice::new(strategy.name()), |settings, parameter| settings.with(parameter.name, 1));
            let mut run = Run::new(strategy, settings, &[0.0, 1.0]);
            let answer = |value: f32| -> Answer {
                let answer = strategy.extras.iter().fold(client(&[value, -value]), |answer, extra| answer.extra(extra.name, 1.0));
                strategy.arrays.iter().fold(answer, |answer, array| answer.array(array.name, &[value, 0.5]))
            };
            let answers: Vec<Answer> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(answer).to_vec();
            run.round(&answers);
            run.round(&answers);
            let arrays = run.server.arrays.keys().map(|name| (name.as_str(), true));
            let left: BTreeMap<&str, bool> = arrays.chain(run.server.scalars.keys().map(|name| (name.as_str(), false))).collect();
            let listed: BTreeMap<&str, bool> = strategy.state.iter().map(|kept| (kept.name, kept.is_array)).collect();
            assert_eq!(left, listed, "{}", strategy.name());
        }
    }
}
