//! `cargo xtask cluster up|down|status`: a real Kubernetes of one node on this machine, for tests of the orchestrator.
//!
//! ```text
//! cluster/tools/*/go.mod ──go build──> <cache>/cluster/bin-<digest>/    etcd, kube-apiserver, ..., kwok, Kubeflow's operators
//!                                                   │
//! <cache>/cluster/state/   keys, configurations, logs, etcd's data      │ started in a network namespace of their own
//! ```
//!
//! Nothing of it is reachable from outside of the namespace. `down` finds what belongs to the cluster by a variable in its environment and by its
//! control groups, so that it also cleans up after a crash.

mod addons;
mod configuration;
mod daemons;
mod down;
mod groups;
mod host;
mod images;
mod keys;
mod kwok;
mod tools;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Subcommand;

use crate::{checkout::Checkout, lock};

/// The network namespace, the control group and the pods' network, which the whole machine sees: one cluster a machine.
const NAMESPACE: &str = "fltk-k8s";
/// Held while it is started or stopped, whichever checkout does.
const LOCK: &str = "/run/lock/fltk-k8s.lock";
/// Names the state folder of the cluster that there is: another checkout's is left alone.
const OWNER: &str = "/run/fltk-k8s.owner";
/// The node's address, and the API server's and the name server's.
const ADDRESS: &str = "10.89.0.1";
/// The real node.
const NODE: &str = "n0";

/// What can be done with the cluster.
#[derive(Subcommand)]
pub enum ClusterCommand {
    /// Build its parts once (about 11 minutes), start it (seconds), and install Kubeflow's operators (2 minutes).
    Up {
        /// Nodes that exist in name only (kwok), beside the real one.
        #[arg(long, default_value_t = 0, value_name = "N")]
        nodes: u32,
        /// Leave out Kubeflow's operators and JobSet.
        #[arg(long)]
        bare: bool,
    },
    /// Stop it and remove everything of it but the built parts; also after a crash.
    Down,
    /// Say whether it runs, and what is on it.
    Status,
}

/// A cluster's folders.
pub struct Cluster {
    /// Built programs and manifests.
    bin: PathBuf,
    /// Keys, configurations, data and logs of the one that runs.
    state: PathBuf,
}

impl Cluster {
    fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    /// `kubectl`, as the administrator, inside of the namespace.
    fn kubectl(&self) -> std::process::Command {
        let mut command = inside(self.bin.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }
}

/// Does what is asked.
pub fn run(checkout: &Checkout, command: &ClusterCommand) -> anyhow::Result<()> {
    let folder = checkout.cache.join("cluster");
    fs::create_dir_all(&folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    // As mounts have it: without links.
    let folder = folder.canonicalize()?;
    let _lock = lock::take(Path::new(LOCK), "starting or stopping the cluster")?;
    let state = folder.join("state");
    match command {
        ClusterCommand::Up { nodes, bare } => {
            host::prepare().map_err(anyhow::Error::msg)?;
            let cluster = Cluster { bin: tools::ensure(checkout, &folder)?, state };
            if down::is_alive(&cluster.state) {
                bail!("the cluster runs already, or a part of it\nhint: `cargo xtask cluster down` stops it");
            }
            // What a crash left.
            down::run(&cluster.state)?;
            fs::write(OWNER, text(&cluster.state)?).with_context(|| format!("can't write `{OWNER}`"))?;
            up(&cluster, *nodes, *bare).inspect_err(|_| {
                eprintln!("note: logs are in `{}`; `cargo xtask cluster down` cleans up", cluster.state.join("log").display());
            })?;
            eprintln!("the cluster runs. Inside of its network namespace:");
            eprintln!(
                "  {} {} --kubeconfig {} get pods -A",
                inside_text(),
                cluster.bin.join("kubectl").display(),
                cluster.kubeconfig().display()
            );
            Ok(())
        }
        ClusterCommand::Down => down::run(&state),
        ClusterCommand::Status if !down::is_alive(&state) => {
            println!("the cluster doesn't run");
            Ok(())
        }
        ClusterCommand::Status => status(&Cluster { bin: tools::ensure(checkout, &folder)?, state }),
    }
}

fn up(cluster: &Cluster, nodes: u32, bare: bool) -> anyhow::Result<()> {
    configuration::write(&cluster.state)?;
    keys::make(&cluster.state.join("pki"))?;
    host::make_namespace()?;
    groups::make()?;
    daemons::start(cluster)?;
    images::basic(cluster)?;
    if !bare {
        addons::install(cluster)?;
    }
    if nodes > 0 {
        kwok::start(cluster, nodes)?;
    }
    Ok(())
}

fn status(cluster: &Cluster) -> anyhow::Result<()> {
    if !daemons::is_ready(cluster) {
        println!("the cluster's API server doesn't answer; its logs are in `{}`", cluster.state.join("log").display());
        return Ok(());
    }
    crate::sh::run(cluster.kubectl().args(["get", "nodes"]), crate::sh::LOOKUP_LIMIT)?;
    crate::sh::run(cluster.kubectl().args(["get", "pods", "--all-namespaces"]), crate::sh::LOOKUP_LIMIT)
}

/// `program`, run inside of the cluster's network namespace. Not `ip netns exec`, which hides `/sys/fs/cgroup`.
fn inside(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    let mut command = std::process::Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{NAMESPACE}")).arg(program).stdin(std::process::Stdio::null());
    command
}

fn inside_text() -> String {
    format!("nsenter --net=/run/netns/{NAMESPACE}")
}

/// The text of a path that goes into configuration files.
fn text(path: &Path) -> anyhow::Result<&str> {
    let Some(text) = path.to_str().filter(|text| !text.contains(['"', '\\', '\n', ' '])) else {
        bail!("the cache folder `{}` can't be named in configuration files\nhint: set XDG_CACHE_HOME to another", path.display());
    };
    Ok(text)
}
