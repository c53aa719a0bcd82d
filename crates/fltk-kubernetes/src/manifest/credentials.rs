//! The credentials of a federated job with nodes: a `Secret` that the job owns. Each of its pods mounts one file of it, that of its role.
//!
//! The authority's key isn't in it: nobody can issue more of them. The Secret's name has a tag of its own, which the job's object remembers, so that a job
//! never gets what an earlier one of its name left, which the cluster removes in its own time.

use std::fmt;

use fltk_core::experiment::{Setting, Task};
use fltk_plan::{JobSpec, Role};
use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{RunContext, names::labels};

/// The folder of a pod's credentials, and the file in it.
const PATH: &str = "/opt/federation-lab/credentials";
const FILE: &str = "credentials.pem";
const VOLUME: &str = "fltk-credentials";

/// The keys of the Secret.
const FEDERATOR: &str = "federator.pem";
const NODE: &str = "node.pem";

/// The variable with a pod's number in a `TrainJob`, 0 for the federator, which Kubernetes sets for the pods of an indexed job.
const INDEX: &str = "JOB_COMPLETION_INDEX";

/// The credentials of one job.
#[derive(Clone)]
pub struct Credentials {
    /// The file of the federator: its certificate, that of the authority, and its key, in PEM.
    pub federator: String,
    /// The same for its nodes, which share it.
    pub node: String,
}

/// Keys are in no message.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Credentials that admit nobody, for objects that are only checked.
    #[must_use]
    pub fn none() -> Self {
        Self { federator: String::new(), node: String::new() }
    }

    /// The name of the Secret with these credentials of `spec`.
    #[must_use]
    pub fn name(&self, spec: &JobSpec) -> String {
        format!("credentials-{}-{}", spec.id, hex::encode(&Sha256::digest(&self.federator)[..4]))
    }
}

/// True if the job has nodes, which need credentials.
pub fn are_needed(context: &RunContext, spec: &JobSpec) -> bool {
    context.experiment.tasks.get(spec.arrival.task).is_some_and(has_nodes)
}

/// True if jobs of `task` have nodes.
pub fn has_nodes(task: &Task) -> bool {
    task.training().is_some_and(|training| matches!(&training.setting, Setting::Federated(config) if config.nodes > 0))
}

/// The Secret called `name`.
pub fn manifest(context: &RunContext, spec: &JobSpec, name: &str, credentials: &Credentials) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": context.namespace, "labels": labels(context, spec) },
        "type": "Opaque",
        "immutable": true,
        "stringData": { FEDERATOR: credentials.federator, NODE: credentials.node },
    })
}

/// The path of a pod's credentials.
pub fn path() -> String {
    format!("{PATH}/{FILE}")
}

/// The volume for the pods of `role`, with their file alone, and its mount.
pub fn volume(secret: &str, role: Role) -> (Volume, VolumeMount) {
    let key = match role {
        Role::Master => FEDERATOR,
        Role::Worker => NODE,
    };
    (of_items(secret, vec![item(key, FILE.to_owned())]), mount(None))
}

/// The volume for all pods of a `TrainJob`, which have one template, and its mount, which shows each pod its own file alone.
pub fn shared_volume(secret: &str, num_pods: u32) -> (Volume, VolumeMount) {
    let of_pod = |index| item(if index == 0 { FEDERATOR } else { NODE }, format!("{index}/{FILE}"));
    (of_items(secret, (0..num_pods).map(of_pod).collect()), mount(Some(format!("$({INDEX})"))))
}

fn item(key: &str, path: String) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path, mode: None }
}

fn of_items(secret: &str, items: Vec<KeyToPath>) -> Volume {
    let source = SecretVolumeSource { secret_name: Some(secret.to_owned()), items: Some(items), ..SecretVolumeSource::default() };
    Volume { name: VOLUME.to_owned(), secret: Some(source), ..Volume::default() }
}

fn mount(sub_path_expr: Option<String>) -> VolumeMount {
    VolumeMount { name: VOLUME.to_owned(), mount_path: PATH.to_owned(), read_only: Some(true), sub_path_expr, ..VolumeMount::default() }
}
