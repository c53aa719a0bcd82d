//! A volume that all pods in a namespace share, for tests: trained jobs log there. On a real cluster, an administrator provides one.
//!
//! The volume is a folder of this machine, where the files that pods wrote can be read. It isn't tied to the real node, so that pods that claim it
//! may also land on kwok nodes.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;

use super::{Cluster, text};
use crate::{image, sh};

/// The name of the claim, in every namespace.
pub const CLAIM: &str = "fl-log-claim";

/// The largest length of a Kubernetes name that is also a DNS label.
const LABEL_MAX: usize = 63;

/// Parses the name of a namespace, which is also the name of a folder here.
pub fn namespace(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label =
        name.len() <= LABEL_MAX && name.chars().all(|c| is_plain(c) || c == '-') && name.starts_with(is_plain) && name.ends_with(is_plain);
    if is_label { Ok(name.to_owned()) } else { Err("a namespace is of lower-case letters, digits and `-` between".to_owned()) }
}

/// Creates `namespace`, if it doesn't exist, and in it [`CLAIM`], which pods may mount to write as our image's user. Returns the volume's folder,
/// which is empty if the claim is new, and is removed with the cluster.
pub fn claim(cluster: &Cluster, namespace: &str) -> anyhow::Result<PathBuf> {
    let folder = cluster.state.join("volumes").join(namespace);
    let volume = format!("fl-log-{namespace}");
    let mut phase = cluster.kubectl();
    phase.args(["--namespace", namespace, "get", "persistentvolumeclaim", CLAIM, "--ignore-not-found", "-o", "jsonpath={.status.phase}"]);
    if sh::quiet_output(&mut phase, sh::LOOKUP_LIMIT)? == "Bound" {
        return Ok(folder);
    }
    // The volume may be left from a deleted namespace, and a volume can be bound only once.
    let mut delete = cluster.kubectl();
    delete.args(["delete", "persistentvolume", &volume, "--ignore-not-found", "--timeout=30s"]).stdout(Stdio::null());
    sh::run(&mut delete, sh::LOOKUP_LIMIT)?;
    self::folder(&folder)?;
    let manifests = MANIFESTS.replace("{NAMESPACE}", namespace).replace("{VOLUME}", &volume).replace("{FOLDER}", text(&folder)?);
    cluster.apply(&manifests.replace("{CLAIM}", CLAIM))?;
    let mut bound = cluster.kubectl();
    bound.args(["--namespace", namespace, "wait", "--for=jsonpath={.status.phase}=Bound", "--timeout=50s", "persistentvolumeclaim", CLAIM]);
    sh::run(bound.stdout(Stdio::null()), sh::LOOKUP_LIMIT)?;
    Ok(folder)
}

/// Makes `folder` an empty volume for pods that run as our image's user.
pub fn folder(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("can't empty `{}`", folder.display()))?;
    }
    fs::create_dir_all(folder)?;
    // Kubernetes doesn't change the owner of such a volume, whatever `fsGroup` a pod has.
    chown(folder, Some(image::USER), Some(image::USER))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o770))?;
    Ok(())
}

const MANIFESTS: &str = "apiVersion: v1
kind: Namespace
metadata: {name: '{NAMESPACE}'}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: {VOLUME}}
spec:
  storageClassName: {VOLUME}
  accessModes: [ReadWriteMany]
  capacity: {storage: 10Gi}
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: '{NAMESPACE}', name: {CLAIM}}
  hostPath: {path: '{FOLDER}', type: Directory}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: {CLAIM}, namespace: '{NAMESPACE}'}
spec:
  storageClassName: {VOLUME}
  volumeName: {VOLUME}
  accessModes: [ReadWriteMany]
  resources: {requests: {storage: 10Gi}}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_labels_and_not_paths() {
        for name in ["test", "image-test", "a1"] {
            assert_eq!(namespace(name).unwrap(), name);
        }
        for name in ["", ".", "..", "a/b", "-a", "a-", "Test", "a b", "a.b", &"a".repeat(64)] {
            assert!(namespace(name).is_err(), "{name}");
        }
    }
}
