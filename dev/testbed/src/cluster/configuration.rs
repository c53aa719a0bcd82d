//! The configuration files of the cluster's programs.

use std::{fs, path::Path};

use super::{
    ADDRESS, NAMESPACE, NODE,
    keys::{ADMIN_TOKEN, NODE_TOKEN},
    text,
};

/// Writes all files below `state`.
pub fn write(state: &Path) -> anyhow::Result<()> {
    for folder in ["pki", "log", "cni"] {
        fs::create_dir_all(state.join(folder))?;
    }
    let place = text(state)?;
    let fill = |template: &str| {
        template.replace("{STATE}", place).replace("{ADDRESS}", ADDRESS).replace("{NODE}", NODE).replace("{GROUP}", NAMESPACE)
    };
    let files = [
        ("admin.kubeconfig", KUBECONFIG.replace("{TOKEN}", ADMIN_TOKEN)),
        ("node.kubeconfig", KUBECONFIG.replace("{TOKEN}", NODE_TOKEN)),
        ("cni/10-bridge.conflist", CNI.to_owned()),
        ("containerd.toml", CONTAINERD.to_owned()),
        ("kubelet.yaml", KUBELET.to_owned()),
        ("proxy.yaml", PROXY.to_owned()),
        ("Corefile", COREFILE.to_owned()),
        ("audit.yaml", AUDIT.to_owned()),
    ];
    for (name, template) in files {
        fs::write(state.join(name), fill(&template))?;
    }
    Ok(())
}

const KUBECONFIG: &str = r#"apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: {TOKEN}}}]
clusters: [{name: c, cluster: {server: "https://{ADDRESS}:6443", certificate-authority: {STATE}/pki/ca.crt}}]
"#;

const CNI: &str = r#"{"cniVersion": "0.4.0", "name": "{GROUP}", "plugins": [
  {"type": "bridge", "bridge": "k8sbr0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "{STATE}/ipam", "ranges": [[{"subnet": "10.89.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
"#;

// Not every machine allows lowering the OOM score of a container.
const CONTAINERD: &str = r#"version = 2
root = "{STATE}/containerd/root"
state = "{STATE}/containerd/state"
oom_score = 0
[grpc]
  address = "{STATE}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "/usr/sbin/runc"
        Root = "{STATE}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{STATE}/cni"
"#;

// Some machines have only control groups of version 1: newer kubelets refuse these unless they are told to accept them.
const KUBELET: &str = r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: {STATE}/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
address: {ADDRESS}
readOnlyPort: 0
cgroupDriver: cgroupfs
cgroupRoot: /{GROUP}
podLogsDir: {STATE}/pod-logs
failSwapOn: false
failCgroupV1: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
enforceNodeAllocatable: []
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 5s
syncFrequency: 5s
clusterDomain: cluster.local
clusterDNS: [{ADDRESS}]
resolvConf: ""
"#;

const PROXY: &str = r#"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: 10.89.0.0/16
clientConnection: {kubeconfig: {STATE}/admin.kubeconfig}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, min: 0}
hostnameOverride: {NODE}
"#;

// The log shows the rights that programs use, to compare with those that they have, and how often each job was created. The operators'
// requests would fill it.
const AUDIT: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: None
    userGroups: ["system:serviceaccounts:kube-system", "system:serviceaccounts:kubeflow", "system:serviceaccounts:kubeflow-system", "system:serviceaccounts:jobset-system"]
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: Metadata
    verbs: [create]
    resources: [{ group: kubeflow.org, resources: [pytorchjobs] }, { group: trainer.kubeflow.org, resources: [trainjobs] }]
  - level: None
"#;

const COREFILE: &str = r#".:53 {
  bind {ADDRESS}
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig {STATE}/admin.kubeconfig c
    ttl 5
  }
  cache 5
}
"#;
