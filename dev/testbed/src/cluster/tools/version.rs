//! The Kubernetes versions: the newest that runs on the machines of the tests, and the oldest that is tested.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A Kubernetes version that can be built. Each has a folder in `cluster/tools`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Kubernetes {
    /// The newest, which the tests use by default.
    #[default]
    #[value(name = "1.37")]
    #[serde(rename = "1.37")]
    Newest,
    /// The oldest that is tested.
    #[value(name = "1.34")]
    #[serde(rename = "1.34")]
    Oldest,
}

impl Kubernetes {
    /// All versions.
    #[cfg(test)]
    pub const ALL: [Self; 2] = [Self::Newest, Self::Oldest];

    /// Returns the version string, which is also that of the module in its folder.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Newest => "v1.37.2",
            Self::Oldest => "v1.34.4",
        }
    }

    /// Returns the folder in `cluster/tools` of the module `module`: for Kubernetes, it depends on the version.
    pub fn folder_of(self, module: &'static str) -> &'static str {
        match (module, self) {
            (super::KUBERNETES, Self::Newest) => "kubernetes-1.37",
            (super::KUBERNETES, Self::Oldest) => "kubernetes-1.34",
            (module, _) => module,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn kubernetes_version_matches_its_module() {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cluster/tools");
        for kubernetes in Kubernetes::ALL {
            let folder = kubernetes.folder_of(super::super::KUBERNETES);
            let text = fs::read_to_string(tools.join(folder).join("go.mod")).unwrap();
            let line = format!("k8s.io/kubernetes {}", kubernetes.version());
            assert!(text.lines().any(|found| found.trim() == line), "{folder} has no `{line}`");
            let name = kubernetes.to_possible_value().unwrap();
            assert!(folder.ends_with(name.get_name()) && kubernetes.version()[1..].starts_with(name.get_name()));
        }
    }
}
