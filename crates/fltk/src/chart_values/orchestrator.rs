//! Values of `charts/orchestrator` alone.

use std::collections::BTreeMap;

use fltk_core::experiment::AdmissionConfig;
use k8s_openapi::api::{
    core::v1::{Affinity, PodSecurityContext, SecurityContext, Toleration},
    networking::v1::NetworkPolicyPeer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::shared::{Amount, ObjectName, Port};

/// The orchestrator.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Orchestrator {
    /// Name of its objects; `<release>-orchestrator` when empty.
    name: ObjectName,
    /// What it runs as.
    kind: Kind,
    /// Cores that it gets.
    cpu: Amount,
    /// Memory that it gets.
    memory: Amount,
    /// What is run: a file's text (`--set-file`), or an experiment.
    experiment: Json,
    /// KFLTK's cluster JSON: a file's text (`--set-file`), or its contents.
    configuration: Json,
    /// What pods get: a file's text (`--set-file`), or what is in its `kubernetes` block.
    kubernetes: Json,
    /// Files beside the experiment.
    files: BTreeMap<FileName, String>,
    /// What files are called in the pod.
    runtime: Runtime,
    /// KFLTK's names of files that its chart brings. Not read.
    provided: Provided,
    /// KFLTK's of 2021: a file within its image. Not read.
    configuration_file: String,
    /// KFLTK's of 2021: a file within its image. Not read.
    experiment_file: String,
    /// KFLTK's name of 2021 for `fltk.pullPolicy`.
    #[schemars(extend("enum" = ["", "Always", "IfNotPresent", "Never"]))]
    pull_policy: String,
    /// When a job may start, in place of what the experiment says.
    admission: Option<AdmissionConfig>,
    /// More options of `fltk cluster`.
    extra_args: Vec<String>,
    /// Names the stream; the release and a digest when empty.
    #[schemars(regex(pattern = "^([A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)?$"))]
    id: String,
    /// How often a pod that failed is replaced.
    #[schemars(range(min = 0, max = 1000))]
    backoff_limit: u32,
    /// When the Job is removed once it has ended, in seconds.
    ttl_seconds_after_finished: Option<u32>,
    /// Whether jobs go with the release.
    remove_jobs_on_uninstall: bool,
    /// Whom it is to the API server.
    service_account: ServiceAccount,
    /// What it may do there.
    rbac: Rbac,
    /// Its metrics.
    metrics: Metrics,
    /// Who may connect, and where it connects to.
    network_policy: NetworkPolicy,
    /// Annotations of its pod.
    pod_annotations: BTreeMap<String, String>,
    /// More labels of its pod.
    pod_labels: BTreeMap<String, String>,
    /// Labels of nodes that it may run on.
    node_selector: BTreeMap<String, String>,
    /// Taints that it tolerates.
    tolerations: Vec<Toleration>,
    /// Which nodes and neighbors it wants.
    affinity: Affinity,
    /// Its priority class.
    priority_class_name: String,
    /// Security context of its pod.
    pod_security_context: PodSecurityContext,
    /// Security context of its container.
    security_context: SecurityContext,
}

/// What it runs as.
#[derive(Serialize, Deserialize, JsonSchema)]
enum Kind {
    /// Ends with the stream.
    Job,
    /// Stays.
    Deployment,
}

/// The name of a file.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 253, "pattern" = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
struct FileName(String);

/// A path, of which the last part is the name of a file: KFLTK's users have written such.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 253, "pattern" = "^([A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
struct FilePath(String);

/// What files are called in the pod.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Runtime {
    /// KFLTK's cluster JSON.
    configuration_file: FilePath,
    /// The experiment.
    experiment_file: FilePath,
}

/// KFLTK's names of files that its chart brings, which were never there. Known, so that its values work as they are.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Provided {
    /// Not read.
    configuration_file: String,
    /// Not read.
    experiment_file: String,
}

/// A service account.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceAccount {
    /// Whether it's made.
    create: bool,
    /// Its name.
    name: String,
    /// Its annotations.
    annotations: BTreeMap<String, String>,
}

/// Rights.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rbac {
    /// Whether they are made.
    create: bool,
    /// Whether it may see the nodes and pods of the whole cluster.
    cluster: SeesCluster,
}

/// When it may see the nodes and pods of the whole cluster.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SeesCluster {
    /// If its admission is by capacity.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Metrics.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Metrics {
    /// For Prometheus' operator.
    service_monitor: ServiceMonitor,
}

/// For Prometheus' operator.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceMonitor {
    /// Whether there is one.
    enabled: bool,
    /// How often metrics are read.
    #[schemars(regex(pattern = "^([0-9]+(ms|s|m|h))+$"))]
    interval: String,
    /// Labels by which Prometheus finds it.
    labels: BTreeMap<String, String>,
}

/// Who may connect, and where it connects to.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NetworkPolicy {
    /// Whether that is limited.
    enabled: bool,
    /// Who may read metrics; pods of the same namespace when empty.
    from: Vec<NetworkPolicyPeer>,
    /// Where the API server listens.
    #[schemars(length(min = 1))]
    api_server_ports: Vec<Port>,
    /// Where name servers listen.
    #[schemars(length(min = 1))]
    dns_ports: Vec<Port>,
}
