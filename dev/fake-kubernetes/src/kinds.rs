//! The kinds that the scenario serves, one line each.

/// A kind of object, and its place in the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// True if `/status` is an endpoint of its own, so that no other endpoint changes the status.
    pub has_status: bool,
}

const CORE: &str = "";
/// The API group of `PyTorchJob`s.
pub const KUBEFLOW: &str = "kubeflow.org";
/// The API group of `TrainJob`s and their runtimes.
pub const TRAINER: &str = "trainer.kubeflow.org";

#[rustfmt::skip]
pub static KINDS: &[Kind] = &[
    Kind { group: CORE, version: "v1", plural: "configmaps", kind: "ConfigMap", namespaced: true, has_status: false },
    Kind { group: CORE, version: "v1", plural: "events", kind: "Event", namespaced: true, has_status: false },
    Kind { group: CORE, version: "v1", plural: "namespaces", kind: "Namespace", namespaced: false, has_status: true },
    Kind { group: CORE, version: "v1", plural: "nodes", kind: "Node", namespaced: false, has_status: true },
    Kind { group: CORE, version: "v1", plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim", namespaced: true, has_status: true },
    Kind { group: CORE, version: "v1", plural: "pods", kind: "Pod", namespaced: true, has_status: true },
    Kind { group: CORE, version: "v1", plural: "secrets", kind: "Secret", namespaced: true, has_status: false },
    Kind { group: CORE, version: "v1", plural: "services", kind: "Service", namespaced: true, has_status: true },
    Kind { group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease", namespaced: true, has_status: false },
    Kind { group: "events.k8s.io", version: "v1", plural: "events", kind: "Event", namespaced: true, has_status: false },
    Kind { group: KUBEFLOW, version: "v1", plural: "pytorchjobs", kind: "PyTorchJob", namespaced: true, has_status: true },
    Kind { group: TRAINER, version: "v1alpha1", plural: "clustertrainingruntimes", kind: "ClusterTrainingRuntime", namespaced: false, has_status: false },
    Kind { group: TRAINER, version: "v1alpha1", plural: "trainingruntimes", kind: "TrainingRuntime", namespaced: true, has_status: false },
    Kind { group: TRAINER, version: "v1alpha1", plural: "trainjobs", kind: "TrainJob", namespaced: true, has_status: true },
];

impl Kind {
    /// The value of `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The name in messages of the API server, such as `pytorchjobs.kubeflow.org`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// True if the kind comes from a custom resource definition.
    pub fn is_custom(&self) -> bool {
        [KUBEFLOW, TRAINER].contains(&self.group)
    }

    /// True if its objects have a generation, which counts changes of their specification.
    pub fn has_generation(&self) -> bool {
        self.is_custom() || self.plural == "pods"
    }
}

/// The kind that a test names, such as `pods` or `events.events.k8s.io`.
pub fn named(name: &str) -> &'static Kind {
    let by = |matches: fn(&Kind, &str) -> bool| KINDS.iter().find(|kind| matches(kind, name));
    let kind = by(|kind, name| kind.qualified() == name).or_else(|| by(|kind, name| kind.plural == name));
    kind.unwrap_or_else(|| panic!("the scenario has no `{name}`"))
}
