//! `cargo xtask cluster up|down|status|load|claim`: a real Kubernetes of one node on this machine, for tests of the orchestrator.
//!
//! ```text
//! cluster/tools/*/go.mod ──go build──> <cache>/cluster/bin-<digest>/    etcd, kube-apiserver, ..., kwok, Kubeflow's operators
//!                                                   │
//! <cache>/cluster/state/   keys, configurations, logs, etcd's data      │ started in a network namespace of their own
//! ```
//!
//! Nothing in it can be reached from outside the namespace. `down` finds what belongs to the cluster by a variable in the environment of
//! processes and by the cluster's control groups, so it also cleans up after a crash.

mod addons;
mod audit;
mod configuration;
mod daemons;
mod down;
mod equipment;
mod for_tests;
mod groups;
mod host;
mod images;
mod keys;
mod kwok;
mod load;
mod started;
mod tools;
mod volumes;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;

use self::{equipment::Equipment, tools::Part};
use crate::{
    checkout::Checkout,
    image::{self, Kind},
    lock, sh,
};

pub use self::{
    audit::Right,
    for_tests::{TestCluster, can_run},
    host::is_go_there,
    tools::{Helm, Kubernetes},
};

/// The name of the network namespace, the control group and the pods' network, which are visible on the whole machine: there is one cluster
/// per machine.
const NAMESPACE: &str = "fltk-k8s";
/// The lock that is held while the cluster is started or stopped, from any checkout.
const LOCK: &str = "/run/lock/fltk-k8s.lock";
/// The file with the path of the existing cluster's state folder, so that another checkout's cluster is left alone.
const OWNER: &str = "/run/fltk-k8s.owner";
/// The address of the node, the API server and the name server.
const ADDRESS: &str = "10.89.0.1";
/// The name of the real node.
pub const NODE: &str = "n0";

/// The commands for the cluster.
#[derive(Subcommand)]
pub enum ClusterCommand {
    /// Build what the cluster needs, once (12 to 14 minutes of one processor), start it (seconds), and install Kubeflow's operators (2 minutes).
    Up {
        /// The number of simulated nodes (kwok), in addition to the real one.
        #[arg(long, default_value_t = 0, value_name = "N")]
        nodes: u32,
        /// Don't install Kubeflow's operators and JobSet.
        #[arg(long)]
        bare: bool,
        /// The version of Kubernetes. The tests use the newest by default.
        #[arg(long, value_enum, default_value = "1.37", value_name = "VERSION")]
        kubernetes: Kubernetes,
    },
    /// Stop the cluster and remove everything that belongs to it except the built programs; this also works after a crash.
    Down,
    /// Print whether the cluster is running, and what is on it.
    Status,
    /// Build one of our images, as `cargo xtask image` does, and import it into the cluster under its default name.
    Load {
        /// The image.
        #[arg(value_enum, default_value = "training")]
        kind: Kind,
        /// Use this program instead of a release build of this checkout.
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,
    },
    /// Create a namespace, if it doesn't exist, with a volume that all its pods can write to: the claim `fl-log-claim`.
    Claim {
        /// The namespace.
        #[arg(value_parser = volumes::namespace)]
        namespace: String,
    },
}

/// A cluster's folders.
pub struct Cluster {
    /// The folder of built programs and manifests.
    bin: PathBuf,
    /// The folder with keys, configurations, data and logs of the running cluster.
    state: PathBuf,
}

