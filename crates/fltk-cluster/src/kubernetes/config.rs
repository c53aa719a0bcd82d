//! The settings of objects and pods on Kubernetes: a file with a `kubernetes` block.

use std::{collections::BTreeMap, sync::LazyLock};

use fltk_core::experiment::{ConfigFormat, Duration, Quantity, Report, SourceFile, StreamConfig};
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
    /// What pods get.
    kubernetes: KubernetesConfig,
}

/// What the objects and pods of jobs get on Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "kubernetes")]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// Which object a job is: of the training operator (v1), or of Kubeflow Trainer (v2).
    pub backend: Backend,
    /// Namespace of all objects; the experiment's, or that of the kubeconfig, when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Container image of the pods; the experiment's when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the image is pulled; Kubernetes' own default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Names of secrets to pull the image with.
    pub image_pull_secrets: Vec<String>,
    /// Service account of the pods. They get no token of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Claim of the volume that runs are recorded on; `null` keeps nothing beyond a pod.
    pub log_claim: Option<String>,
    /// Where it is mounted.
    pub log_path: String,
    /// Claim of a volume with data sets; what the image has when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_claim: Option<String>,
    /// Where it is mounted.
    pub data_path: String,
    /// Taints that pods tolerate, as in a pod's `spec`.
    pub tolerations: Vec<Toleration>,
    /// Labels that nodes must have.
    pub node_selector: BTreeMap<String, String>,
    /// Which nodes and neighbours pods want, as in a pod's `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Priority class of the pods, which must exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
    /// Scheduler of the pods; the cluster's own when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// What pods ask for beside cores and memory, such as `nvidia.com/gpu: 1`.
    pub resources: RoleResources,
    /// Environment of the container, as in a pod's `spec`.
    pub env: Vec<EnvVar>,
    /// More volumes, as in a pod's `spec`.
    pub volumes: Vec<Volume>,
    /// Where they are mounted, as in a container.
    pub volume_mounts: Vec<VolumeMount>,
    /// Whether a container that failed is started again, and goes on from its checkpoint.
    pub restart_policy: RestartPolicy,
    /// How a job is run as a whole.
    pub run_policy: RunPolicy,
    /// Security context of the pods.
    pub security_context: PodSecurityContext,
    /// Security context of the container.
    pub container_security_context: SecurityContext,
    /// Labels of jobs and pods, beside ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations of jobs and pods, beside ours.
    pub annotations: BTreeMap<String, String>,
    /// How long a job waits whose pods fit on no node, however empty, before it has failed: nodes may be added.
    pub unschedulable_timeout: Duration,
    /// Requests to the API server under way at once.
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: u32,
}

/// Which object a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `kubeflow.org/v1` `PyTorchJob`.
    PyTorchJob,
    /// `trainer.kubeflow.org/v1alpha1` `TrainJob`.
    TrainJob,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Each time a container starts.
    Always,
    /// When the node hasn't it.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// Never.
    Never,
    /// When it failed.
    OnFailure,
}

/// What pods ask for beside cores and memory, by role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "extended_resources")]
#[serde(deny_unknown_fields)]
pub struct RoleResources {
    /// Of rank 0, or the federator.
    pub master: BTreeMap<String, Quantity>,
    /// Of every other rank.
    pub worker: BTreeMap<String, Quantity>,
}

/// How a job is run as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "run_policy")]
#[serde(deny_unknown_fields)]
pub struct RunPolicy {
    /// Which of its pods are removed when it ends; of a `TrainJob` always those that run, and after a deadline or the limit all.
    pub clean_pod_policy: CleanPodPolicy,
    /// How long it stays once it has ended; for ever when left out. Of a `TrainJob` it's the pods, with their logs, that go; the object itself stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// How long it may run; as long as it takes when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline: Option<Duration>,
    /// How many losses of a rank it survives. The object's own limit, of restarts of all pods together, follows from it.
    #[schemars(range(min = 0, max = 1000))]
    pub backoff_limit: i32,
    /// Who acts on the job in place of its operator; the operator itself when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// For a scheduler that knows gangs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
}

/// Which pods are removed when their job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CleanPodPolicy {
    /// None.
    None,
    /// Those that run.
    Running,
    /// All: their logs go with them.
    All,
}

/// What the training operator tells a scheduler that knows gangs, such as Volcano's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "scheduling_policy")]
#[serde(deny_unknown_fields)]
pub struct SchedulingPolicy {
    /// Pods that must fit before any starts; all when left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_available: Option<i32>,
    /// Queue of the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Priority class of the gang.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
    /// How long a gang may wait for its place.
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
    fn an_empty_block_is_the_defaults() {
        let config = parse("kubernetes: {}").unwrap();
        assert_eq!(config, KubernetesConfig::of_stream(None));
        assert_eq!(config.tolerations[0].key.as_deref(), Some("fltk.node"));
        assert_eq!(config.log_claim.as_deref(), Some("fl-log-claim"));
        assert_eq!(config.security_context.run_as_non_root, Some(true));
    }

    #[test]
    fn parts_of_a_pod_are_checked_to_the_last_key() {
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
