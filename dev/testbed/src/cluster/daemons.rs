//! Starting the cluster's programs, and waiting for them.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{ADDRESS, Cluster, NODE, inside, started::Started, text};
use crate::sh;

/// The variable by which `down` recognizes the cluster's programs.
pub const MARK: &str = "FLTK_CLUSTER";

/// Settings of the whole machine that the kubelet changes, and that must be restored.
pub const SYSCTLS: [&str; 3] = ["vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops"];

/// True if the API server answers.
pub fn is_ready(cluster: &Cluster) -> bool {
    let mut command = cluster.kubectl();
    command.args(["--request-timeout=2s", "get", "--raw=/readyz"]).stderr(Stdio::null());
    sh::quiet_output(&mut command, Duration::from_secs(10)).is_ok_and(|text| text.trim() == "ok")
}

/// Starts all programs, and waits until the node is ready.
pub fn start(cluster: &Cluster) -> anyhow::Result<Started> {
    let state = text(&cluster.state)?;
    let pki = format!("{state}/pki");
    let admin = format!("{state}/admin.kubeconfig");
    let settings: Vec<String> = SYSCTLS
        .iter()
        .map(|name| Ok(format!("{name}={}", sh::quiet_output(Command::new("sysctl").args(["-n", name]), sh::LOOKUP_LIMIT)?.trim())))
        .collect::<anyhow::Result<_>>()?;
    fs::write(cluster.state.join("sysctls"), settings.join("\n"))?;
    let mut started = Started::default();
    let ours =
        |started: &mut Started, name: &str, arguments: &[String]| start_one(cluster, started, name, &cluster.bin.join(name), arguments);
    ours(
        &mut started,
        "etcd",
        &[
            format!("--data-dir={state}/etcd"),
            "--listen-client-urls=http://127.0.0.1:2379".into(),
            "--advertise-client-urls=http://127.0.0.1:2379".into(),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            // The data is thrown away when the cluster is stopped.
            "--unsafe-no-fsync".into(),
        ],
    )?;
    ours(
        &mut started,
        "kube-apiserver",
        &[
            "--etcd-servers=http://127.0.0.1:2379".into(),
            format!("--bind-address={ADDRESS}"),
            "--secure-port=6443".into(),
            format!("--advertise-address={ADDRESS}"),
            "--service-cluster-ip-range=10.96.0.0/24".into(),
            format!("--tls-cert-file={pki}/api.crt"),
            format!("--tls-private-key-file={pki}/api.key"),
            format!("--client-ca-file={pki}/ca.crt"),
            format!("--token-auth-file={pki}/tokens.csv"),
            "--authorization-mode=Node,RBAC".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-signing-key-file={pki}/accounts.key"),
            format!("--service-account-key-file={pki}/accounts.pub"),
            "--allow-privileged=true".into(),
            format!("--audit-policy-file={state}/audit.yaml"),
            format!("--audit-log-path={state}/log/audit.log"),
            "--kubelet-preferred-address-types=InternalIP".into(),
            format!("--kubelet-client-certificate={pki}/kubelet.crt"),
            format!("--kubelet-client-key={pki}/kubelet.key"),
        ],
    )?;
    start_one(
        cluster,
        &mut started,
        "containerd",
        Path::new("/usr/bin/containerd"),
        &["--config".into(), format!("{state}/containerd.toml")],
    )?;
    started.wait("the API server", || is_ready(cluster))?;
    ours(
        &mut started,
        "kube-controller-manager",
        &[
            format!("--kubeconfig={admin}"),
            format!("--authentication-kubeconfig={admin}"),
            format!("--authorization-kubeconfig={admin}"),
            "--bind-address=127.0.0.1".into(),
            "--leader-elect=false".into(),
            format!("--service-account-private-key-file={pki}/accounts.key"),
            format!("--root-ca-file={pki}/ca.crt"),
        ],
    )?;
    ours(
        &mut started,
        "kube-scheduler",
        &[format!("--kubeconfig={admin}"), "--bind-address=127.0.0.1".into(), "--leader-elect=false".into()],
    )?;
    ours(
        &mut started,
        "kubelet",
        &[
            format!("--config={state}/kubelet.yaml"),
            format!("--kubeconfig={state}/node.kubeconfig"),
            format!("--container-runtime-endpoint=unix://{state}/containerd.sock"),
            format!("--root-dir={state}/kubelet"),
            format!("--cert-dir={state}/kubelet/pki"),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={ADDRESS}"),
        ],
    )?;
    ours(&mut started, "kube-proxy", &["--config".into(), format!("{state}/proxy.yaml")])?;
    ours(&mut started, "coredns", &["-conf".into(), format!("{state}/Corefile")])?;
    started.wait("the node", || {
        let mut ready = cluster.kubectl();
        ready.args(["get", "node", NODE, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"]).stderr(Stdio::null());
        sh::quiet_output(&mut ready, Duration::from_secs(10)).is_ok_and(|text| text.trim() == "True")
    })?;
    Ok(started)
}

/// Starts a program in a separate session, so that Ctrl-C at the caller doesn't reach it; its output goes to a log.
pub fn start_one(cluster: &Cluster, started: &mut Started, name: &str, program: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = inside("setsid");
    command.arg(program).args(arguments).env(MARK, &cluster.state).current_dir(&cluster.state);
    started.start(name, &mut command, &cluster.state.join("log").join(format!("{name}.log")))
}
