//! The conversion of API objects to what the edge needs: conditions of jobs, phases and last words of pods.

use fltk_core::{
    terminal,
    termination::{EXIT_LOST_RANK, TerminationReport, is_of_machine},
};
use fltk_plan::{
    JobId,
    plan::{Blame, Outcome},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::core::DynamicObject;
use serde_json::Value as Json;

use crate::{
    config::Backend,
    manifest::{ANNOTATION_ATTEMPT, CONTAINERS, JOB_LABEL},
    problems::{Cause, Problem},
    view::{SeenJob, SeenPod},
};

/// The state of the job that `object` represents; `None` if it isn't one of ours.
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

/// The time of a condition's last transition, in milliseconds since the Unix epoch.
fn since_ms(condition: &Json) -> Option<u64> {
    let since: Timestamp = condition["lastTransitionTime"].as_str()?.parse().ok()?;
    u64::try_from(since.as_millisecond()).ok()
}

/// A condition's message, or its reason.
fn text(condition: &Json) -> String {
    let words = |key: &str| condition[key].as_str().filter(|words| !words.is_empty());
    words("message").or_else(|| words("reason")).unwrap_or("its operator gave no reason").to_owned()
}

/// The state of `pod`; `None` if it isn't one of ours.
#[must_use]
pub fn pod(pod: &Pod) -> Option<SeenPod> {
    let labels = pod.metadata.labels.as_ref()?;
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    // Only the program's own container counts: others are injected.
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let container = containers.and_then(|all| all.iter().find(|container| CONTAINERS.contains(&container.name.as_str())));
    let ends: Vec<_> = container.into_iter().flat_map(ends).map(|ended| (ended, report(ended))).collect();
    let failed = ends.iter().filter(|(ended, _)| ended.exit_code != 0);
    Some(SeenPod {
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        job: JobId(labels.get(JOB_LABEL)?.clone()),
        index: index(labels)?,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty()),
        has_run: phase != "Pending",
        is_over: matches!(phase, "Succeeded" | "Failed"),
        first_step_ms: ends.iter().find_map(|(_, report)| report.as_ref()?.first_step_ms),
        problems: match evicted(pod) {
            Some(evicted) => vec![evicted],
            None => failed.map(|(ended, report)| problem(ended, report.as_ref(), asked_to_go(pod))).collect(),
        },
        waits: (phase == "Pending").then(|| waits(pod, container)).flatten(),
    })
}

/// The pod's position: 0 for the master or the first node.
fn index(labels: &std::collections::BTreeMap<String, String>) -> Option<u32> {
    let number = |key: &str| labels.get(key)?.parse::<u32>().ok();
    match labels.get("training.kubeflow.org/replica-type").map(String::as_str) {
        Some("worker") => Some(number("training.kubeflow.org/replica-index")? + 1),
        Some(_) => Some(0),
        None => number("batch.kubernetes.io/job-completion-index").or_else(|| number("jobset.sigs.k8s.io/job-index")),
    }
}

/// The end of the container's previous run and of its current one, in this order, as far as they ended.
fn ends(container: &ContainerStatus) -> impl Iterator<Item = &ContainerStateTerminated> {
    [&container.last_state, &container.state].into_iter().filter_map(|state| state.as_ref()?.terminated.as_ref())
}

/// The termination report of our program, if the message is one.
fn report(ended: &ContainerStateTerminated) -> Option<TerminationReport> {
    serde_json::from_str(ended.message.as_deref()?).ok()
}

/// The time when somebody requested the pod's deletion, in whole seconds. Kubernetes records the time when the grace period ends.
fn asked_to_go(pod: &Pod) -> Option<Timestamp> {
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    pod.metadata.deletion_timestamp.as_ref()?.0.checked_sub(SignedDuration::from_secs(grace)).ok()
}

/// The maximum length of a pod's last words, in characters.
const WORDS_CHARS_MAX: usize = 1000;

/// The reason why the pod as a whole failed, if its node evicted it.
pub(super) fn evicted(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref().filter(|status| status.phase.as_deref() == Some("Failed"))?;
    let message = status.message.as_deref().map(|message| format!(": {}", plain(message))).unwrap_or_default();
    Some(Problem { words: format!("{}{message}", status.reason.as_deref()?), cause: Cause::Own, blame: Blame::Machine, at: None })
}

/// The failure of a container that ended; `asked_to_go` is the time when its pod was asked to terminate, if it was.
pub(super) fn problem(ended: &ContainerStateTerminated, report: Option<&TerminationReport>, asked_to_go: Option<Timestamp>) -> Problem {
    let said = match report {
        Some(report) => report.error.clone(),
        None => ended.message.clone().filter(|message| !message.trim().is_empty()),
    };
    let said = said.map(|said| format!(": {}", plain(&said))).unwrap_or_default();
    let words = match ended.reason.as_deref() {
        Some("OOMKilled") => format!("out of memory: it was killed at its limit; raise `memory` in the task's `resources`{said}"),
        Some(reason) if reason != "Error" => format!("exit code {}, {reason}{said}", ended.exit_code),
        _ if ended.exit_code == KILLED => format!("killed, exit code {KILLED}{said}"),
        _ => format!("exit code {}{said}", ended.exit_code),
    };
    let at = ended.finished_at.as_ref().map(|time| time.0);
    // In the second of the request itself, only exit codes that say so count as asked to go.
    let says_so = [INTERRUPTED, TERMINATED].contains(&ended.exit_code);
    let was_asked = at.zip(asked_to_go).is_some_and(|(at, asked)| at > asked || (at == asked && says_so));
    let cause = match ended.exit_code {
        _ if was_asked => Cause::AskedToGo,
        code if code == i32::from(EXIT_LOST_RANK) => Cause::LostAnother,
        _ => Cause::Own,
    };
    Problem { words, cause, blame: blame(ended), at }
}

/// The exit codes of SIGKILL, and of SIGTERM if a program doesn't handle it.
const KILLED: i32 = 128 + 9;
const TERMINATED: i32 = 128 + 15;
/// The exit code of our program when it was asked to stop.
const INTERRUPTED: i32 = 130;

/// The cause of the failure: the machine, for containers that were killed for another reason than their own limit, and for programs whose exit code
/// says that they could not read, write or reach what they need.
fn blame(ended: &ContainerStateTerminated) -> Blame {
    if (ended.exit_code == KILLED || is_of_machine(ended.exit_code)) && ended.reason.as_deref() != Some("OOMKilled") {
        Blame::Machine
    } else {
        Blame::Job
    }
}

/// The text in one line, without control characters, cut to the maximum length.
pub(super) fn plain(text: &str) -> String {
    terminal::one_line(text.trim(), WORDS_CHARS_MAX)
}

/// The reason why a pod doesn't run, from the scheduler or from the kubelet about its container.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_is_blamed_for_retryable_failures() {
        let check = |exit_code: i32, reason: &str, expected: Blame| {
            let ended = ContainerStateTerminated { exit_code, reason: Some(reason.to_owned()), ..ContainerStateTerminated::default() };
            assert_eq!(blame(&ended), expected, "{exit_code} {reason}");
        };
        check(137, "Error", Blame::Machine);
        check(137, "OOMKilled", Blame::Job);
        check(4, "Error", Blame::Machine);
        check(6, "Error", Blame::Machine);
        check(7, "Error", Blame::Machine);
        check(1, "Error", Blame::Job);
        check(5, "Error", Blame::Job);
    }
}
