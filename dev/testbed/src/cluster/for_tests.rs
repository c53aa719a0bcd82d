//! The cluster as tests use it: they start it if it isn't running, reach it, change it and restore it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use super::{
    ADDRESS, Cluster, Equipment, LOCK, NODE,
    audit::{self, Right, Used},
    folder, host, inside,
    keys::ADMIN_TOKEN,
    kwok, running, start,
    tools::Kubernetes,
    volumes,
};
use crate::{checkout::Checkout, lock, sh};

/// The time limit for the API server and the operators to act on a change.
const KUBECTL_LIMIT: Duration = Duration::from_secs(120);

/// The prefix of the keys of our own taints.
const OWN_KEYS: &str = "fltk.";

/// Returns `Err` if the cluster can't run on this machine.
///
/// # Errors
/// The reason.
pub fn can_run() -> Result<(), String> {
    host::prepare()
}

/// A running cluster.
pub struct TestCluster {
    cluster: Cluster,
    checkout: Checkout,
}

impl TestCluster {
    /// Returns the running cluster, or starts a new one, with `nodes` kwok nodes. A cluster that an interrupted test left half started is
    /// restarted.
    ///
    /// # Errors
    /// Also if a cluster that somebody else started lacks what tests need.
    pub fn up(checkout: &Checkout, nodes: u32) -> anyhow::Result<Self> {
        if let Ok(running) = Self::of_parts(checkout) {
            let state = &running.cluster.state;
            match Equipment::complete(state) {
                // Without initial kwok nodes, none of kwok's programs run.
                Some(Equipment { nodes: 1.., bare: false, .. }) => {
                    kwok::add_nodes(&running.cluster, nodes)?;
                    running.untaint(NODE)?;
                    return Ok(running);
                }
                None if Equipment::begun(state).is_some_and(|begun| begun.for_tests) => Self::down(checkout).map(drop)?,
                _ => bail!(
                    "a cluster runs that isn't whole, or lacks Kubeflow's operators or kwok's nodes\nhint: stop it with `cargo xtask cluster down`, and the tests \
                     start one, or start it with `cargo xtask cluster up --nodes {nodes}`"
                ),
            }
        }
        start(checkout, &Equipment { nodes, bare: false, for_tests: true, kubernetes: Kubernetes::default() })?;
        Self::of_parts(checkout)
    }

    /// Returns the running cluster.
    pub fn of_parts(checkout: &Checkout) -> anyhow::Result<Self> {
        Ok(Self { cluster: running(checkout, &folder(checkout)?)?, checkout: checkout.clone() })
    }

    /// Stops the cluster, if it was started for the tests. Returns true if it was.
    pub fn down(checkout: &Checkout) -> anyhow::Result<bool> {
        let state = folder(checkout)?.join("state");
        if !Equipment::begun(&state).is_some_and(|begun| begun.for_tests) {
            return Ok(false);
        }
        let _lock = lock::take(Path::new(LOCK), "stopping the cluster")?;
        super::down::run(&state).map(|()| true)
    }

    /// The root folder of the checkout.
    pub fn root(&self) -> &Path {
        &self.checkout.root
    }

    /// Returns a command for `program`, as the administrator, inside the network where the API server can be reached.
    pub fn reach(&self, program: &Path) -> Command {
        let mut command = inside(program);
        command.env("KUBECONFIG", self.cluster.kubeconfig());
        command
    }

