//! Values that both charts read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Folders in pods, and the image pull policy.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fltk {
    /// The working folder in pods.
    #[schemars(regex(pattern = "^/[A-Za-z0-9._~@+=/-]+$"))]
    work_dir: String,
    /// Folder of runs, within `workDir`.
    log_dir: FolderName,
    /// Folder of streams' journals, within `workDir`.
    output_dir: FolderName,
    /// Folder of the orchestrator's input files, within `workDir`.
    config_dir: FolderName,
    /// Folder of data sets, within `workDir`.
    data_dir: FolderName,
    /// The image pull policy; Kubernetes' own default if empty.
    #[schemars(extend("enum" = ["", "Always", "IfNotPresent", "Never"]))]
    pull_policy: String,
    /// The messages of our programs.
    log: Log,
    /// One of KFLTK's values of 2021. It is not read.
    config: Json,
}

/// The messages that our programs write to standard error, which is a pod's log.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Log {
    /// The level, or levels by module; that of information if empty.
    level: String,
    /// The format: lines for people, also if empty, or one JSON object per line.
    #[schemars(extend("enum" = ["", "text", "json"]))]
    format: String,
}

/// The images: each is `domain/projectName/name`, where an empty part is left out.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provider {
    /// The registry.
    domain: String,
    /// The project in it.
    project_name: String,
    /// Name and tag of the image of jobs, which trains.
    image_name: ImageName,
    /// Name and tag of the image of programs that don't train; `imageName` if empty.
    orchestrator_image_name: ImageName,
    /// Name and tag of an image with TensorBoard; `fltk-tensorboard` with the tag of `imageName` if empty.
    #[serde(default)]
    tensorboard_image_name: ImageName,
    /// Names of the image pull secrets.
    pull_secrets: Vec<String>,
    /// KFLTK's name of 2021 for `fltk.pullPolicy`, which takes precedence.
    #[schemars(extend("enum" = ["", "Always", "IfNotPresent", "Never"]))]
    image_pull_policy: String,
}

/// The volumes that pods share.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Storage {
    /// True if the extractor's chart creates the claims.
    create: bool,
    /// Names of the claims.
    claims: Claims,
    /// Storage class of the claims; the cluster's default if empty.
    class: String,
    /// Access mode of the claims.
    access_mode: AccessMode,
    /// True if `helm uninstall` keeps the claims.
    keep: bool,
    /// A folder of the node, instead of a storage class.
    #[schemars(regex(pattern = "^(/[A-Za-z0-9._~@+=/-]+)?$"))]
    host_path: String,
    /// The node that has the folder: the value of its label `kubernetes.io/hostname`.
    node: String,
    /// A job that makes the folders of `hostPath` writable.
    prepare: Prepare,
}

/// Names of claims.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Claims {
    /// The claim of runs and checkpoints.
    log: ClaimName,
    /// The claim of streams' journals.
    server: ClaimName,
    /// The claim of data sets.
    data: ClaimName,
}

/// A job that runs as root and makes the folders of `hostPath` writable.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Prepare {
    /// True if the job is created.
    enabled: bool,
    /// An image with `chown`.
    image: String,
}

/// Access mode of a volume.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
enum AccessMode {
    /// Pods on all nodes may mount it.
    #[default]
    ReadWriteMany,
    /// Pods on one node may mount it.
    ReadWriteOnce,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            create: true,
            claims: Claims::default(),
            class: String::new(),
            access_mode: AccessMode::default(),
            keep: true,
            host_path: String::new(),
            node: String::new(),
            prepare: Prepare::default(),
        }
    }
}

/// A folder within another.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("pattern" = "^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"))]
struct FolderName(String);

/// Name and tag of an image.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("pattern" = "^[^ ]*$"))]
struct ImageName(String);

/// Name of a claim.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 63, "pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
struct ClaimName(String);

/// The prefix of the names of a chart's objects; the release's name and the chart's if empty.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 43, "pattern" = "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"))]
pub struct ObjectName(String);

/// An amount of memory, storage or cores in Kubernetes' notation: `500m`, `2Gi`, `1`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("type" = ["string", "number"], "minimum" = 0, "pattern" = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"))]
pub struct Amount(String);

/// A port.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minimum" = 1, "maximum" = 65535))]
pub struct Port(u16);
