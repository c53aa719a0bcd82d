//! The settings in which groups differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Group;
use crate::{Hyperparameter, Hyperparameters, RunDescription, RunRef};

/// A setting in which groups differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Factor {
    /// The path of the setting in an experiment file, such as `federated.strategy.type`. With `.sha256` after it, it is the digest of the content of the file that
    /// the setting names: `network.sha256` is that of a net.
    pub setting: String,
    /// The value for each of [`Comparison::groups`](super::Comparison::groups); absent where a group has no such setting.
    pub values: Vec<Option<Hyperparameter>>,
}

/// Returns the settings that differ between groups, by name. A setting that was added later makes no difference where it has the value of the earlier behavior.
pub(super) fn of(groups: &[Group], runs: &[RunRef]) -> Vec<Factor> {
    let first = |group: &Group| group.runs.first().map(|run| runs[*run].folder.description());
    let recorded: Vec<Hyperparameters> = groups.iter().filter_map(first).map(RunDescription::settings_with_digests).collect();
    let compared: Vec<BTreeMap<_, _>> = recorded.iter().map(|settings| settings.without_later_defaults().0).collect();
    let names: BTreeSet<&String> = compared.iter().flat_map(BTreeMap::keys).collect();
    let differs = |name: &&String| compared.windows(2).any(|pair| pair[0].get(*name) != pair[1].get(*name));
    let factor = |name: &String| Factor { setting: name.clone(), values: recorded.iter().map(|of| of.0.get(name).cloned()).collect() };
    names.into_iter().filter(differs).map(factor).collect()
}
