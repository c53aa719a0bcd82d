//! Values that both charts read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Folders in pods, and when images are pulled.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fltk {
    /// Where pods see their folders.
    #[schemars(regex(pattern = "^/[A-Za-z0-9._~@+=/-]+$"))]
    work_dir: String,
    /// Folder of runs, within `workDir`.
    log_dir: FolderName,
    /// Folder of streams' journals, within `workDir`.
    output_dir: FolderName,
    /// Folder of what the orchestrator reads, within `workDir`.
    config_dir: FolderName,
    /// Folder of data sets, within `workDir`.
    data_dir: FolderName,
    /// When images are pulled; empty for Kubernetes' own default.
    #[schemars(extend("enum" = ["", "Always", "IfNotPresent", "Never"]))]
    pull_policy: String,
    /// KFLTK's of 2021. Not read.
    config: Json,
}

/// Where images are: `domain/projectName/name`, where an empty part is left out.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provider {
    /// The registry.
    domain: String,
    /// The project in it.
    project_name: String,
    /// Name and tag of what trains: the image of jobs.
    image_name: ImageName,
    /// Name and tag of what trains nothing; `imageName` when empty.
    orchestrator_image_name: ImageName,
    /// Name and tag of an image with TensorBoard; `fltk-tensorboard` with the tag of `imageName` when empty.
    #[serde(default)]
    tensorboard_image_name: ImageName,
    /// Names of secrets to pull images with.
    pull_secrets: Vec<String>,
    /// KFLTK's name of 2021 for `fltk.pullPolicy`.
    #[schemars(extend("enum" = ["", "Always", "IfNotPresent", "Never"]))]
    image_pull_policy: String,
}

/// Volumes that pods share.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Storage {
    /// Whether the extractor makes the claims.
    create: bool,
    /// Their names.
    claims: Claims,
    /// Their storage class; the cluster's default when empty.
    class: String,
    /// What the claims ask for.
    access_mode: AccessMode,
    /// Whether they stay when the release goes.
    keep: bool,
    /// A folder of the node, in place of a storage class.
    #[schemars(regex(pattern = "^(/[A-Za-z0-9._~@+=/-]+)?$"))]
    host_path: String,
    /// The node that has it: the value of its label `kubernetes.io/hostname`.
    node: String,
    /// A job that makes folders writable.
    prepare: Prepare,
}

/// Names of claims.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Claims {
    /// Runs and checkpoints.
    log: ClaimName,
    /// Streams' journals.
    server: ClaimName,
    /// Data sets.
    data: ClaimName,
}

/// A job, as root, that makes the folders of `hostPath` writable.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Prepare {
    /// Whether there is one.
    enabled: bool,
    /// An image with `chown`.
    image: String,
}

/// Who may mount a volume.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
enum AccessMode {
    /// All nodes.
    #[default]
    ReadWriteMany,
    /// One node, with all of its pods.
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

/// Begins the names of a chart's objects; the release's name and the chart's when empty.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxLength" = 43, "pattern" = "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"))]
pub struct ObjectName(String);

/// An amount of memory, storage or cores as Kubernetes writes it: `500m`, `2Gi`, `1`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("type" = ["string", "number"], "minimum" = 0, "pattern" = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"))]
pub struct Amount(String);

/// A port.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minimum" = 1, "maximum" = 65535))]
pub struct Port(u16);
