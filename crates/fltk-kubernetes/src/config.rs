//! The settings of objects and pods on Kubernetes: a file with a `kubernetes` block.

use std::{collections::BTreeMap, sync::LazyLock};

use fltk_core::experiment::{Duration, Quantity, StreamConfig};
use fltk_experiment::{ConfigFormat, Report, SourceFile};
use k8s_openapi::api::core::v1::{Affinity, EnvVar, PodSecurityContext, SecurityContext, Toleration, Volume, VolumeMount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All defaults, with their documentation.
const DEFAULTS: &str = include_str!("defaults.yaml");

static FORMAT: LazyLock<ConfigFormat<ConfigFile>> = LazyLock::new(|| ConfigFormat::new("file", DEFAULTS));

#[derive(Deserialize, JsonSchema)]
#[schemars(title = "fltk on Kubernetes")]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    /// The settings of the objects and pods of jobs.
    kubernetes: KubernetesConfig,
}

/// The settings of the objects and pods of jobs on Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "kubernetes")]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// The kind of object that a job becomes: of the training operator (v1), or of Kubeflow Trainer (v2).
    pub backend: Backend,
    /// Namespace of all objects. If left out, it is the experiment's, or that of the kubeconfig's context, or of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Container image of the pods; the experiment's if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Image pull policy; Kubernetes' own default if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Names of the image pull secrets.
    pub image_pull_secrets: Vec<String>,
    /// Service account of the pods, which get no token for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Claim of the volume on which runs are recorded. With `null`, records and checkpoints are lost with their pod.
    pub log_claim: Option<String>,
    /// Mount path of the volume of runs.
    pub log_path: String,
    /// Claim of a volume with data sets. If left out, pods have only the data in the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_claim: Option<String>,
    /// Mount path of the volume of data sets.
    pub data_path: String,
    /// Taints that pods tolerate, as in a pod's `spec`.
    pub tolerations: Vec<Toleration>,
    /// Labels that nodes must have.
    pub node_selector: BTreeMap<String, String>,
    /// Affinity of the pods, as in a pod's `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Priority class of the pods, which must exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
    /// Scheduler of the pods; the cluster's own if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Requests of the pods in addition to cores and memory, such as `nvidia.com/gpu: 1`.
    pub resources: RoleResources,
    /// Environment variables of the container, as in a pod's `spec`.
    pub env: Vec<EnvVar>,
    /// Additional volumes, as in a pod's `spec`.
    pub volumes: Vec<Volume>,
    /// Mounts of these volumes, as in a container.
    pub volume_mounts: Vec<VolumeMount>,
    /// Restart policy of the container; when restarted, it resumes from its checkpoint.
    pub restart_policy: RestartPolicy,
    /// The policy for a job as a whole.
    pub run_policy: RunPolicy,
    /// Security context of the pods.
    pub security_context: PodSecurityContext,
    /// Security context of the container.
    pub container_security_context: SecurityContext,
    /// Labels of jobs and pods, in addition to fltk's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations of jobs and pods, in addition to fltk's own.
    pub annotations: BTreeMap<String, String>,
    /// The time that a job whose pods fit on no node, even if empty, waits before it fails. Nodes may be added in that time.
    pub unschedulable_timeout: Duration,
    /// The maximum number of concurrent requests to the API server.
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: u32,
}

/// The kind of object that a job becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A `PyTorchJob` of `kubeflow.org/v1`.
    PyTorchJob,
    /// A `TrainJob` of `trainer.kubeflow.org/v1alpha1`.
    TrainJob,
}

/// Image pull policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// The image is pulled each time a container starts.
    Always,
    /// The image is pulled if the node doesn't have it.
    IfNotPresent,
    /// The image is never pulled: the node must have it.
    Never,
}

/// Restart policy of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// The container is never restarted.
    Never,
    /// The container is restarted if it failed.
    OnFailure,
}

/// Requests of pods in addition to cores and memory, by role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "extended_resources")]
#[serde(deny_unknown_fields)]
pub struct RoleResources {
    /// The requests of rank 0, or of the federator.
    pub master: BTreeMap<String, Quantity>,
    /// The requests of every other rank.
    pub worker: BTreeMap<String, Quantity>,
}

