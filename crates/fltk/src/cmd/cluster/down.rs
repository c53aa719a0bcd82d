//! `fltk cluster --down STREAM`: removes the objects that the stream created in the cluster, and nothing else. Its folder stays.

use std::path::Path;

use anyhow::anyhow;
use fltk_kubernetes::{api, down};
use fltk_records::StreamFolder;

use super::connect;
use crate::{
    cli::{Cli, ClusterArgs, Output},
    exit::{Exit, OrExit as _, failure},
    output,
    stream::{self, Begun},
    work::Work,
};

/// Removes the objects of the stream `named`.
///
/// # Errors
/// If an orchestrator is running the stream, or the API server refuses.
pub async fn run(cli: &Cli, args: &ClusterArgs, named: &Path) -> anyhow::Result<()> {
    let target = connect(&args.target).await?;
    // The stream's folder may be elsewhere: then its name and the namespace identify it.
    let begun = StreamFolder::find(&args.runs, named).ok().map(Begun::open).transpose()?;
    let (run, namespace) = match &begun {
        Some(begun) => (begun.name().to_owned(), begun.context()?.namespace.clone()),
        None => {
            let name = stream::read_name(named.to_str().unwrap_or_default())?;
            (name.to_string(), args.target.namespace.clone().unwrap_or(target.namespace))
        }
    };
    let who = format!("`fltk cluster --down`, process {}", std::process::id());
    let _lock = begun.as_ref().map(|begun| begun.folder.lock(&who)).transpose().or_exit(Exit::Records)?;
    let work = Work::wait("removing the stream's objects, and waiting for its pods to be gone");
    let removed = down::down(&target.client, &namespace, &run).await;
    let removed = removed.map_err(|error| anyhow!("the API server refuses: {}", api::words(&error))).or_exit(Exit::Cluster)?;
    drop(work);
    removed.skipped.iter().for_each(|reason| tracing::warn!(stream = run, "skipped: {reason}"));
    match cli.output {
        Output::Json => output::json(&removed)?,
        Output::Text => output::text(&format!(
            "removed {}, {} and {} of stream {run} in namespace `{namespace}`",
            output::counted(removed.jobs, "job"),
            output::counted(removed.runtimes, "runtime"),
            output::counted(removed.config_maps, "config map")
        ))?,
    }
    match removed.pods_left {
        0 => Ok(()),
        left => Err(failure(
            Exit::Cluster,
            format!("{left} of its pods are still there\nhint: does their node answer? `kubectl get pods` shows their state"),
        )),
    }
}
