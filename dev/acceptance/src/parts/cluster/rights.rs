//! A user without rights is told which ones are missing, and nothing is created.

use std::process::Stdio;

use anyhow::{Context as _, ensure};

use super::streams::Streams;
use crate::outcome::Outcome;

/// The exit code for a cluster that lacks what a stream needs.
const CLUSTER_LACKS: i32 = 8;

/// Runs a stream as a service account without rights.
pub fn run(streams: &Streams<'_>) -> anyhow::Result<Outcome> {
    const NAME: &str = "no-rights";
    streams.cluster.namespace(NAME)?;
    let kubeconfig = streams.write("no-rights.kubeconfig", &streams.cluster.kubeconfig_of(NAME, "default")?)?;
    let experiment = streams.cluster.root().join("examples/stream.yaml");
    let mut command = streams.fltk();
    command.arg("cluster").arg(experiment).args(["--namespace", NAME, "--image", "localhost/none:1", "--id", NAME]);
    let output = command.arg("--kubeconfig").arg(&kubeconfig).stdin(Stdio::null()).output().context("can't run the program")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(CLUSTER_LACKS), "it ended with {}: {said}", output.status);
    ensure!(said.contains("create pytorchjobs.kubeflow.org") && said.contains("create configmaps"), "it doesn't say which rights: {said}");
    ensure!(!streams.folder.join(NAME).exists(), "a stream was begun all the same");
    Ok(Outcome::Passed("the missing rights are named".to_owned()))
}
