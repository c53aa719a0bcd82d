//! From objects of the API to what was seen: conditions of jobs, phases and last words of pods.

use fltk_core::{
    terminal,
    termination::{EXIT_LOST_RANK, TerminationReport},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kube::core::DynamicObject;
use serde_json::Value as Json;

use super::{
    config::Backend,
    manifest::{ANNOTATION_ATTEMPT, CONTAINERS, JOB_LABEL},
    view::{Problem, SeenJob, SeenPod},
};
use crate::{JobId, plan::Outcome};

/// What `object` shows of its job; `None` if it isn't one of ours.
#[must_use]
pub fn job(object: &DynamicObject, backend: Backend) -> Option<SeenJob> {
    let id = JobId(object.metadata.labels.as_ref()?.get(JOB_LABEL)?.clone());
    let attempt = object.metadata.annotations.as_ref()?.get(ANNOTATION_ATTEMPT)?.parse().ok()?;
    let conditions = object.data["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True");
    let (suspend, succeeded) = match backend {
        Backend::PyTorchJob => (&object.data["spec"]["runPolicy"]["suspend"], "Succeeded"),
        Backend::TrainJob => (&object.data["spec"]["suspend"], "Complete"),
    };
    let end = match (condition(succeeded), condition("Failed")) {
        (Some(condition), _) => Some((Outcome::Succeeded, text(condition))),
        (None, Some(condition)) => Some((Outcome::Failed, text(condition))),
        (None, None) => None,
    };
    Some(SeenJob {
        id,
        uid: object.metadata.uid.clone().unwrap_or_default(),
        attempt,
        suspend: suspend.as_bool().unwrap_or(false),
        is_suspended: condition("Suspended").is_some(),
        suspended_ms: condition("Suspended").and_then(since_ms),
        is_taken_up: !conditions.is_empty() || object.data["status"]["jobsStatus"].is_array(),
        end,
    })
}

/// Since when a condition is as it is, in milliseconds since the Unix epoch.
fn since_ms(condition: &Json) -> Option<u64> {
    let since: Timestamp = condition["lastTransitionTime"].as_str()?.parse().ok()?;
    u64::try_from(since.as_millisecond()).ok()
}

/// A condition's message, or its reason.
fn text(condition: &Json) -> String {
    let words = |key: &str| condition[key].as_str().filter(|words| !words.is_empty());
    words("message").or_else(|| words("reason")).unwrap_or("its operator gave no reason").to_owned()
}

/// What `pod` shows; `None` if it isn't one of ours.
#[must_use]
pub fn pod(pod: &Pod) -> Option<SeenPod> {
    let labels = pod.metadata.labels.as_ref()?;
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    // The first is the program's: others are injected.
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let container = containers.and_then(|all| all.iter().find(|container| CONTAINERS.contains(&container.name.as_str())));
    let ended = container.and_then(terminated);
    let report = ended.and_then(|ended| report(ended.message.as_deref()?));
    let failed = ended.filter(|ended| ended.exit_code != 0);
    Some(SeenPod {
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        job: JobId(labels.get(JOB_LABEL)?.clone()),
        index: index(labels)?,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty()),
        has_run: phase != "Pending",
        is_over: matches!(phase, "Succeeded" | "Failed"),
        first_step_ms: report.as_ref().and_then(|report| report.first_step_ms),
        problem: evicted(pod).or_else(|| Some(problem(failed?, report.as_ref()))),
        waits: (phase == "Pending").then(|| waits(pod, container)).flatten(),
    })
}

/// The pod's position: the master, or the first node, is 0.
fn index(labels: &std::collections::BTreeMap<String, String>) -> Option<u32> {
    let number = |key: &str| labels.get(key)?.parse::<u32>().ok();
    match labels.get("training.kubeflow.org/replica-type").map(String::as_str) {
        Some("worker") => Some(number("training.kubeflow.org/replica-index")? + 1),
        Some(_) => Some(0),
        None => number("batch.kubernetes.io/job-completion-index").or_else(|| number("jobset.sigs.k8s.io/job-index")),
    }
}

/// How the container ended, or ended before it was started again.
fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let of = |state: &'_ Option<ContainerState>| state.as_ref().is_some_and(|state| state.terminated.is_some());
    let state = if of(&container.state) { &container.state } else { &container.last_state };
    state.as_ref()?.terminated.as_ref()
}

/// What our program left, if it's that.
fn report(message: &str) -> Option<TerminationReport> {
    serde_json::from_str(message).ok()
}

/// Longest words of a pod that are kept, in characters.
const WORDS_CHARS_MAX: usize = 1000;

/// Why the pod as a whole failed, if its node got rid of it.
pub(super) fn evicted(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref().filter(|status| status.phase.as_deref() == Some("Failed"))?;
    let message = status.message.as_deref().map(|message| format!(": {}", plain(message))).unwrap_or_default();
    Some(Problem { words: format!("{}{message}", status.reason.as_deref()?), lost_another: false })
}

pub(super) fn problem(ended: &ContainerStateTerminated, report: Option<&TerminationReport>) -> Problem {
    let said = match report {
        Some(report) => report.error.clone(),
        None => ended.message.clone().filter(|message| !message.trim().is_empty()),
    };
    let said = said.map(|said| format!(": {}", plain(&said))).unwrap_or_default();
    let words = match ended.reason.as_deref() {
        Some("OOMKilled") => format!("out of memory: it was killed at its limit; ask for more `memory` in the task's `resources`{said}"),
        Some(reason) if reason != "Error" => format!("exit code {}, {reason}{said}", ended.exit_code),
        _ => format!("exit code {}{said}", ended.exit_code),
    };
    Problem { words, lost_another: ended.exit_code == i32::from(EXIT_LOST_RANK) }
}

/// Without control characters, and not too long.
pub(super) fn plain(text: &str) -> String {
    terminal::one_line(text.trim(), WORDS_CHARS_MAX)
}

/// Why a pod doesn't run: what the scheduler says, or the kubelet of its container.
pub(super) fn waits(pod: &Pod, container: Option<&ContainerStatus>) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref();
    let scheduled = conditions.and_then(|all| all.iter().find(|condition| condition.type_ == "PodScheduled"));
    if let Some(condition) = scheduled.filter(|condition| condition.status == "False") {
        return condition.message.as_deref().map(plain);
    }
    let waiting = container?.state.as_ref()?.waiting.as_ref()?;
    let message = waiting.message.as_deref().map(|message| format!(": {}", plain(message))).unwrap_or_default();
    Some(format!("{}{message}", waiting.reason.as_deref().unwrap_or("its container waits")))
}
