//! Names, labels and annotations.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::RunContext;
use crate::{JobId, JobSpec, Role};

/// Whose object it is: of which run.
pub const RUN_LABEL: &str = "fltk.node/run";
/// And of which job.
pub const JOB_LABEL: &str = "fltk.node/job";
/// Which of its starts a job is at.
pub const ANNOTATION_ATTEMPT: &str = "fltk.node/attempt";
/// When its stream began, which tells that from another of the same name.
pub const ANNOTATION_BEGAN: &str = "fltk.node/began";
const ANNOTATION_CLASS: &str = "fltk.node/class";
const ANNOTATION_REPLICATION: &str = "fltk.node/replication";
const ANNOTATION_PRIORITY: &str = "fltk.node/priority";
const ANNOTATION_LABELS: &str = "fltk.node/labels";

/// The name of a job's object.
#[must_use]
pub fn job_name(id: &JobId) -> String {
    format!("trainjob-{id}")
}

/// The name of what all pods of jobs of `run` get that have `num_pods` pods.
#[must_use]
pub fn runtime_name(run: &str, num_pods: u32) -> String {
    format!("fltk-{}-{num_pods}", hex::encode(&Sha256::digest(run)[..8]))
}

/// What selects the objects of `run`.
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

/// Labels of every object of the run.
pub fn run_labels(context: &RunContext) -> BTreeMap<String, String> {
    let ours = [("app.kubernetes.io/name", "fltk"), ("app.kubernetes.io/managed-by", "fltk"), (RUN_LABEL, context.run.as_str())];
    let mut labels = context.config.labels.clone();
    labels.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels
}

/// Labels of every object of the job.
pub fn labels(context: &RunContext, spec: &JobSpec) -> BTreeMap<String, String> {
    let mut labels = run_labels(context);
    labels.insert(JOB_LABEL.to_owned(), spec.id.to_string());
    labels
}

/// Annotations of the job and its pods. What a job is called may be no label.
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
