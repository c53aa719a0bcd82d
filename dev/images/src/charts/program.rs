//! The rule that the program accepts what the charts give it: the command line of each of its containers, and the files of each
//! orchestrator.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde_json::Value as Json;

use super::{
    helm::Rendered,
    objects::{Object, Pod, list, text},
};
use crate::sh;

/// The sub-command that reads files.
const ORCHESTRATOR: &str = "cluster";

/// Returns the program's verdict on each container.
pub fn check(program: &Path, rendered: &Rendered) -> Vec<anyhow::Result<()>> {
    let pods = rendered.objects.iter().filter_map(Object::pod);
    // A container that runs another program than the image's own has a `command`.
    let containers =
        pods.flat_map(|pod| pod.containers().filter(|container| container["command"].is_null()).map(move |container| (pod, container)));
    containers.map(|(pod, container)| one(program, rendered, &pod, container)).collect()
}

fn one(program: &Path, rendered: &Rendered, pod: &Pod<'_>, container: &Json) -> anyhow::Result<()> {
    let arguments: Vec<&str> = list(&container["args"]).iter().map(text).collect();
    command_line(program, &arguments).with_context(|| pod.owner.describe())?;
    if arguments.first() == Some(&ORCHESTRATOR) {
        files(program, rendered, pod, &arguments).with_context(|| format!("{}: its files", pod.owner.describe()))?;
    }
    Ok(())
}

/// Checks a command line: options and their values are read before help is printed.
fn command_line(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut fltk = Command::new(program);
    fltk.args(arguments).arg("--help").stdin(Stdio::null());
    sh::quiet_output(&mut fltk, sh::LOOKUP_LIMIT).map(drop)
}

/// Plans the stream in the files that the pod mounts.
fn files(program: &Path, rendered: &Rendered, pod: &Pod<'_>, arguments: &[&str]) -> anyhow::Result<()> {
    let names: Vec<&str> =
        arguments[1..].iter().filter(|word| !word.starts_with("--")).filter_map(|path| path.rsplit('/').next()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let work = tempfile::tempdir()?;
    let volumes = list(&pod.spec()["volumes"]);
    let config_map =
        volumes.iter().map(|volume| text(&volume["configMap"]["name"])).find(|name| !name.is_empty()).context("no config map")?;
    let object = rendered.objects.iter().find(|object| object.kind() == "ConfigMap" && object.name() == config_map);
    for (name, contents) in object.and_then(|object| object.json["data"].as_object()).into_iter().flatten() {
        fs::write(work.path().join(name), text(contents))?;
    }
    let manifests = work.path().join("manifests");
    let mut plan = Command::new(program);
    plan.arg("plan").args(names).arg("--manifests").arg(&manifests).current_dir(work.path()).stdin(Stdio::null());
    sh::quiet_output(&mut plan, sh::LOOKUP_LIMIT)?;
    let num_jobs = fs::read_dir(&manifests)?.count();
    ensure!(num_jobs > 0, "a stream without jobs");
    Ok(())
}
