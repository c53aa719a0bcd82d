//! The equipment with which a cluster was started, kept in its state folder: written before the start, and again when everything runs. A cluster whose
//! start was interrupted is recognized by the missing second file, and not taken for complete.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::tools::Kubernetes;

const BEGUN: &str = "begun.json";
const COMPLETE: &str = "complete.json";

/// The parts of a cluster in addition to Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equipment {
    /// The number of kwok nodes, which exist in name only.
    pub nodes: u32,
    /// True if Kubeflow's operators and JobSet were left out.
    pub bare: bool,
    /// True if tests started the cluster, and stop it when they are over.
    pub for_tests: bool,
    /// The Kubernetes version.
    #[serde(default)]
    pub kubernetes: Kubernetes,
}

impl Equipment {
    /// Records that a cluster with this equipment is about to start in `state`.
    pub fn begin(&self, state: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(state).with_context(|| format!("can't make `{}`", state.display()))?;
        self.write(state, BEGUN)
    }

    /// Records that everything runs.
    pub fn end(&self, state: &Path) -> anyhow::Result<()> {
        self.write(state, COMPLETE)
    }

    /// Returns the equipment of the cluster whose start began in `state`; `None` if there is none.
    pub fn begun(state: &Path) -> Option<Self> {
        Self::read(state, BEGUN)
    }

    /// Returns the equipment of the cluster in `state` whose start was completed; `None` if there is none.
    pub fn complete(state: &Path) -> Option<Self> {
        Self::read(state, COMPLETE)
    }

    fn write(&self, state: &Path, name: &str) -> anyhow::Result<()> {
        let path = state.join(name);
        fs::write(&path, serde_json::to_string(self)?).with_context(|| format!("can't write `{}`", path.display()))
    }

    /// Reads a file; one that a kill truncated counts as missing.
    fn read(state: &Path, name: &str) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(state.join(name)).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_equipment_is_incomplete() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let equipment = Equipment { nodes: 50, bare: false, for_tests: true, kubernetes: Kubernetes::Oldest };
        assert_eq!((Equipment::begun(&state), Equipment::complete(&state)), (None, None));
        equipment.begin(&state).unwrap();
        assert_eq!((Equipment::begun(&state), Equipment::complete(&state)), (Some(equipment.clone()), None));
        fs::write(state.join(COMPLETE), "{\"nodes\": 5").unwrap();
        assert_eq!(Equipment::complete(&state), None);
        equipment.end(&state).unwrap();
        assert_eq!(Equipment::complete(&state), Some(equipment));
    }
}
