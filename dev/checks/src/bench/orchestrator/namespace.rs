//! The namespace of one measurement: made before it, and removed after it with all that is in it.

use std::{path::Path, time::Duration};

use super::RUN;
use crate::{
    cluster::{self, Cluster},
    sh,
};

/// Its name.
pub const NAMESPACE: &str = "bench";

/// For the objects of 100,000 jobs to be removed.
const REMOVE_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Measures in a new namespace; `program` is our own, which removes what is made.
///
/// # Errors
/// If there is such a namespace, what is measured fails, or something is left.
pub fn within<T>(cluster: &Cluster, program: &Path, measure: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    sh::output(cluster.kubectl().args(["create", "namespace", NAMESPACE]), sh::LOOKUP_LIMIT)?;
    let measured = measure();
    let removed = remove(cluster, program);
    let measured = measured?;
    removed.map(|()| measured)
}

/// Jobs and their config maps by their labels, which is quicker than the namespace with all that may be in it; and then that.
fn remove(cluster: &Cluster, program: &Path) -> anyhow::Result<()> {
    let no_runs = tempfile::tempdir()?;
    let mut down = cluster::inside(program);
    down.args(["cluster", "--down", RUN, "--namespace", NAMESPACE, "--kubeconfig"]).arg(cluster.kubeconfig());
    down.arg("--runs").arg(no_runs.path());
    let down = sh::output(&mut down, REMOVE_LIMIT);
    // Waits until it's gone.
    sh::output(cluster.kubectl().args(["delete", "namespace", NAMESPACE]), REMOVE_LIMIT)?;
    down.map(drop)
}
