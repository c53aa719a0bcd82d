//! The pod that serves a claim, and the state of one. Nothing here does I/O.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Container, EnvVar, LocalObjectReference, PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, ResourceRequirements,
        Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use sha2::{Digest as _, Sha256};

use crate::{config::KubernetesConfig, status};

/// The port of the server in the pod's own network.
pub const PORT: u16 = 8080;
/// The pod's maximum lifetime in seconds, however much there is to read. The pod is removed long before, unless its creator was killed.
const DEADLINE_SECONDS: i64 = 3600;
/// The mount path of the claim.
const PATH: &str = "/runs";
const CONTAINER: &str = "fltk";
const VOLUME: &str = "runs";

/// A claim to read, and the pod's settings.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The claim.
    pub claim: String,
    /// A folder on it, without a slash at either end; empty for all of it.
    pub folder: String,
    /// An image with our program as its entry point.
    pub image: String,
    /// The token that the server requires. It is secret and random, so the pod's name is derived from it.
    pub token: String,
    /// The settings of pods: where they may run, as which user, and with which image pull secrets.
    pub config: KubernetesConfig,
}

impl Reader {
    /// The pod's name. It doesn't reveal the token.
    #[must_use]
    pub fn name(&self) -> String {
        format!("fltk-reader-{}", &hex::encode(Sha256::digest(&self.token))[..10])
    }

    /// The pod: it complies with the restricted standard, has no rights of its own, and can't write to the volume.
    #[must_use]
    pub fn pod(&self) -> Pod {
        let config = &self.config;
        let ours = [("managed-by", "fltk"), ("name", "fltk"), ("component", "reader")];
        let ours = ours.map(|(key, value)| (format!("app.kubernetes.io/{key}"), value.to_owned()));
        let labels: BTreeMap<String, String> = config.labels.clone().into_iter().chain(ours).collect();
        let metadata = ObjectMeta {
            name: Some(self.name()),
            labels: Some(labels),
            annotations: Some(config.annotations.clone()).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        };
        Pod { metadata, spec: Some(self.spec()), status: None }
    }

