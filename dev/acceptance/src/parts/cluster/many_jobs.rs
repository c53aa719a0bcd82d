//! 500 jobs of three classes and priorities with the real operator on 50 kwok nodes, while the orchestrator is killed, somebody deletes a job, and the
//! API server freezes. The tests of the edge show, in memory, that a kill at any record and any request does no harm.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};

use super::{
    made_once::MadeOnce,
    streams::{Job, Streams},
};
use crate::{outcome::Outcome, sh};

const JOBS: usize = 500;
const STREAM: &str = "many";

/// The freeze, as long as clients' connections survive without an answer.
const FREEZE: Duration = Duration::from_secs(15);

const CONFIG: &str = "kubernetes:
  namespace: many
  image: localhost/none:1
  log_claim: null
  tolerations: [{ key: kwok.x-k8s.io/node, operator: Exists, effect: NoSchedule }]
  node_selector: { type: kwok }
";

const EXPERIMENT: &str = "name: many
seeds: [42]
tasks:
  - { name: small, <<TASK>>, class_probability: 0.7, priorities: [{ priority: 3, probability: 1 }], resources: { master: { cores: 4, memory: 1Gi }, worker: { cores: 4, memory: 1Gi } } }
  - { name: medium, <<TASK>>, class_probability: 0.2, priorities: [{ priority: 2, probability: 1 }], resources: { master: { cores: 8, memory: 1Gi }, worker: { cores: 8, memory: 1Gi } } }
  - { name: large, <<TASK>>, class_probability: 0.1, priorities: [{ priority: 1, probability: 1 }], resources: { master: { cores: 16, memory: 1Gi }, worker: { cores: 16, memory: 1Gi } } }
stream:
  orchestrator: simulated
  duration: 20s
  max_jobs: 500
  policy: priority
  admission: { type: max_concurrent, jobs: 40 }
  groups: [{ name: all, tasks: [small, medium, large], gaps: { type: exponential, mean: 30ms } }]
";

/// Runs the stream, and checks every job.
pub fn run(streams: &Streams<'_>) -> anyhow::Result<Outcome> {
    streams.cluster.namespace("many")?;
    let config = streams.write("many-config.yaml", CONFIG)?;
    let task = "kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist, distributed: { epochs: 1, data_parallelism: 2 }";
    let experiment = streams.write("many.yaml", &EXPERIMENT.replace("<<TASK>>", task))?;
    let files = [config.to_str().context("a path")?, experiment.to_str().context("a path")?];
    let arguments = [files[0], files[1], "--id", STREAM];
    let mut made_once = MadeOnce::new(streams.cluster, "many", "pytorchjobs")?;
    let mut running = streams.start(&arguments)?;
    let ended = |jobs: &[Job]| jobs.iter().filter(|job| job.ended.is_some()).count();
    let jobs = streams.wait(STREAM, &mut running, "enough ended jobs", |jobs| ended(jobs) >= JOBS / 4)?;
    made_once.look()?;
    drop(running);
    // The job is deleted while no orchestrator runs.
    let deleted = jobs.iter().rev().find(|job| job.state == "running").context("no job runs")?.job.clone();
    streams.cluster.delete("many", "pytorchjob", &format!("trainjob-{deleted}"))?;
    running = streams.start(&arguments)?;
    streams.wait(STREAM, &mut running, "more ended jobs", |jobs| ended(jobs) >= JOBS / 2)?;
    streams.cluster.freeze_api_server(FREEZE)?;
    // The exit code is 5 if a job didn't succeed, which may be true of the deleted one.
    let is_over = |jobs: &[Job]| jobs.len() == JOBS && jobs.iter().all(|job| job.ended.is_some());
    // The program may end between two looks.
    let jobs = streams.wait(STREAM, &mut running, "the end", is_over).or_else(|_| streams.jobs(STREAM))?;
    drop(running);
    let there = made_once.end(JOBS)?;
    ensure!(there >= JOBS - 1, "{there} objects in place of {JOBS}");
    as_planned(streams, &files, &jobs)?;
    check(&jobs, &deleted)
}

/// Checks that the stream ran as `fltk plan` says for the same files, to the millisecond. Streams of `fltk run` are compared with the plan
/// too.
fn as_planned(streams: &Streams<'_>, files: &[&str], jobs: &[Job]) -> anyhow::Result<()> {
    let text = sh::quiet_output(streams.fltk().arg("plan").args(files).args(["--output", "json"]), sh::LOOKUP_LIMIT)?;
    let plan: serde_json::Value = serde_json::from_str(&text).context("`fltk plan` printed no JSON")?;
    let planned = plan["replications"][0]["jobs"].as_array().context("a plan without jobs")?;
    ensure!(planned.len() == jobs.len(), "{} jobs were planned, and {} ran", planned.len(), jobs.len());
    for (job, planned) in jobs.iter().zip(planned) {
        let at = planned["arrival"]["at"].as_str().and_then(seconds).context("an arrival without its time")?;
        let is_same = planned["id"] == job.job.as_str() && planned["class"] == job.class.as_str();
        let is_when = job.arrived.is_some_and(|arrived| (arrived - at).abs() < 0.0005) && planned["arrival"]["priority"] == job.priority;
        ensure!(is_same && is_when, "planned was {planned}, and there ran {job:?}");
    }
    Ok(())
}

/// Parses a duration in the format of plans.
fn seconds(text: &str) -> Option<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor)
}

fn check(jobs: &[Job], deleted: &str) -> anyhow::Result<Outcome> {
    let names: BTreeSet<&str> = jobs.iter().map(|job| job.job.as_str()).collect();
    ensure!(jobs.len() == JOBS && names.len() == JOBS, "{} records of {} jobs in place of {JOBS}", jobs.len(), names.len());
    for job in jobs {
        let may_be_deleted = deleted == job.job;
        let is_well = job.state == "succeeded" || may_be_deleted && job.state == "deleted";
        ensure!(is_well, "job {} is {}: {:?}", job.job, job.state, job.reason);
    }
    let mut deferred = 0;
    for job in jobs {
        let Some(admitted) = job.admitted else { continue };
        for other in jobs {
            let was_waiting = other.arrived.is_some_and(|arrived| arrived < admitted) && other.admitted.is_some_and(|at| at > admitted);
            ensure!(
                !(was_waiting && other.priority < job.priority),
                "job {} of priority {} was admitted before job {} of priority {}, which waited",
                job.job,
                job.priority,
                other.job,
                other.priority
            );
            deferred += usize::from(was_waiting);
        }
    }
    ensure!(deferred > 0, "nobody ever waited: the order was not tested");
    let end = jobs.iter().filter_map(|job| job.ended).fold(0.0, f64::max);
    Ok(Outcome::Passed(format!("{JOBS} jobs once each in {end:.0} s, order by priority")))
}
