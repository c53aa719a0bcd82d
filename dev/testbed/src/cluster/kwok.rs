//! Nodes in name only (kwok): pods on them are reported as running, and as ended after a while.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};

use super::{Cluster, daemons, started::Started, text};
use crate::sh;

/// The time for which a pod of a PyTorchJob, or of a TrainJob's Job, is reported as running, in milliseconds.
const RUN_MILLIS: u32 = 2000;

/// Starts kwok and creates `nodes` nodes, tainted so that only pods that tolerate `kwok.x-k8s.io/node` land there. Waits until they are
/// ready.
pub fn start(cluster: &Cluster, started: &mut Started, nodes: u32) -> anyhow::Result<()> {
    let stages = cluster.bin.join("kwok-stages");
    let read = |path: &str| fs::read_to_string(stages.join(path)).with_context(|| format!("kwok has no `{path}`"));
    let complete = read("pod/fast/pod-complete.yaml")?;
    let stages = [
        read("node/fast/node-initialize.yaml")?,
        read("pod/fast/pod-ready.yaml")?,
        read("pod/fast/pod-delete.yaml")?,
        of_training(&complete)?,
    ];
    let file = cluster.state.join("kwok.yaml");
    fs::write(&file, stages.join("\n---\n"))?;
    let arguments = [
        format!("--kubeconfig={}", text(&cluster.kubeconfig())?),
        format!("--config={}", text(&file)?),
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
        "--manage-all-nodes=false".to_owned(),
    ];
    daemons::start_one(cluster, started, "kwok", &cluster.bin.join("kwok"), &arguments)?;
    add_nodes(cluster, nodes)?;
    started.wait("kwok's nodes", || num_ready(cluster).is_ok_and(|ready| ready >= nodes as usize))
}

/// Returns the number of kwok nodes that are ready.
fn num_ready(cluster: &Cluster) -> anyhow::Result<usize> {
    let mut list = cluster.kubectl();
    let template = "jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')].status}{' '}{end}";
    list.args(["get", "nodes", "--selector", "type=kwok", "--output", template]).stderr(Stdio::null());
    let text = sh::quiet_output(&mut list, Duration::from_secs(10))?;
    Ok(text.split_whitespace().filter(|status| *status == "True").count())
}

/// Creates the nodes that don't exist yet; kwok must be running.
pub fn add_nodes(cluster: &Cluster, nodes: u32) -> anyhow::Result<()> {
    let nodes: Vec<String> = (0..nodes).map(|number| node(&format!("kwok-{number}"), CORES)).collect();
    let manifest = cluster.state.join("kwok-nodes.yaml");
    fs::write(&manifest, nodes.join("---\n"))?;
    sh::run(cluster.kubectl().args(["apply", "--server-side", "--filename"]).arg(&manifest).stdout(Stdio::null()), sh::INSTALL_LIMIT)
}

/// Returns a node with `cores`.
pub fn node(name: &str, cores: u32) -> String {
    NODE.replace("{NAME}", name).replace("{CORES}", &cores.to_string())
}

/// Returns kwok's stage that completes pods of Jobs, extended to PyTorchJobs and with a delay.
fn of_training(stage: &str) -> anyhow::Result<String> {
    const OWNER: &str = "      - 'Job'\n";
    ensure!(stage.contains("name: pod-complete") && stage.contains(OWNER), "kwok's stage has changed");
    let delayed = format!("  delay:\n    durationMilliseconds: {RUN_MILLIS}\n  next:");
    let ours = stage.replace(OWNER, &format!("{OWNER}      - 'PyTorchJob'\n"));
    Ok(ours.replacen("  next:", &delayed, 1))
}

/// The cores of each kwok node.
const CORES: u32 = 32;

const NODE: &str = "apiVersion: v1
kind: Node
metadata:
  name: '{NAME}'
  annotations: {kwok.x-k8s.io/node: fake, node.alpha.kubernetes.io/ttl: '0'}
  labels: {type: kwok, kubernetes.io/hostname: '{NAME}', kubernetes.io/os: linux, kubernetes.io/arch: amd64}
spec:
  taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]
status:
  allocatable: {cpu: {CORES}, memory: 256Gi, pods: 110}
  capacity: {cpu: {CORES}, memory: 256Gi, pods: 110}
";
