//! Values of `charts/extractor` alone.

use std::collections::BTreeMap;

use fltk_core::experiment::DatasetName;
use k8s_openapi::api::{
    core::v1::{Affinity, EnvVar, PodSecurityContext, ResourceRequirements, SecurityContext, Toleration},
    networking::v1::NetworkPolicyPeer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::shared::{Amount, ObjectName, Port};

/// The extractor.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Extractor {
    /// Name of its objects; `<release>-extractor` when empty.
    name: ObjectName,
    /// The claim of runs.
    logging: Volume,
    /// The claim of streams' journals.
    output: Volume,
    /// The claim of data sets.
    data: Data,
    /// KFLTK's of 2021. Not read.
    dataset: Json,
    /// `fltk serve`.
    serve: Serve,
    /// TensorBoard.
    tensorboard: Tensorboard,
    /// How both are reached within the cluster.
    service: Service,
    /// How they are reached from outside.
    ingress: Ingress,
    /// Who may connect.
    network_policy: NetworkPolicy,
    /// Annotations of pods.
    pod_annotations: BTreeMap<String, String>,
    /// More labels of pods.
    pod_labels: BTreeMap<String, String>,
    /// Labels of nodes that pods may run on.
    node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate.
    tolerations: Vec<Toleration>,
    /// Which nodes and neighbors pods want.
    affinity: Affinity,
    /// Priority class of pods.
    priority_class_name: String,
    /// Security context of pods.
    pod_security_context: PodSecurityContext,
    /// Security context of containers.
    security_context: SecurityContext,
}

/// A claim.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Volume {
    /// What it asks for.
    size: Amount,
}

/// The claim of data sets.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Data {
    /// What it asks for.
    size: Amount,
    /// Data sets that are fetched onto it; there is no such claim when empty.
    sets: Vec<DatasetName>,
    /// For one attempt of five, in seconds.
    #[schemars(range(min = 1))]
    active_deadline_seconds: u32,
    /// Variables of the job's environment, such as `HTTPS_PROXY`.
    env: Vec<EnvVar>,
    /// Whose certificates of web servers the job trusts, in place of the image's.
    certificates: Certificates,
    /// What the job asks for.
    resources: ResourceRequirements,
}

/// Certificates in a config map.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Certificates {
    /// The config map; none when empty.
    config_map_name: String,
    /// Its key.
    #[schemars(extend("maxLength" = 253, "pattern" = "^[-._a-zA-Z0-9]+$"))]
    key: String,
}

/// `fltk serve`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Serve {
    /// Whether it runs.
    enabled: bool,
    /// What requests must show.
    token: Token,
    /// More names that it may be asked by, where it wants no token.
    hosts: Vec<HostName>,
    /// What its container asks for.
    resources: ResourceRequirements,
}

/// The name of a host.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 253, "pattern" = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"))]
struct HostName(String);

/// A token in a secret.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Token {
    /// The secret; none when empty.
    secret_name: String,
    /// Its key.
    #[schemars(length(min = 1))]
    key: String,
}

/// TensorBoard.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tensorboard {
    /// Whether it runs.
    enabled: bool,
    /// The program.
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// Before all its pages.
    #[schemars(regex(pattern = "^(/.*)?$"))]
    path_prefix: String,
    /// More options of it.
    extra_args: Vec<String>,
    /// What its container asks for.
    resources: ResourceRequirements,
}

/// A service.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Service {
    /// How far it reaches.
    r#type: ServiceType,
    /// Whether everybody who reaches it from outside of the cluster may see everything.
    allow_anonymous: bool,
    /// Port of `fltk serve`.
    serve_port: Port,
    /// Port of TensorBoard.
    tensorboard_port: Port,
    /// Annotations.
    annotations: BTreeMap<String, String>,
}

/// How far a service reaches.
#[derive(Serialize, Deserialize, JsonSchema)]
enum ServiceType {
    /// The cluster.
    ClusterIP,
    /// A port of every node.
    NodePort,
    /// What the cluster's provider has for it.
    LoadBalancer,
}

/// An ingress.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Ingress {
    /// Whether there is one.
    enabled: bool,
    /// Its class; the cluster's default when empty.
    class_name: String,
    /// The host.
    host: String,
    /// Where on that host.
    paths: Paths,
    /// Its certificate.
    tls: Tls,
    /// Annotations.
    annotations: BTreeMap<String, String>,
    /// Annotations that make the controller ask who it is, where nobody else does.
    auth: BTreeMap<String, String>,
    /// Whether everybody who reaches the host may see everything.
    allow_anonymous: bool,
}

/// Where on the host.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Paths {
    /// `fltk serve`.
    #[schemars(regex(pattern = "^(/|(/[A-Za-z0-9._~-]+)+/?)$"))]
    serve: String,
    /// TensorBoard.
    #[schemars(regex(pattern = "^(/|(/[A-Za-z0-9._~-]+)+/?)$"))]
    tensorboard: String,
}

/// A certificate.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tls {
    /// The secret with it; no TLS when empty.
    secret_name: String,
}

/// Who may connect.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NetworkPolicy {
    /// Whether that is limited.
    enabled: bool,
    /// To whom; pods of the same namespace when empty.
    from: Vec<NetworkPolicyPeer>,
    /// Where name servers listen.
    #[schemars(length(min = 1))]
    dns_ports: Vec<Port>,
    /// Where web servers that data sets are on listen, or the proxy before them.
    #[schemars(length(min = 1))]
    fetch_ports: Vec<Port>,
}