impl Cluster {
    /// Returns the path of the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    /// Returns a `kubectl` command as the administrator, inside the network namespace.
    pub fn kubectl(&self) -> std::process::Command {
        let mut command = inside(self.bin.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }

    fn apply(&self, manifests: &str) -> anyhow::Result<()> {
        let work = tempfile::tempdir()?;
        let file = work.path().join("manifests.yaml");
        fs::write(&file, manifests)?;
        let mut command = self.kubectl();
        command.args(["apply", "--server-side", "--filename"]).arg(&file).stdout(Stdio::null());
        sh::run(&mut command, sh::LOOKUP_LIMIT).context("the manifests can't be applied")
    }
}

/// Runs `command`.
pub fn run(checkout: &Checkout, command: &ClusterCommand) -> anyhow::Result<()> {
    let folder = folder(checkout)?;
    let state = folder.join("state");
    let lock = || lock::take(Path::new(LOCK), "starting, stopping or changing the cluster");
    match command {
        ClusterCommand::Up { nodes, bare, kubernetes } => {
            start(checkout, &Equipment { nodes: *nodes, bare: *bare, for_tests: false, kubernetes: *kubernetes })
        }
        ClusterCommand::Down => {
            let _lock = lock()?;
            down::run(&state)
        }
        ClusterCommand::Status if !down::is_alive(&state) => {
            println!("the cluster doesn't run");
            Ok(())
        }
        ClusterCommand::Status => {
            let _lock = lock()?;
            status(&Cluster { bin: tools::ensure(checkout, &folder, kubernetes(&state), &[Part::Kubernetes])?, state })
        }
        ClusterCommand::Load { kind, program } => {
            let cluster = running(checkout, &folder)?;
            let program = image::program(checkout, *kind, program.as_deref())?;
            // The lock is taken only here, since building may take minutes.
            let _lock = lock()?;
            load::run(checkout, &cluster, *kind, program.as_deref())
        }
        ClusterCommand::Claim { namespace } => {
            let _lock = lock()?;
            let volume = volumes::claim(&running(checkout, &folder)?, namespace)?;
            println!("`{}` of namespace `{namespace}` is `{}`", volumes::CLAIM, volume.display());
            Ok(())
        }
    }
}

/// Starts a cluster if there is none.
fn start(checkout: &Checkout, equipment: &Equipment) -> anyhow::Result<()> {
    let _lock = lock::take(Path::new(LOCK), "starting, stopping or changing the cluster")?;
    let folder = folder(checkout)?;
    host::prepare().map_err(anyhow::Error::msg)?;
    let bin = tools::ensure(checkout, &folder, equipment.kubernetes, &parts(equipment.nodes, equipment.bare))?;
    let cluster = Cluster { bin, state: folder.join("state") };
    if down::is_alive(&cluster.state) {
        bail!("the cluster runs already, or a part of it\nhint: `cargo xtask cluster down` stops it");
    }
    // This removes the remains of a crash.
    down::run(&cluster.state)?;
    fs::write(OWNER, text(&cluster.state)?).with_context(|| format!("can't write `{OWNER}`"))?;
    equipment.begin(&cluster.state)?;
    up(checkout, &cluster, equipment.nodes, equipment.bare).inspect_err(|_| {
        eprintln!("note: logs are in `{}`; `cargo xtask cluster down` cleans up", cluster.state.join("log").display());
    })?;
    equipment.end(&cluster.state)?;
    eprintln!("the cluster runs. Inside of its network namespace:");
    eprintln!("  {} {} --kubeconfig {} get pods -A", inside_text(), cluster.bin.join("kubectl").display(), cluster.kubeconfig().display());
    Ok(())
}

/// Builds everything that a cluster may consist of, if it isn't there.
pub fn build(checkout: &Checkout) -> anyhow::Result<()> {
    let all = [Part::Kubernetes, Part::Operators, Part::Kwok, Part::Helm];
    tools::ensure(checkout, &folder(checkout)?, Kubernetes::default(), &all).map(drop)
}

/// Returns the program of a Helm version.
pub fn helm(checkout: &Checkout, helm: Helm) -> anyhow::Result<PathBuf> {
    Ok(tools::ensure(checkout, &folder(checkout)?, Kubernetes::default(), &[Part::Helm])?.join(helm.program()))
}

/// Works with the running cluster, or else with one that exists only for this work.
pub fn with<T>(checkout: &Checkout, work: impl FnOnce(&Cluster) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let folder = folder(checkout)?;
    let runs_already = down::is_alive(&folder.join("state"));
    if !runs_already {
        run(checkout, &ClusterCommand::Up { nodes: 0, bare: false, kubernetes: Kubernetes::default() })?;
    }
    let outcome = running(checkout, &folder).and_then(|cluster| work(&cluster));
    if !runs_already {
        run(checkout, &ClusterCommand::Down)?;
    }
    outcome
}

fn folder(checkout: &Checkout) -> anyhow::Result<PathBuf> {
    let folder = checkout.cache.join("cluster");
    fs::create_dir_all(&folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    // Mounts use the path without links.
    Ok(folder.canonicalize()?)
}

/// Returns the cluster, if it runs.
fn running(checkout: &Checkout, folder: &Path) -> anyhow::Result<Cluster> {
    let state = folder.join("state");
    if !down::is_alive(&state) {
        bail!("the cluster doesn't run\nhint: `cargo xtask cluster up` starts it");
    }
    Ok(Cluster { bin: tools::ensure(checkout, folder, kubernetes(&state), &[Part::Kubernetes])?, state })
}

/// Returns the Kubernetes version with which the cluster in `state` was started.
fn kubernetes(state: &Path) -> Kubernetes {
    Equipment::begun(state).map(|equipment| equipment.kubernetes).unwrap_or_default()
}

fn up(checkout: &Checkout, cluster: &Cluster, nodes: u32, bare: bool) -> anyhow::Result<()> {
    configuration::write(&cluster.state)?;
    keys::make(&cluster.state.join("pki"))?;
    host::make_namespace()?;
    groups::make()?;
    let mut started = daemons::start(cluster)?;
    images::basic(cluster)?;
    if !bare {
        addons::install(cluster, &checkout.root, &mut started)?;
    }
    if nodes > 0 {
        kwok::start(cluster, &mut started, nodes)?;
    }
    started.check()
}

/// Returns the parts that must be built for the cluster.
fn parts(nodes: u32, bare: bool) -> Vec<Part> {
    let optional = [(Part::Operators, !bare), (Part::Kwok, nodes > 0)];
    let wanted = optional.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(part, _)| part);
    std::iter::once(Part::Kubernetes).chain(wanted).collect()
}

fn status(cluster: &Cluster) -> anyhow::Result<()> {
    if !daemons::is_ready(cluster) {
        println!("the cluster's API server doesn't answer; its logs are in `{}`", cluster.state.join("log").display());
        return Ok(());
    }
    sh::run(cluster.kubectl().args(["get", "nodes"]), sh::LOOKUP_LIMIT)?;
    sh::run(cluster.kubectl().args(["get", "pods", "--all-namespaces"]), sh::LOOKUP_LIMIT)
}

/// Returns a command that runs `program` inside the cluster's network namespace. It doesn't use `ip netns exec`, which hides
/// `/sys/fs/cgroup`.
pub fn inside(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    let mut command = std::process::Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{NAMESPACE}")).arg(program).stdin(Stdio::null());
    command
}

fn inside_text() -> String {
    format!("nsenter --net=/run/netns/{NAMESPACE}")
}

/// Returns the text of a path for configuration files.
fn text(path: &Path) -> anyhow::Result<&str> {
    let Some(text) = path.to_str().filter(|text| !text.contains(['"', '\\', '\n', ' '])) else {
        bail!("the cache folder `{}` can't be named in configuration files\nhint: set XDG_CACHE_HOME to another", path.display());
    };
    Ok(text)
}
