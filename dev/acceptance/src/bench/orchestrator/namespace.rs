//! The namespace of one measurement: it is created before the measurement, and removed afterwards with everything in it.

use std::{path::Path, time::Duration};

use super::RUN;
use crate::{
    cluster::{self, Cluster},
    sh,
};

/// The name of the namespace.
pub const NAMESPACE: &str = "bench";

/// The time limit for removing the objects of 100,000 jobs.
const REMOVE_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Measures in a new namespace; `program` is our own, which removes the objects that were created.
///
/// # Errors
/// If the namespace already exists, the measurement fails, or something is left.
pub fn within<T>(cluster: &Cluster, program: &Path, measure: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    sh::output(cluster.kubectl().args(["create", "namespace", NAMESPACE]), sh::LOOKUP_LIMIT)?;
    let measured = measure();
    let removed = remove(cluster, program);
    let measured = measured?;
    removed.map(|()| measured)
}

/// Removes jobs and their config maps by their labels, which is faster than removing the namespace with everything in it; then removes the
/// namespace.
fn remove(cluster: &Cluster, program: &Path) -> anyhow::Result<()> {
    let no_runs = tempfile::tempdir()?;
    let mut down = cluster::inside(program);
    down.args(["cluster", "--down", RUN, "--namespace", NAMESPACE, "--kubeconfig"]).arg(cluster.kubeconfig());
    down.arg("--runs").arg(no_runs.path());
    let down = sh::output(&mut down, REMOVE_LIMIT);
    // This waits until the namespace is gone.
    sh::output(cluster.kubectl().args(["delete", "namespace", NAMESPACE]), REMOVE_LIMIT)?;
    down.map(drop)
}
