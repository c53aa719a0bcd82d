//! Kubeflow's training operator (PyTorchJob), JobSet, and Kubeflow Trainer v2 (TrainJob), as pods of the cluster.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};

use super::{
    Cluster, NODE,
    images::{self, copy_program},
    inside,
    started::Started,
};
use crate::{folder, page, sh};

/// The time limit of the guide's commands, which wait for a deployment.
const PAGE_LIMIT: Duration = Duration::from_secs(240);

/// The namespaces of the operators.
const NAMESPACES: [&str; 3] = ["kubeflow", "jobset-system", "kubeflow-system"];

/// The guide's page about the operators.
const PAGE: &str = include_str!("../../../../docs/guide/operators.md");

/// Installs all three, and waits until they are ready.
pub fn install(cluster: &Cluster, checkout: &Path, started: &mut Started) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    training_operator(cluster, work.path())?;
    as_the_guide_says(cluster, checkout, started)?;
    for (program, tag) in [("jobset", "v0.12.0"), ("trainer", "v2.3.0")] {
        let root = work.path().join(program);
        fs::create_dir(&root)?;
        copy_program(&cluster.bin.join(program), &root.join("manager"))?;
        images::import(cluster, &format!("localhost/{program}:{tag}"), &root, "/manager", "65532")?;
    }
    let jobset = kustomize(cluster, &cluster.bin.join("jobset-config/default"))?;
    cluster.apply(&with_image(&jobset, "/jobset:", "localhost/jobset:v0.12.0")?)?;
    // The overlay's own copy of JobSet would come from a registry.
    let overlay = work.path().join("trainer-manifests");
    folder::copy(&cluster.bin.join("trainer-manifests"), &overlay)?;
    let list = overlay.join("overlays/manager/kustomization.yaml");
    let text = fs::read_to_string(&list)?;
    fs::write(&list, text.lines().filter(|line| !line.contains("third-party/jobset")).fold(String::new(), |all, line| all + line + "\n"))?;
    let trainer = kustomize(cluster, &overlay.join("overlays/manager"))?;
    cluster.apply(&with_image(&trainer, "/trainer-controller-manager", "localhost/trainer:v2.3.0")?)?;
    // This doesn't use `rollout status`, which keeps waiting when a program of the cluster has ended.
    started.wait("an operator", || NAMESPACES.iter().all(|namespace| are_ready(cluster, namespace))).with_context(|| last_words(cluster))
}

/// True if every deployment in `namespace` has all of its pods.
fn are_ready(cluster: &Cluster, namespace: &str) -> bool {
    let mut list = cluster.kubectl();
    let template = r#"jsonpath={range .items[*]}{.spec.replicas} {.status.availableReplicas}{"\n"}{end}"#;
    list.args(["--namespace", namespace, "get", "deployments", "--output", template]).stderr(Stdio::null());
    let Ok(text) = sh::quiet_output(&mut list, Duration::from_secs(10)) else { return false };
    !text.is_empty() && text.lines().all(|line| line.split_once(' ').is_some_and(|(wanted, available)| wanted == available))
}

/// Returns the last log lines of each operator.
fn last_words(cluster: &Cluster) -> String {
    let ask = |namespace: &str, arguments: &[&str]| {
        let mut command = cluster.kubectl();
        command.args(["--namespace", namespace, "--request-timeout=2s"]).args(arguments).stderr(Stdio::null());
        sh::quiet_output(&mut command, Duration::from_secs(10)).unwrap_or_default()
    };
    let mut said = String::new();
    for namespace in NAMESPACES {
        for name in ask(namespace, &["get", "deployments", "--output", "name"]).lines() {
            said += &format!("\n{name}: {}", ask(namespace, &["logs", name, "--tail=1"]).trim());
        }
    }
    format!("the operators don't come; they said last:{said}")
}

