//! The shipped KFLTK files with `fltk cluster`: federated jobs of a federator and a node, and data-parallel jobs of two ranks, trained in real pods, in a namespace that
//! admits only what the restricted pod security standard allows.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

use super::streams::{Streams, all_succeeded};
use crate::{cluster::NODE, outcome::Outcome};

/// The changes for a node of two cores: a federator with one node in place of four, and as much for each of them as for a rank; and no job may begin with
/// some of its pods.
const CHANGES: [&str; 3] = [
    "tasks.1.federated.nodes=1",
    "tasks.1.resources={ master: { cores: 500m, memory: 1Gi }, worker: { cores: 500m, memory: 1Gi } }",
    "stream.admission={ type: capacity }",
];

/// Runs the stream with jobs of `backend`, and checks what it left on the volume.
pub fn run(streams: &Streams<'_>, backend: &str) -> anyhow::Result<Outcome> {
    let namespace = format!("kfltk-{backend}");
    let volume = streams.cluster.claim(&namespace)?;
    streams.cluster.restrict(&namespace)?;
    let config = format!(
        "kubernetes:\n  backend: {backend}\n  namespace: {namespace}\n  image: localhost/fltk:dev\n  image_pull_policy: Never\n  node_selector: {{ kubernetes.io/hostname: {NODE} }}\n"
    );
    let config = streams.write(&format!("{backend}.yaml"), &config)?;
    let files = ["configs/example_cloud_experiment.json", "configs/tasks/example_arrival_config.json"];
    let files = files.map(|file| streams.cluster.root().join(file));
    let mut arguments: Vec<&str> = files.iter().chain([&config]).filter_map(|path| path.to_str()).collect();
    arguments.extend(["--id", &namespace]);
    arguments.extend(CHANGES.iter().flat_map(|change| ["--set", change]));
    streams.run(&arguments)?;
    let jobs = streams.jobs(&namespace)?;
    all_succeeded(&jobs)?;
    ensure!(jobs.len() == 4, "{} jobs in place of 4", jobs.len());
    for job in &jobs {
        let first_step = job.first_step.with_context(|| format!("job {} has no first step", job.job))?;
        let (first_pod, ended) = (job.first_pod.unwrap_or(f64::MAX), job.ended.unwrap_or(0.0));
        // The pods' clock is the node's.
        ensure!((first_pod - 1.0..=ended).contains(&first_step), "the first step isn't between first pod and end: {job:?}");
        ensure!(job.nodes == [NODE], "a job ran at {:?}", job.nodes);
    }
    let runs = records(&volume)?;
    ensure!(runs == jobs.len(), "{runs} runs on the volume in place of {}", jobs.len());
    streams.run(&["--down", &namespace])?;
    let left =
        streams.cluster.names(&namespace, "pytorchjobs,trainjobs,configmaps,trainingruntimes", "app.kubernetes.io/managed-by=fltk")?;
    ensure!(left.is_empty(), "`--down` left {left:?}");
    Ok(Outcome::Passed(format!("{} jobs, {runs} runs on the volume", jobs.len())))
}

/// Returns the number of runs on the volume, each with a journal that ended well and with TensorBoard events.
fn records(volume: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(volume).with_context(|| format!("can't list `{}`", volume.display()))? {
        let run = entry?.path();
        if !run.join("run.json").exists() {
            continue;
        }
        count += 1;
        let journal = fs::read_to_string(run.join("journal.jsonl"))?;
        ensure!(journal.contains("\"event\":\"finished\""), "`{}` has not finished", run.display());
        ensure!(has_tensorboard(&run), "`{}` has no TensorBoard events", run.display());
    }
    Ok(count)
}

fn has_tensorboard(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.into_iter().any(|path| {
        path.is_dir() && has_tensorboard(&path)
            || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events.out.tfevents"))
    })
}