    fn spec(&self) -> PodSpec {
        let config = &self.config;
        let secrets: Vec<_> = config.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
        let claim = PersistentVolumeClaimVolumeSource { claim_name: self.claim.clone(), read_only: None };
        PodSpec {
            active_deadline_seconds: Some(DEADLINE_SECONDS),
            affinity: config.affinity.clone(),
            automount_service_account_token: Some(false),
            containers: vec![self.container()],
            enable_service_links: Some(false),
            image_pull_secrets: Some(secrets).filter(|secrets| !secrets.is_empty()),
            node_selector: Some(config.node_selector.clone()).filter(|labels| !labels.is_empty()),
            priority_class_name: config.priority_class.clone(),
            restart_policy: Some("Never".to_owned()),
            security_context: Some(reading(config.security_context.clone())),
            service_account_name: config.service_account.clone(),
            termination_grace_period_seconds: Some(1),
            tolerations: Some(config.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
            volumes: Some(vec![Volume { name: VOLUME.to_owned(), persistent_volume_claim: Some(claim), ..Volume::default() }]),
            ..PodSpec::default()
        }
    }

    fn container(&self) -> Container {
        let runs = if self.folder.is_empty() { PATH.to_owned() } else { format!("{PATH}/{}", self.folder) };
        let arguments = ["serve", "--quiet", "--runs", &runs, "--listen", &format!("127.0.0.1:{PORT}")];
        let amounts = |cpu: Option<&str>, memory: &str| {
            let cpu = cpu.map(|cpu| ("cpu".to_owned(), Quantity(cpu.to_owned())));
            Some(cpu.into_iter().chain([("memory".to_owned(), Quantity(memory.to_owned()))]).collect())
        };
        Container {
            name: CONTAINER.to_owned(),
            image: Some(self.image.clone()),
            image_pull_policy: self.config.image_pull_policy.map(|policy| format!("{policy:?}")),
            args: Some(arguments.map(str::to_owned).to_vec()),
            env: Some(vec![EnvVar { name: "FLTK_TOKEN".to_owned(), value: Some(self.token.clone()), ..EnvVar::default() }]),
            resources: Some(ResourceRequirements {
                requests: amounts(Some("50m"), "64Mi"),
                limits: amounts(None, "1Gi"),
                ..ResourceRequirements::default()
            }),
            security_context: Some(self.config.container_security_context.clone()),
            // If the program fails, the last lines of its log become the termination message.
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: Some(vec![VolumeMount {
                name: VOLUME.to_owned(),
                mount_path: PATH.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            }]),
            ..Container::default()
        }
    }
}

/// The security context of jobs, changed so that nothing on the volume changes: an `fsGroup` would become the group of the files there.
fn reading(mut context: PodSecurityContext) -> PodSecurityContext {
    context.fs_group_change_policy = None;
    if let Some(group) = context.fs_group.take() {
        let groups = context.supplemental_groups.get_or_insert_default();
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    context
}

/// The state of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// A node is preparing its container.
    Begins,
    /// Its container doesn't run, for this reason.
    Waits(String),
    /// Its container doesn't run and never will, for this reason.
    Hopeless(String),
    /// Its container runs.
    Runs,
    /// The pod ended for this reason; its program exited with this code, if that's known.
    Over(String, Option<i32>),
}

/// The kubelet's waiting reasons that never resolve by themselves.
const HOPELESS: [&str; 5] =
    ["InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"];

/// The state of `pod`.
pub fn stand(pod: &Pod) -> Stand {
    let status = pod.status.as_ref();
    let container = status.and_then(|status| status.container_statuses.as_ref()?.iter().find(|container| container.name == CONTAINER));
    let state = container.and_then(|container| container.state.as_ref());
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        return Stand::Over(status::problem(ended, None, None).words, Some(ended.exit_code));
    }
    if matches!(phase, "Failed" | "Succeeded") {
        let words = status::evicted(pod).map(|problem| problem.words);
        return Stand::Over(words.unwrap_or_else(|| phase.to_lowercase()), None);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Stand::Over("somebody removes it".to_owned(), None);
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return Stand::Runs;
    }
    let reason = state.and_then(|state| state.waiting.as_ref()?.reason.as_deref()).unwrap_or_default();
    match status::waits(pod, container) {
        Some(words) if HOPELESS.contains(&reason) => Stand::Hopeless(words),
        Some(words) if reason != "ContainerCreating" => Stand::Waits(words),
        _ => Stand::Begins,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn reader() -> Reader {
        Reader {
            claim: "fl-log-claim".to_owned(),
            folder: "team/a".to_owned(),
            image: "registry.example/fltk:1".to_owned(),
            token: "0123456789abcdef".to_owned(),
            config: KubernetesConfig::of_stream(None),
        }
    }

    #[test]
    fn reader_pod_matches_the_snapshot() {
        insta::assert_json_snapshot!(reader().pod());
    }

    #[test]
    fn pod_name_is_derived_from_the_token_without_revealing_it() {
        let (one, other) = (reader(), Reader { token: "another".to_owned(), ..reader() });
        assert!(one.name() != other.name() && !one.name().contains(&one.token[..6]));
    }

    #[test]
    fn pod_states_are_recognized() {
        let check = |status: Json, expected: Stand| {
            let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "a" }, "status": status })).unwrap();
            assert_eq!(stand(&pod), expected, "{status}");
        };
        let with = |state: Json| {
            json!({ "phase": "Pending", "containerStatuses": [{
            "name": CONTAINER, "image": "a", "imageID": "", "ready": false, "restartCount": 0, "state": state }] })
        };
        let waits = |reason: &str| with(json!({ "waiting": { "reason": reason, "message": "because" } }));
        check(json!({}), Stand::Begins);
        check(waits("ContainerCreating"), Stand::Begins);
        let unschedulable = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" });
        check(json!({ "phase": "Pending", "conditions": [unschedulable] }), Stand::Waits("0/3 nodes".to_owned()));
        check(waits("ImagePullBackOff"), Stand::Waits("ImagePullBackOff: because".to_owned()));
        check(waits("ErrImageNeverPull"), Stand::Hopeless("ErrImageNeverPull: because".to_owned()));
        check(with(json!({ "running": {} })), Stand::Runs);
        let ended = with(json!({ "terminated": { "exitCode": 2, "reason": "Error", "message": "unrecognized subcommand" } }));
        check(ended, Stand::Over("exit code 2: unrecognized subcommand".to_owned(), Some(2)));
        let deadline = json!({ "phase": "Failed", "reason": "DeadlineExceeded", "message": "it was active too long" });
        check(deadline, Stand::Over("DeadlineExceeded: it was active too long".to_owned(), None));
    }
}