fn training_operator(cluster: &Cluster, work: &Path) -> anyhow::Result<()> {
    const IMAGE: &str = "localhost/training-operator:v1.9.3";
    let root = work.join("operator");
    fs::create_dir(&root)?;
    copy_program(&cluster.bin.join("training-operator"), &root.join("manager"))?;
    images::import(cluster, IMAGE, &root, "/manager", "0")?;
    let manifests = kustomize(cluster, &cluster.bin.join("operator-manifests/overlays/standalone"))?;
    let arguments = "[--pytorch-init-container-image=localhost/busybox:1, --enable-scheme=pytorchjob, --kube-api-qps=500, --kube-api-burst=1000, --controller-threads=8]";
    let pinned = with_image(&manifests, "/training-operator", &format!("{IMAGE}\n        args: {arguments}"))?;
    // The operator must run whatever taints the node gets, and however many kwok nodes there are.
    let account = "      serviceAccountName: training-operator";
    ensure!(pinned.contains(account), "the training operator's manifest has changed");
    let pinned = pinned.replace(account, &format!("      nodeName: {NODE}\n      tolerations: [{{operator: Exists}}]\n{account}"));
    cluster.apply(&pinned)
}

/// Follows the guide's instructions for the training operator, using their very text: without them, a restricted namespace admits no pods of jobs with
/// more than one rank.
fn as_the_guide_says(cluster: &Cluster, checkout: &Path, started: &mut Started) -> anyhow::Result<()> {
    let blocks = page::blocks(PAGE)?;
    ensure!(!blocks.is_empty(), "the guide's page about operators has nothing to run");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = inside("bash");
    bash.args(["-c", &page::script("operators.md", &blocks)]).current_dir(checkout);
    bash.env("KUBECONFIG", cluster.kubeconfig()).env("PATH", format!("{}:{path}", cluster.bin.display())).stdout(Stdio::null());
    started.run(&mut bash, PAGE_LIMIT).with_context(|| last_words(cluster))
}

/// Returns `manifests` with the image whose name contains `part` replaced; the new image is never pulled.
fn with_image(manifests: &str, part: &str, image: &str) -> anyhow::Result<String> {
    let mut replaced = 0;
    let mut text = String::new();
    // Without a value, this is the name of a field in a schema.
    let is_policy = |line: &str| line.trim_start().strip_prefix("imagePullPolicy:").is_some_and(|value| !value.trim().is_empty());
    for line in manifests.lines().filter(|line| !is_policy(line)) {
        match line.split_once("image:") {
            Some((indent, name)) if name.contains(part) && indent.trim().is_empty() => {
                replaced += 1;
                text.push_str(&format!("{indent}image: {image}\n{indent}imagePullPolicy: Never\n"));
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    ensure!(replaced == 1, "{replaced} images with `{part}` in place of one: the manifest has changed");
    Ok(text)
}

fn kustomize(cluster: &Cluster, folder: &Path) -> anyhow::Result<String> {
    let mut command = cluster.kubectl();
    command.arg("kustomize").arg(folder).stderr(Stdio::null());
    sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_is_a_container_without_a_name() {
        let template = include_str!("../../../../docs/guide/init-container.yaml");
        let filled = template.replace("{{.InitContainerImage}}", "busybox").replace("{{.MasterAddr}}", "a").replace("{{.MaxTries}}", "9");
        let containers: serde_json::Value = serde_saphyr::from_str(&filled).unwrap();
        assert_eq!(containers[0]["command"][2], "for i in $(seq 9); do nslookup a | grep -q ^Name: && exit 0; sleep 1; done; exit 1");
    }

    #[test]
    fn exactly_one_image_is_replaced_and_never_pulled() {
        let manifest = "imagePullPolicy:\n  type: string\n      containers:\n      - name: m\n        image: ghcr.io/a/jobset:v1\n        imagePullPolicy: Always\n";
        let replaced = with_image(manifest, "/jobset:", "localhost/jobset:1").unwrap();
        assert_eq!(
            replaced,
            "imagePullPolicy:\n  type: string\n      containers:\n      - name: m\n        image: localhost/jobset:1\n        imagePullPolicy: Never\n"
        );
        assert!(with_image(manifest, "/other", "x").is_err());
    }
}
