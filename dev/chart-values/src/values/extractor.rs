//! Values of `charts/extractor` alone.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{Affinity, EnvVar, PodSecurityContext, ResourceRequirements, SecurityContext, Toleration},
    networking::v1::NetworkPolicyPeer,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::shared::{Amount, ObjectName, Port};

/// The extractor.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Extractor {
    /// The name of the extractor's objects; `<release>-extractor` if empty.
    name: ObjectName,
    /// The claim of runs.
    logging: Volume,
    /// The claim of streams' journals.
    output: Volume,
    /// The claim of data sets.
    data: Data,
    /// One of KFLTK's values of 2021. It is not read.
    dataset: Json,
    /// `fltk serve`.
    serve: Serve,
    /// TensorBoard.
    tensorboard: Tensorboard,
    /// The Service of both programs.
    service: Service,
    /// The Ingresses of the programs, for access from outside of the cluster.
    ingress: Ingress,
    /// The peers that may connect.
    network_policy: NetworkPolicy,
    /// Annotations of pods.
    pod_annotations: BTreeMap<String, String>,
    /// Additional labels of pods.
    pod_labels: BTreeMap<String, String>,
    /// Labels of nodes that pods may run on.
    node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate.
    tolerations: Vec<Toleration>,
    /// Affinity of pods.
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
    /// The size that the claim requests.
    size: Amount,
}

/// The claim of data sets.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Data {
    /// The size that the claim requests.
    size: Amount,
    /// Data sets that a job fetches onto the claim; if empty, there is no such claim.
    #[schemars(schema_with = "names_of_data_sets")]
    sets: Vec<String>,
    /// The deadline of one attempt, in seconds; there are five attempts.
    #[schemars(range(min = 1))]
    active_deadline_seconds: u32,
    /// Environment variables of the job, such as `HTTPS_PROXY`.
    env: Vec<EnvVar>,
    /// The certificate authorities that the job trusts, instead of the image's.
    certificates: Certificates,
    /// Resources of the job's container.
    resources: ResourceRequirements,
}

fn names_of_data_sets(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> =
        fltk_catalogue::catalogues().datasets.iter().filter(|dataset| dataset.has_files).map(|dataset| dataset.entry.name).collect();
    json_schema!({ "type": "array", "items": { "type": "string", "enum": names } })
}

/// Certificates in a config map.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Certificates {
    /// The name of the config map; none if empty.
    config_map_name: String,
    /// The key of the certificates in the config map.
    #[schemars(extend("maxLength" = 253, "pattern" = "^[-._a-zA-Z0-9]+$"))]
    key: String,
}

/// `fltk serve`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Serve {
    /// True if it runs.
    enabled: bool,
    /// The token that requests must have.
    token: Token,
    /// Additional host names that requests may use if there is no token.
    hosts: Vec<HostName>,
    /// Resources of its container.
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
    /// The name of the secret; no token is required if empty.
    secret_name: String,
    /// The key of the token in the secret.
    #[schemars(length(min = 1))]
    key: String,
}

/// TensorBoard.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tensorboard {
    /// True if it runs.
    enabled: bool,
    /// The command that starts it.
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// The prefix of the paths of all its pages.
    #[schemars(regex(pattern = "^(/.*)?$"))]
    path_prefix: String,
    /// Additional options of it.
    extra_args: Vec<String>,
    /// Resources of its container.
    resources: ResourceRequirements,
}

/// A service.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Service {
    /// The type of the Service.
    r#type: ServiceType,
    /// True if everybody who can reach it from outside of the cluster may see everything.
    allow_anonymous: bool,
    /// Port of `fltk serve`.
    serve_port: Port,
    /// Port of TensorBoard.
    tensorboard_port: Port,
    /// Annotations of the Service.
    annotations: BTreeMap<String, String>,
}

/// The type of a Service.
#[derive(Serialize, Deserialize, JsonSchema)]
enum ServiceType {
    /// It can be reached only within the cluster.
    ClusterIP,
    /// It can be reached at a port of every node.
    NodePort,
    /// It can be reached through a load balancer of the cluster's provider.
    LoadBalancer,
}

/// An ingress.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Ingress {
    /// True if it is created.
    enabled: bool,
    /// The Ingress class; the cluster's default if empty.
    class_name: String,
    /// The host name.
    host: String,
    /// The paths on that host.
    paths: Paths,
    /// The certificate.
    tls: Tls,
    /// Annotations of the Ingress.
    annotations: BTreeMap<String, String>,
    /// Annotations that make the controller authenticate users of programs that don't do it themselves.
    auth: BTreeMap<String, String>,
    /// True if everybody who can reach the host may see everything.
    allow_anonymous: bool,
}

/// The paths on the host.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Paths {
    /// The path of `fltk serve`.
    #[schemars(regex(pattern = "^(/|(/[A-Za-z0-9._~-]+)+/?)$"))]
    serve: String,
    /// The path of TensorBoard.
    #[schemars(regex(pattern = "^(/|(/[A-Za-z0-9._~-]+)+/?)$"))]
    tensorboard: String,
}

/// A certificate.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tls {
    /// The name of the secret with the certificate; no TLS if empty.
    secret_name: String,
}

/// The peers that may connect.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NetworkPolicy {
    /// True if connections are limited.
    enabled: bool,
    /// The peers that may connect; pods of the same namespace if empty.
    from: Vec<NetworkPolicyPeer>,
    /// Ports of the DNS servers.
    #[schemars(length(min = 1))]
    dns_ports: Vec<Port>,
    /// Ports of the web servers from which data sets are fetched, or of the proxy.
    #[schemars(length(min = 1))]
    fetch_ports: Vec<Port>,
}
