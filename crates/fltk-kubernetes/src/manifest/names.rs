//! The names, labels and annotations of objects.

use std::collections::BTreeMap;

use fltk_plan::{JobId, JobSpec, Role};
use sha2::{Digest as _, Sha256};

use super::{RunContext, command};

/// The label with the run of an object.
pub const RUN_LABEL: &str = "fltk.node/run";
/// The label with the job of an object.
pub const JOB_LABEL: &str = "fltk.node/job";
/// The label of objects that belong to a program of the user's own: their image isn't ours.
pub const COMMAND_LABEL: &str = "fltk.node/command";
/// The annotation with the number of a job's start.
pub const ANNOTATION_ATTEMPT: &str = "fltk.node/attempt";
/// The annotation with the start time of the stream, which distinguishes it from another stream of the same name.
pub const ANNOTATION_BEGAN: &str = "fltk.node/began";
/// The annotation with the name of the Secret that has a job's credentials.
pub const ANNOTATION_CREDENTIALS: &str = "fltk.node/credentials";
const ANNOTATION_CLASS: &str = "fltk.node/class";
const ANNOTATION_REPLICATION: &str = "fltk.node/replication";
const ANNOTATION_PRIORITY: &str = "fltk.node/priority";
const ANNOTATION_LABELS: &str = "fltk.node/labels";

/// The name of the `PyTorchJob` or `TrainJob` of a job.
#[must_use]
pub fn job_name(id: &JobId) -> String {
    format!("trainjob-{id}")
}

/// The name of the runtime with the common settings of pods, for jobs of `run` that have `num_pods` pods.
#[must_use]
pub fn runtime_name(run: &str, num_pods: u32) -> String {
    format!("{}-{num_pods}", run_prefix(run))
}

/// The beginning of the names of objects that the jobs of `run` share.
pub fn run_prefix(run: &str) -> String {
    format!("fltk-{}", hex::encode(&Sha256::digest(run)[..8]))
}

/// The name of the runtime for jobs of the task with this index, which run a program of the user's own in `num_pods` pods.
pub fn command_runtime_name(run: &str, num_pods: u32, task: usize) -> String {
    format!("{}-command-{task}", runtime_name(run, num_pods))
}

/// The label selector for the objects of `run`.
#[must_use]
pub fn run_selector(run: &str) -> String {
    format!("{RUN_LABEL}={run}")
}

pub fn config_map_name(spec: &JobSpec, role: Role) -> String {
    format!("{}-{}-{}", role_name(role), spec.id, spec.replication)
}

pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Master => "master",
        Role::Worker => "worker",
    }
}

/// The labels of every object of the run.
pub fn run_labels(context: &RunContext) -> BTreeMap<String, String> {
    let ours = [("app.kubernetes.io/name", "fltk"), ("app.kubernetes.io/managed-by", "fltk"), (RUN_LABEL, context.run.as_str())];
    let mut labels = context.config.labels.clone();
    labels.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels
}

/// The labels of every object of the job.
pub fn labels(context: &RunContext, spec: &JobSpec) -> BTreeMap<String, String> {
    let mut labels = run_labels(context);
    labels.insert(JOB_LABEL.to_owned(), spec.id.to_string());
    if command::of(context, spec).is_some() {
        labels.extend(command_label());
    }
    labels
}

/// The label of objects that belong to a program of the user's own.
pub fn command_label() -> [(String, String); 1] {
    [(COMMAND_LABEL.to_owned(), "true".to_owned())]
}

/// The annotations of the job and its pods. They hold the task's name and labels, which may not be valid as Kubernetes labels.
pub fn annotations(context: &RunContext, spec: &JobSpec) -> BTreeMap<String, String> {
    let mut annotations = context.config.annotations.clone();
    annotations.insert(ANNOTATION_CLASS.to_owned(), spec.class.clone());
    annotations.insert(ANNOTATION_REPLICATION.to_owned(), spec.replication.to_string());
    annotations.insert(ANNOTATION_PRIORITY.to_owned(), spec.arrival.priority.to_string());
    let words = context.experiment.tasks.get(spec.arrival.task).map(|task| &task.labels).filter(|labels| !labels.is_empty());
    if let Some(words) = words {
        annotations.insert(ANNOTATION_LABELS.to_owned(), serde_json::json!(words).to_string());
    }
    annotations
}
