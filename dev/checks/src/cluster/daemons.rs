//! The cluster's programs: started, and waited for.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{ADDRESS, Cluster, NODE, inside, text};
use crate::sh;

/// The variable by which `down` knows the cluster's programs.
pub const MARK: &str = "FLTK_CLUSTER";

/// For the API server, or the node, to become ready: seconds on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(250);

/// Settings of the whole machine that the kubelet changes, to be put back.
pub const SYSCTLS: [&str; 3] = ["vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops"];

/// Whether the API server answers.
pub fn is_ready(cluster: &Cluster) -> bool {
    let mut command = cluster.kubectl();
    command.args(["--request-timeout=2s", "get", "--raw=/readyz"]).stderr(Stdio::null());
    sh::quiet_output(&mut command, Duration::from_secs(10)).is_ok_and(|text| text.trim() == "ok")
}

/// Starts all of them, and waits until the node is ready.
pub fn start(cluster: &Cluster) -> anyhow::Result<()> {
    let state = text(&cluster.state)?;
    let pki = format!("{state}/pki");
    let admin = format!("{state}/admin.kubeconfig");
    let settings: Vec<String> = SYSCTLS
        .iter()
        .map(|name| Ok(format!("{name}={}", sh::quiet_output(Command::new("sysctl").args(["-n", name]), sh::LOOKUP_LIMIT)?.trim())))
        .collect::<anyhow::Result<_>>()?;
    fs::write(cluster.state.join("sysctls"), settings.join("\n"))?;
    let daemon = |name: &str, program: &Path, arguments: &[String]| start_one(cluster, name, program, arguments);
    let ours = |name: &str, arguments: &[String]| daemon(name, &cluster.bin.join(name), arguments);
    ours(
        "etcd",
        &[
            format!("--data-dir={state}/etcd"),
            "--listen-client-urls=http://127.0.0.1:2379".into(),
            "--advertise-client-urls=http://127.0.0.1:2379".into(),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            // It is thrown away when it is stopped.
            "--unsafe-no-fsync".into(),
        ],
    )?;
    ours(
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
    daemon("containerd", Path::new("/usr/bin/containerd"), &["--config".into(), format!("{state}/containerd.toml")])?;
    wait("the API server", || is_ready(cluster))?;
    ours(
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
    ours("kube-scheduler", &[format!("--kubeconfig={admin}"), "--bind-address=127.0.0.1".into(), "--leader-elect=false".into()])?;
    ours(
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
    ours("kube-proxy", &["--config".into(), format!("{state}/proxy.yaml")])?;
    ours("coredns", &["-conf".into(), format!("{state}/Corefile")])?;
    wait("the node", || {
        let mut ready = cluster.kubectl();
        ready.args(["get", "node", NODE, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"]).stderr(Stdio::null());
        sh::quiet_output(&mut ready, Duration::from_secs(10)).is_ok_and(|text| text.trim() == "True")
    })
}

/// In a session of its own, so that Ctrl-C of what started it doesn't reach it; its output goes to a log.
pub fn start_one(cluster: &Cluster, name: &str, program: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let log = File::create(cluster.state.join("log").join(format!("{name}.log")))?;
    let mut command = inside("setsid");
    command.arg("--fork").arg(program).args(arguments).env(MARK, &cluster.state).current_dir(&cluster.state);
    command.stdout(log.try_clone()?).stderr(log);
    let status = sh::start(&mut command)?.wait()?;
    if !status.success() {
        bail!("{name} can't be started: {status}");
    }
    Ok(())
}

fn wait(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    while !holds() {
        if Instant::now() >= deadline {
            bail!("{what} isn't ready after {} s", READY_LIMIT.as_secs());
        }
        thread::sleep(POLL);
    }
    Ok(())
}
