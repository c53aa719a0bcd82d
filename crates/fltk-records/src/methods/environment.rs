//! Seeds, machines and versions.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    bibliography::Bibliography,
    text::{escaped, joined},
};
use crate::{RunDescription, files::printable};

/// The limit on seeds that are listed.
const SEEDS_MAX: usize = 20;
/// The limit on kinds of machines that are listed.
const MACHINES_MAX: usize = 5;

/// Tells how often something was run.
pub(super) fn runs(seeds: &BTreeSet<u64>, subject: &str) -> String {
    let listed: Vec<String> = seeds.iter().take(SEEDS_MAX).map(u64::to_string).collect();
    match seeds.len() {
        1 => format!("{subject} was run once, with the seed {}.", joined(&listed)),
        number if number > SEEDS_MAX => format!("{subject} was run with {number} seeds."),
        number => format!("{subject} was run once with each of {number} seeds: {}.", joined(&listed)),
    }
}

/// Tells the programs and machines.
pub(super) fn sentence(runs: &[RunDescription], bibliography: &mut Bibliography<'_>) -> String {
    let versions = versions(runs);
    let of = |name: &str| versions.get(name).map(|of| joined(&of.iter().map(|version| escaped(version)).collect::<Vec<_>>()));
    let fltk = of("fltk").unwrap_or_default();
    let fltk = format!("fltk {fltk}{}", bibliography.cite_fltk(versions.get("fltk").cloned().unwrap_or_default()));
    let libtorch =
        of("libtorch").map(|version| format!(" and PyTorch's libtorch {version}{}", bibliography.cite_pytorch())).unwrap_or_default();
    let machines: BTreeSet<(&str, u32, &str)> =
        runs.iter().map(|run| (run.host.cpu.as_str(), run.host.cores, run.host.os.as_str())).collect();
    let told = machines.iter().take(MACHINES_MAX).map(|(cpu, cores, os)| {
        let cores = format!("{cores} core{}", if *cores == 1 { "" } else { "s" });
        format!("{} ({cores}, {})", escaped(cpu), escaped(os))
    });
    let more = machines.len().saturating_sub(MACHINES_MAX);
    let told: Vec<String> = told.chain((more > 0).then(|| format!("{more} other kinds of machines"))).collect();
    format!("Everything was computed with {fltk}{libtorch}, on {}.", joined(&told))
}

/// Returns the versions and kinds of what computed the runs.
pub(super) fn versions(runs: &[RunDescription]) -> BTreeMap<String, BTreeSet<String>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        let of = [
            ("fltk", Some(&run.fltk_version)),
            ("libtorch", run.host.libtorch.as_ref()),
            ("cpu", Some(&run.host.cpu)),
            ("os", Some(&run.host.os)),
        ];
        for (name, version) in of {
            if let Some(version) = version {
                versions.entry(name.to_owned()).or_default().insert(printable(version));
            }
        }
    }
    versions
}
