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
    /// The name of the orchestrator's objects; `<release>-orchestrator` if empty.
    name: ObjectName,
    /// The kind of object that it runs as.
    kind: Kind,
    /// Cores that its container requests; they are its limit too.
    cpu: Amount,
    /// Memory that its container requests; it is its limit too.
    memory: Amount,
    /// The experiment to run: a file's text (`--set-file`), or the experiment itself.
    experiment: Json,
    /// KFLTK's cluster JSON: a file's text (`--set-file`), or its contents.
    configuration: Json,
    /// The pods' settings: a file's text (`--set-file`), or the contents of its `kubernetes` block.
    kubernetes: Json,
    /// Further files in the experiment's folder, by name.
    files: BTreeMap<FileName, String>,
    /// The names of the files in the pod.
    runtime: Runtime,
    /// KFLTK's names of files within its chart. They are not read.
    provided: Provided,
    /// Accepted for compatibility with the chart that KFLTK had in 2021, where it named a file within the image. It has no effect.
    configuration_file: String,
    /// One of KFLTK's values of 2021, for a file within its image. It is not read.
    experiment_file: String,
    /// KFLTK's name of 2021 for `fltk.pullPolicy`, which takes precedence.
    #[schemars(extend("enum" = ["", "Always", "IfNotPresent", "Never"]))]
    pull_policy: String,
    /// The rule by which jobs are admitted, instead of the experiment's.
    admission: Option<AdmissionConfig>,
    /// Additional options of `fltk cluster`.
    extra_args: Vec<String>,
    /// The name of the stream; the release and a digest if empty.
    #[schemars(regex(pattern = "^([A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)?$"))]
    id: String,
    /// The number of times that a failed pod is replaced.
    #[schemars(range(min = 0, max = 1000))]
    backoff_limit: u32,
    /// The time after which an ended Job is removed, in seconds; never if `null`.
    ttl_seconds_after_finished: Option<u32>,
    /// True if `helm uninstall` also removes the stream's jobs.
    remove_jobs_on_uninstall: bool,
    /// The service account of its pod.
    service_account: ServiceAccount,
    /// The permissions of the service account.
    rbac: Rbac,
    /// Metrics of the orchestrator.
    metrics: Metrics,
    /// The peers that may connect to it, and the ports to which it connects.
    network_policy: NetworkPolicy,
    /// Annotations of its pod.
    pod_annotations: BTreeMap<String, String>,
    /// Additional labels of its pod.
    pod_labels: BTreeMap<String, String>,
    /// Labels of nodes that it may run on.
    node_selector: BTreeMap<String, String>,
    /// Taints that it tolerates.
    tolerations: Vec<Toleration>,
    /// Affinity of its pod.
    affinity: Affinity,
    /// Priority class of its pod.
    priority_class_name: String,
    /// Security context of its pod.
    pod_security_context: PodSecurityContext,
    /// Security context of its container.
    security_context: SecurityContext,
}

/// The kind of object that the orchestrator runs as.
#[derive(Serialize, Deserialize, JsonSchema)]
enum Kind {
    /// A Job, which ends with the stream.
    Job,
    /// A Deployment, which serves metrics until it is uninstalled.
    Deployment,
}

/// The name of a file.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 253, "pattern" = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
struct FileName(String);

/// A path whose last part is the name of a file: KFLTK's users have written such paths.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 253, "pattern" = "^([A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
struct FilePath(String);

/// The names of the files in the pod.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Runtime {
    /// The name of KFLTK's cluster JSON.
    configuration_file: FilePath,
    /// The name of the experiment's file.
    experiment_file: FilePath,
}

/// KFLTK's names of files within its chart, which never existed. They are accepted so that KFLTK's values work unchanged.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Provided {
    /// A file's name. It is not read.
    configuration_file: String,
    /// A file's name. It is not read.
    experiment_file: String,
}

/// A service account.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceAccount {
    /// True if it is created.
    create: bool,
    /// The name of the account.
    name: String,
    /// Annotations of the account.
    annotations: BTreeMap<String, String>,
}

/// The permissions of the orchestrator.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rbac {
    /// True if they are created.
    create: bool,
    /// Permission to list the nodes and pods of the whole cluster.
    cluster: SeesCluster,
}

/// Permission to list the nodes and pods of the whole cluster.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SeesCluster {
    /// It is given if jobs are admitted by capacity.
    Auto,
    /// It is always given.
    Always,
    /// It is never given.
    Never,
}

/// Metrics.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Metrics {
    /// A ServiceMonitor for the Prometheus operator.
    service_monitor: ServiceMonitor,
}

/// A ServiceMonitor for the Prometheus operator.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceMonitor {
    /// True if it is created.
    enabled: bool,
    /// The time from one scrape of the metrics to the next.
    #[schemars(regex(pattern = "^([0-9]+(ms|s|m|h))+$"))]
    interval: String,
    /// Labels by which Prometheus finds it.
    labels: BTreeMap<String, String>,
}

/// The peers that may connect to it, and the ports to which it connects.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NetworkPolicy {
    /// True if connections are limited.
    enabled: bool,
    /// The peers that may read metrics; pods of the same namespace if empty.
    from: Vec<NetworkPolicyPeer>,
    /// Ports of the API server.
    #[schemars(length(min = 1))]
    api_server_ports: Vec<Port>,
    /// Ports of the DNS servers.
    #[schemars(length(min = 1))]
    dns_ports: Vec<Port>,
}
