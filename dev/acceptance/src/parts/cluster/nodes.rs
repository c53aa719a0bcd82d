//! KFLTK's federated example as a federator and three nodes, each in a pod: a node's pod and the federator's are deleted on the way. The job succeeds with
//! the bits of one process, and the node's loss is an Event on it.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value as Json;

use super::{
    losses::{Victim, count},
    streams::{Streams, all_succeeded},
};
use crate::{cluster::NODE, outcome::Outcome, sh};

/// KFLTK's file.
const FILE: &str = "configs/federated_tasks/example_arrival_config.json";

/// The number of nodes.
const NODES: usize = 3;

/// The changes to the file: as many nodes, on the data set that is in our image, for long enough that pods can be deleted on the way, and without requests,
/// which two cores couldn't meet.
const CHANGES: [&str; 4] =
    ["tasks.0.federated.nodes=3", "tasks.0.dataset=fashion-mnist-mini", "tasks.0.federated.rounds=40", "tasks.0.resources=null"];

/// The time for the Secret of a removed job to go.
const GONE_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(300);

/// Runs the job as either kind of object, at the same time.
pub fn run(streams: &Streams<'_>) -> anyhow::Result<Outcome> {
    let expected = in_one_process(streams)?;
    let said = thread::scope(|scope| {
        let one = scope.spawn(|| on_cluster(streams, "pytorchjob", &expected).context("PyTorchJob"));
        let other = on_cluster(streams, "trainjob", &expected).context("TrainJob");
        let Ok(one) = one.join() else { bail!("the thread of a stream panicked") };
        Ok(format!("{}; {}", one?, other?))
    })?;
    Ok(Outcome::Passed(said))
}

/// Returns the digest of the same task in one process.
fn in_one_process(streams: &Streams<'_>) -> anyhow::Result<String> {
    let mut command = streams.fltk();
    command.args(["--quiet", "client"]).arg(streams.cluster.root().join(FILE)).args(["--output", "json", "--runs"]);
    command.arg(streams.folder.join("one"));
    for change in CHANGES.into_iter().chain(["tasks.0.federated.nodes=0"]) {
        command.args(["--set", change]);
    }
    let result: Json = serde_json::from_str(&sh::quiet_output(&mut command, sh::BUILD_LIMIT)?).context("`fltk client` printed no JSON")?;
    Ok(result["parameters_sha256"].as_str().context("a result without a digest")?.to_owned())
}

fn on_cluster(streams: &Streams<'_>, backend: &str, expected: &str) -> anyhow::Result<String> {
    let name = format!("nodes-{backend}");
    let volume = streams.cluster.claim(&name)?;
    streams.cluster.restrict(&name)?;
    let config = format!(
        "kubernetes: {{ namespace: {name}, image: 'localhost/fltk:dev', image_pull_policy: Never, backend: {backend}, node_selector: {{ kubernetes.io/hostname: {NODE} }} }}\n"
    );
    let config = streams.write(&format!("{name}-config.yaml"), &config)?;
    let file = streams.cluster.root().join(FILE);
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not UTF-8");
    let (config, file) = (text(&config)?, text(&file)?);
    let mut arguments = vec![config.as_str(), &file, "--id", &name];
    arguments.extend(CHANGES.iter().flat_map(|change| ["--set", change]));
    let mut running = streams.start(&arguments)?;
    let jobs = streams.wait(&name, &mut running, "its job", |jobs| jobs.len() == 1 && jobs.iter().all(|job| job.created.is_some()))?;
    let job = &jobs.first().context("there is no job")?.job;
    let victim = Victim::new(streams.cluster, &name, backend, job, &volume);
    // A node first, once all have trained for a while.
    victim.wait("the work of its nodes", || has(&victim, NODES, 2))?;
    victim.delete(2)?;
    victim.wait("a node in place of the deleted one", || has(&victim, NODES + 1, 4))?;
    // Then the federator: its next start begins where the last one has a checkpoint.
    victim.delete(0)?;
    running.end()?;
    let jobs = streams.jobs(&name)?;
    all_succeeded(&jobs)?;
    let journal = victim.journal()?;
    ensure!(count(&journal, "started") == 2, "the federator was started {} times", count(&journal, "started"));
    let digest = victim.digest()?.context("it has no digest")?;
    ensure!(digest == expected, "it ended with other parameters: {digest} in place of {expected}");
    let events = victim.kubectl(&["get", "events", "--output", "json"])?;
    let events: Json = serde_json::from_str(&events).context("`kubectl get` printed no JSON")?;
    let is_loss = |event: &&Json| event["reason"] == "NodeLost" && event["involvedObject"]["name"] == format!("trainjob-{job}");
    let lost = events["items"].as_array().into_iter().flatten().filter(is_loss).count();
    ensure!(lost >= 1, "no Event says that a node was lost");
    let secrets = streams.cluster.names(&name, "secrets", "app.kubernetes.io/managed-by=fltk")?;
    ensure!(secrets.len() == 1, "it has the secrets {secrets:?}");
    streams.run(&["--down", &name])?;
    gone(streams, &name)?;
    let seconds = jobs.first().and_then(|job| Some(job.ended? - job.first_pod?)).unwrap_or_default();
    Ok(format!("{backend}: {} nodes in {seconds:.0} s", count(&journal, "node_joined")))
}

/// True if so many nodes have joined since the job began, and so many rounds have ended.
fn has(victim: &Victim<'_>, nodes: usize, rounds: usize) -> anyhow::Result<bool> {
    let journal = victim.journal()?;
    ensure!(count(&journal, "finished") == 0, "it has finished before its pods were deleted");
    Ok(count(&journal, "node_joined") >= nodes && count(&journal, "round_ended") >= rounds)
}

/// Waits until the Secret has gone with its job.
fn gone(streams: &Streams<'_>, namespace: &str) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + GONE_LIMIT;
    loop {
        let left = streams.cluster.names(namespace, "secrets", "app.kubernetes.io/managed-by=fltk")?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "{left:?} are left");
        thread::sleep(POLL);
    }
}