    /// The address of the real node, and of programs that listen next to the API server; pods can reach it.
    pub fn address(&self) -> &'static str {
        ADDRESS
    }

    /// Creates the namespace anew, with a volume that its pods share. Returns the volume's folder on this machine.
    pub fn claim(&self, namespace: &str) -> anyhow::Result<PathBuf> {
        self.forget(namespace)?;
        volumes::claim(&self.cluster, namespace)
    }

    /// Makes an empty folder for volumes on this machine, which is removed with the cluster.
    pub fn volume(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.cluster.state.join("volumes").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can't empty `{}`", folder.display()))?;
        }
        for part in ["log", "server"] {
            volumes::folder(&folder.join(part))?;
        }
        Ok(folder)
    }

    /// Removes the namespace with its volumes, if earlier tests left it.
    pub fn forget(&self, name: &str) -> anyhow::Result<()> {
        let mut delete = self.cluster.kubectl();
        delete.args(["delete", "namespace", name, "--ignore-not-found", "--timeout=110s"]).stdout(Stdio::null());
        sh::run(&mut delete, KUBECTL_LIMIT)?;
        let mut list = self.cluster.kubectl();
        let volumes = format!("jsonpath={{range .items[?(@.spec.claimRef.namespace==\"{name}\")]}}{{.metadata.name}} {{end}}");
        list.args(["get", "persistentvolumes", "--output", &volumes]);
        for volume in sh::quiet_output(&mut list, KUBECTL_LIMIT)?.split_whitespace() {
            let mut delete = self.cluster.kubectl();
            delete.args(["delete", "persistentvolume", volume, "--timeout=30s"]).stdout(Stdio::null());
            sh::run(&mut delete, KUBECTL_LIMIT)?;
        }
        Ok(())
    }

    /// Creates the namespace anew, with the service account for its pods, which a controller creates a moment later.
    pub fn namespace(&self, name: &str) -> anyhow::Result<()> {
        self.forget(name)?;
        self.cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: '{name}'}}\n"))?;
        let mut command = self.cluster.kubectl();
        command.args(["--namespace", name, "wait", "--for=create", "serviceaccount/default", "--timeout=60s"]).stdout(Stdio::null());
        sh::run(&mut command, KUBECTL_LIMIT)
    }

    /// Makes `namespace` admit only pods that the restricted pod security standard allows.
    pub fn restrict(&self, namespace: &str) -> anyhow::Result<()> {
        let mut command = self.cluster.kubectl();
        command
            .args(["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite"])
            .stdout(Stdio::null());
        sh::run(&mut command, KUBECTL_LIMIT)
    }

    /// Returns the names of existing objects.
    pub fn names(&self, namespace: &str, kinds: &str, selector: &str) -> anyhow::Result<Vec<String>> {
        let mut command = self.cluster.kubectl();
        command.args(["--namespace", namespace, "get", kinds, "--selector", selector, "--output", "name", "--ignore-not-found"]);
        Ok(sh::quiet_output(&mut command, KUBECTL_LIMIT)?.lines().map(str::to_owned).collect())
    }

    /// Returns the names and UIDs of existing objects; the UID distinguishes an object from a later one of the same name.
    pub fn uids(&self, namespace: &str, kind: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let mut command = self.cluster.kubectl();
        let template = r#"jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{"\n"}{end}"#;
        command.args(["--namespace", namespace, "get", kind, "--output", template]);
        let text = sh::quiet_output(&mut command, KUBECTL_LIMIT)?;
        Ok(text.lines().filter_map(|line| line.split_once(' ')).map(|(name, uid)| (name.to_owned(), uid.to_owned())).collect())
    }

    /// Returns the output of `kubectl` with `arguments`.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.cluster.kubectl();
        command.args(arguments);
        sh::quiet_output(&mut command, KUBECTL_LIMIT)
    }

    /// Deletes an object, as a person would.
    pub fn delete(&self, namespace: &str, kind: &str, name: &str) -> anyhow::Result<()> {
        let mut command = self.cluster.kubectl();
        command.args(["--namespace", namespace, "delete", kind, name, "--ignore-not-found"]).stdout(Stdio::null());
        sh::run(&mut command, KUBECTL_LIMIT)
    }

    /// Taints `node` for as long as the value lives.
    pub fn taint(&self, node: &str, taint: &str) -> anyhow::Result<Taint<'_>> {
        let mut command = self.cluster.kubectl();
        command.args(["taint", "node", node, taint, "--overwrite"]).stdout(Stdio::null());
        sh::run(&mut command, KUBECTL_LIMIT)?;
        Ok(Taint { cluster: &self.cluster, node: node.to_owned(), taint: taint.to_owned() })
    }

    /// Removes our taints that a killed test has left.
    fn untaint(&self, node: &str) -> anyhow::Result<()> {
        let mut list = self.cluster.kubectl();
        list.args(["get", "node", node, "--output", "jsonpath={range .spec.taints[*]}{.key} {end}"]);
        for key in sh::quiet_output(&mut list, KUBECTL_LIMIT)?.split_whitespace().filter(|key| key.starts_with(OWN_KEYS)) {
            let mut command = self.cluster.kubectl();
            command.args(["taint", "node", node, &format!("{key}-")]).stdout(Stdio::null());
            sh::run(&mut command, KUBECTL_LIMIT)?;
        }
        Ok(())
    }

    /// Adds a kwok node with `cores`, for as long as the value lives.
    pub fn node(&self, name: &str, cores: u32) -> anyhow::Result<AddedNode<'_>> {
        self.cluster.apply(&kwok::node(name, cores))?;
        Ok(AddedNode { cluster: &self.cluster, name: name.to_owned() })
    }

    /// Freezes the API server for a while, which has the effect of a network partition.
    pub fn freeze_api_server(&self, pause: Duration) -> anyhow::Result<()> {
        let mut find = Command::new("pgrep");
        find.arg("--full").arg(self.cluster.bin.join("kube-apiserver"));
        let found = sh::quiet_output(&mut find, sh::LOOKUP_LIMIT)?;
        let pid = found.lines().next().context("no API server runs")?;
        // A separate process thaws it, even if this one is interrupted.
        let mut thaw = Command::new("sh");
        thaw.args(["-c", "sleep \"$1\"; kill -CONT \"$2\"", "thaw", &pause.as_secs().to_string(), pid]).process_group(0);
        let mut thawing = sh::start(&mut thaw)?;
        sh::run(Command::new("kill").args(["-STOP", pid]), sh::LOOKUP_LIMIT)?;
        let status = sh::wait(&mut thawing, &thaw, pause + sh::LOOKUP_LIMIT)?;
        ensure!(status.success(), "the API server was not thawed: {status}");
        Ok(())
    }

    /// Returns the path of the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster.kubeconfig()
    }

    /// Returns the folder of the cluster's programs, and the socket of its containerd.
    pub fn programs(&self) -> (&Path, PathBuf) {
        (&self.cluster.bin, self.cluster.state.join("containerd.sock"))
    }

    /// Returns the current length of the audit log, in bytes.
    pub fn audit_len(&self) -> anyhow::Result<usize> {
        audit::len(&self.cluster)
    }

    /// Returns how often each job in `namespace` was created since the audit log had `since` bytes.
    pub fn made(&self, namespace: &str, resource: &str, since: usize) -> anyhow::Result<BTreeMap<String, usize>> {
        audit::made(&self.cluster, namespace, resource, since)
    }

    /// Returns the actions of a service account.
    pub fn used(&self, namespace: &str, account: &str) -> anyhow::Result<Used> {
        audit::used(&self.cluster, namespace, account)
    }

    /// Returns the rights of a service account.
    pub fn granted(&self, namespace: &str, account: &str) -> anyhow::Result<BTreeSet<Right>> {
        audit::granted(&self.cluster, namespace, account)
    }

    /// Returns a kubeconfig for a service account.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> anyhow::Result<String> {
        let mut command = self.cluster.kubectl();
        command.args(["--namespace", namespace, "create", "token", account]);
        let token = sh::quiet_output(&mut command, KUBECTL_LIMIT)?;
        let admin = std::fs::read_to_string(self.cluster.kubeconfig()).context("can't read the administrator's kubeconfig")?;
        Ok(admin.replace(&format!("token: {ADMIN_TOKEN}"), &format!("token: {}", token.trim())))
    }
}

/// A taint that is removed when this value is dropped.
pub struct Taint<'a> {
    cluster: &'a Cluster,
    node: String,
    taint: String,
}

impl Drop for Taint<'_> {
    fn drop(&mut self) {
        let mut command = self.cluster.kubectl();
        command.args(["taint", "node", &self.node, &format!("{}-", self.taint)]).stdout(Stdio::null());
        sh::run(&mut command, KUBECTL_LIMIT).unwrap_or_else(|error| eprintln!("warning: {error:#}"));
    }
}

/// A node that is removed when this value is dropped.
pub struct AddedNode<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl Drop for AddedNode<'_> {
    fn drop(&mut self) {
        let mut command = self.cluster.kubectl();
        command.args(["delete", "node", &self.name]).stdout(Stdio::null());
        sh::run(&mut command, KUBECTL_LIMIT).unwrap_or_else(|error| eprintln!("warning: {error:#}"));
    }
}