/// The policy for a job as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "run_policy")]
#[serde(deny_unknown_fields)]
pub struct RunPolicy {
    /// The pods that are removed when the job ends. A `TrainJob` accepts only `Running`; after a deadline or the limit, all pods are
    /// removed.
    pub clean_pod_policy: CleanPodPolicy,
    /// The time that the job is kept after its end; forever if left out. With a `TrainJob`, only the pods are removed, with their logs; the object
    /// itself stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// The time that the job may run; unlimited if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline: Option<Duration>,
    /// The number of times that the job may lose a rank. The limit on restarts of its `PyTorchJob` or `TrainJob`, which counts all pods together, is computed
    /// from it.
    #[schemars(range(min = 0, max = 1000))]
    pub backoff_limit: i32,
    /// The controller that acts on the job instead of its operator; the operator itself if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// The settings for a gang scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
}

/// The pods that are removed when their job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CleanPodPolicy {
    /// No pod is removed.
    None,
    /// The pods that still run are removed.
    Running,
    /// All pods are removed, with their logs.
    All,
}

/// The settings that the training operator passes to a gang scheduler, such as Volcano.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "scheduling_policy")]
#[serde(deny_unknown_fields)]
pub struct SchedulingPolicy {
    /// The number of pods that must fit before any starts; all if left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_available: Option<i32>,
    /// Queue of the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Priority class of the gang.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
    /// The time that a gang may wait to be scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_timeout: Option<Duration>,
}

impl KubernetesConfig {
    /// Parses `file`, with every default filled in; also returns warnings.
    ///
    /// # Errors
    /// If anything is wrong with the file; the report has all of it.
    pub fn parse(file: &SourceFile) -> Result<(Self, Report), Report> {
        FORMAT.parse(file).map(|(file, warnings)| (file.kubernetes, warnings))
    }

    /// The defaults, with the namespace and the image of `stream` if it has them.
    #[must_use]
    pub fn of_stream(stream: Option<&StreamConfig>) -> Self {
        let defaults = SourceFile { name: "defaults".to_owned(), text: "kubernetes: {}".to_owned() };
        let (config, _) = Self::parse(&defaults).expect("the defaults are right: a test reads them");
        config.or_of(stream)
    }

    /// This config with the namespace and the image of `stream` where it has none.
    #[must_use]
    pub fn or_of(mut self, stream: Option<&StreamConfig>) -> Self {
        self.namespace = self.namespace.or_else(|| stream?.namespace.clone());
        self.image = self.image.or_else(|| stream?.image.clone());
        self
    }

    /// The JSON Schema (draft 2020-12) of such files, with all defaults.
    #[must_use]
    pub fn json_schema() -> &'static serde_json::Value {
        FORMAT.json_schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KubernetesConfig, String> {
        let file = SourceFile { name: "kubernetes.yaml".to_owned(), text: text.to_owned() };
        KubernetesConfig::parse(&file).map(|(config, _)| config).map_err(|report| report.render(false))
    }

    #[test]
    fn empty_block_has_the_defaults() {
        let config = parse("kubernetes: {}").unwrap();
        assert_eq!(config, KubernetesConfig::of_stream(None));
        assert_eq!(config.tolerations[0].key.as_deref(), Some("fltk.node"));
        assert_eq!(config.log_claim.as_deref(), Some("fl-log-claim"));
        assert_eq!(config.security_context.run_as_non_root, Some(true));
    }

    #[test]
    fn pod_fields_are_checked_at_every_depth() {
        let refused = |text: &str, words: &[&str]| {
            let said = parse(text).expect_err("refused");
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        };
        refused("kubernetes:\n  tolerations:\n    - { key: a, operater: Equal }\n", &["kubernetes.yaml:3:17", "`operator`"]);
        refused("kubernetes: { env: [{ value: a }] }", &["`name`"]);
        refused("kubernetes: { volumes: [{ name: a, persistentVolumeClaim: { claim: b } }] }", &["claimName"]);
        refused("kubernetes: { resources: { master: { nvidia.com/gpu: 1 GPU } } }", &["1 GPU"]);
        refused("kubernetes: { run_policy: { ttl: 5 } }", &["no unit"]);
        refused("kubernetes: { run_policy: { backoff_limit: -1 } }", &["backoff_limit"]);
        refused("kubernetes: { backend: MPIJob }", &["pytorchjob"]);
        let tolerations =
            "kubernetes: { tolerations: [{ key: a, operator: Equal, value: normal, effect: NoSchedule, tolerationSeconds: 3 }] }";
        let config = parse(tolerations).unwrap();
        assert_eq!(config.tolerations[0].value.as_deref(), Some("normal"));
    }
}
