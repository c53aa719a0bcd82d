//! A tainted node on which real pods train: a job is preempted by one of higher priority and resumes from its checkpoint; a gang waits until all of it
//! fits.

use std::fs;

use anyhow::{Context as _, ensure};

use super::streams::{Job, Streams, all_succeeded};
use crate::{cluster::NODE, outcome::Outcome};

/// KFLTK's taint, which reserves nodes for experiments.
const TAINT: &str = "fltk.node=normal:NoSchedule";

fn config(streams: &Streams<'_>, namespace: &str) -> anyhow::Result<String> {
    let text = format!(
        "kubernetes:
  namespace: {namespace}
  image: localhost/fltk:dev
  image_pull_policy: Never
  tolerations: [{{ key: fltk.node, operator: Equal, value: normal, effect: NoSchedule }}]
"
    );
    let path = streams.write(&format!("{namespace}-config.yaml"), &text)?;
    path.to_str().map(str::to_owned).context("a path that is not UTF-8")
}

fn stream(streams: &Streams<'_>, name: &str, experiment: &str, trace: &str) -> anyhow::Result<String> {
    streams.write(&format!("{name}.csv"), trace)?;
    let path = streams.write(&format!("{name}.yaml"), experiment)?;
    path.to_str().map(str::to_owned).context("a path that is not UTF-8")
}

const PRIORITIES: &str = "name: priorities
tasks:
  - { name: low, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 2, checkpoint_every_steps: 100 }, resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } } }
  - { name: high, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist-mini, distributed: { epochs: 1 }, resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } } }
stream:
  orchestrator: trace
  trace: priorities.csv
  policy: priority
  admission: { type: capacity }
  groups: [{ name: urgent, tasks: [high], preempt: true }]
";

/// A low-priority job trains, and a high-priority one arrives: the node has room for one.
pub fn run(streams: &Streams<'_>) -> anyhow::Result<Outcome> {
    const NAME: &str = "priorities";
    let volume = streams.cluster.claim(NAME)?;
    let _taint = streams.cluster.taint(NODE, TAINT)?;
    let files = [config(streams, NAME)?, stream(streams, NAME, PRIORITIES, "time,class,priority\n0,low,5\n20,high,1\n")?];
    let mut running = streams.start(&[&files[0], &files[1], "--id", NAME])?;
    let is_pushed_out = |jobs: &[Job]| jobs.iter().any(|job| job.class == "low" && job.suspensions == 1 && job.state == "waiting");
    let jobs = streams.wait(NAME, &mut running, "a suspended job", is_pushed_out)?;
    let low = jobs.iter().find(|job| job.class == "low").context("the low job is gone")?;
    let words = streams.explain(NAME, &low.job)?;
    ensure!(words.contains("insufficient cpu"), "`fltk explain` of the suspended job doesn't say what lacks: {words}");
    running.end()?;
    let jobs = streams.jobs(NAME)?;
    all_succeeded(&jobs)?;
    let of = |class: &str| jobs.iter().find(|job| job.class == class).context("a job is gone");
    let (low, high) = (of("low")?, of("high")?);
    ensure!(low.suspensions == 1 && high.suspensions == 0, "the wrong job was preempted: {jobs:?}");
    ensure!(high.ended < low.ended, "the high one ended after the low one: {jobs:?}");
    let journal = journals(&volume)?.into_iter().find(|journal| journal.contains("checkpoint_saved") && starts(journal) == 2);
    let journal = journal.context("no run was started twice")?;
    let resumed = journal.lines().filter(|line| line.contains("\"event\":\"started\"")).nth(1).unwrap_or_default();
    ensure!(!resumed.contains("\"from\":0,"), "the resumed run began anew: {resumed}");
    streams.run(&["--down", NAME])?;
    Ok(Outcome::Passed(words.lines().last().unwrap_or_default().to_owned()))
}

fn journals(volume: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(volume)?.flatten().map(|entry| entry.path().join("journal.jsonl"));
    entries.filter(|path| path.exists()).map(|path| Ok(fs::read_to_string(path)?)).collect()
}

fn starts(journal: &str) -> usize {
    journal.lines().filter(|line| line.contains("\"event\":\"started\"")).count()
}

const GANG: &str = "name: gang
tasks:
  - { name: holder, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1 }, resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } } }
  - { name: gang, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist-mini, distributed: { epochs: 1, data_parallelism: 3 }, resources: { master: { cores: 400m, memory: 1Gi }, worker: { cores: 400m, memory: 1Gi } } }
stream:
  orchestrator: trace
  trace: gang.csv
  policy: fifo
  admission: { type: capacity }
";

/// One pod of three would fit: none is created until all of them fit.
pub fn gang(streams: &Streams<'_>) -> anyhow::Result<Outcome> {
    const NAME: &str = "gang";
    streams.cluster.claim(NAME)?;
    let _taint = streams.cluster.taint(NODE, TAINT)?;
    let files = [config(streams, NAME)?, stream(streams, NAME, GANG, "time,class,priority\n0,holder,1\n5,gang,1\n")?];
    let mut running = streams.start(&[&files[0], &files[1], "--id", NAME])?;
    let waits = |jobs: &[Job]| jobs.iter().any(|job| job.class == "gang" && job.state == "waiting");
    let jobs = streams.wait(NAME, &mut running, "a waiting gang", waits)?;
    let job = jobs.iter().find(|job| job.class == "gang").context("the gang is gone")?;
    let words = streams.explain(NAME, &job.job)?;
    let says = ["2 of 3 pods unschedulable", "insufficient cpu", "frees when job"].iter().all(|said| words.contains(said));
    ensure!(says, "`fltk explain` of the gang doesn't say what it waits for: {words}");
    ensure!(streams.cluster.names(NAME, "pods", &format!("fltk.node/job={}", job.job))?.is_empty(), "a part of the gang was made");
    running.end()?;
    let jobs = streams.jobs(NAME)?;
    all_succeeded(&jobs)?;
    let of = |class: &str| jobs.iter().find(|job| job.class == class).context("a job is gone");
    ensure!(of("gang")?.created >= of("holder")?.ended, "the gang was made before its place was free: {jobs:?}");
    streams.run(&["--down", NAME])?;
    Ok(Outcome::Passed(words.lines().last().unwrap_or_default().to_owned()))
}
