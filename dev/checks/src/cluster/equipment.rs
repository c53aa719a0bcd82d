//! What a cluster was started with, kept in its state: written down before it starts, and again when all of it runs. One that was interrupted in between is
//! known by that, and not taken for whole.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::tools::Kubernetes;

const BEGUN: &str = "begun.json";
const COMPLETE: &str = "complete.json";

/// What a cluster has beside Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equipment {
    /// Nodes in name only.
    pub nodes: u32,
    /// Whether Kubeflow's operators and JobSet were left out.
    pub bare: bool,
    /// Whether tests started it, and stop it when they are over.
    pub for_tests: bool,
    /// Which Kubernetes it is.
    #[serde(default)]
    pub kubernetes: Kubernetes,
}

impl Equipment {
    /// Notes that a cluster with it is about to start in `state`.
    pub fn begin(&self, state: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(state).with_context(|| format!("can't make `{}`", state.display()))?;
        self.write(state, BEGUN)
    }

    /// Notes that all of it runs.
    pub fn end(&self, state: &Path) -> anyhow::Result<()> {
        self.write(state, COMPLETE)
    }

    /// Of the cluster that was begun in `state`; `None` if none was.
    pub fn begun(state: &Path) -> Option<Self> {
        Self::read(state, BEGUN)
    }

    /// Of the cluster in `state` that was started to its end; `None` if none was.
    pub fn complete(state: &Path) -> Option<Self> {
        Self::read(state, COMPLETE)
    }

    fn write(&self, state: &Path, name: &str) -> anyhow::Result<()> {
        let path = state.join(name);
        fs::write(&path, serde_json::to_string(self)?).with_context(|| format!("can't write `{}`", path.display()))
    }

    /// A file that a kill cut off is none.
    fn read(state: &Path, name: &str) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(state.join(name)).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_interrupted_is_begun_and_not_complete() {
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
