//! An orchestrator in its pod, with its own rights, whose pod is deleted: the next pod takes over, nothing is done twice, and nothing is lost.
//!
//! Its jobs run on kwok nodes, so that there can be many. At the end, the rights that it used are compared with those that the chart gives.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use super::workplace::Workplace;
use crate::{
    cluster::{Right, TestCluster},
    outcome::Outcome,
    parts::cluster::{made_once::MadeOnce, streams::Job},
    sh,
};

/// The parameters of the test.
pub struct Takeover {
    /// The backend, `pytorchjob` or `trainjob`.
    pub backend: &'static str,
    /// The number of jobs, more than those of [`BEFORE`].
    pub jobs: usize,
    /// True if the orchestrator's pod is deleted without a chance to end by itself.
    pub force: bool,
}

const LIMIT: Duration = Duration::from_secs(10 * 60);
const POLL: Duration = Duration::from_secs(1);

const VALUES: &str = "provider: { domain: localhost, projectName: '', imageName: 'none:1', orchestratorImageName: 'fltk-orchestrator:dev' }
storage: { hostPath: <<FOLDER>> }
extractor: { serve: { enabled: false }, tensorboard: { enabled: false } }
orchestrator:
  cpu: 100m
  kubernetes:
    backend: <<BACKEND>>
    log_claim: null
    tolerations: [{ key: kwok.x-k8s.io/node, operator: Exists, effect: NoSchedule }]
    node_selector: { type: kwok }
    restart_policy: Never
    run_policy: { backoff_limit: 0 }
";

const EXPERIMENT: &str = "name: takeover
tasks:
  - { name: plain, kind: distributed, network: LeNet5, dataset: fashion-mnist, distributed: { epochs: 1, data_parallelism: 2 }, priorities: [{ priority: 2, probability: 1 }] }
  - { name: nodes, kind: federated, network: LeNet5, dataset: fashion-mnist, federated: { clients: 4, clients_per_round: 2, rounds: 1, nodes: 2 }, priorities: [{ priority: 2, probability: 1 }] }
  - { name: urgent, kind: distributed, network: LeNet5, dataset: fashion-mnist, distributed: { epochs: 1 }, priorities: [{ priority: 0, probability: 1 }] }
  - name: large
    kind: distributed
    network: LeNet5
    dataset: fashion-mnist
    distributed: { epochs: 1 }
    resources: { master: { cores: 40, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } }
    priorities: [{ priority: 2, probability: 1 }]
  - name: evicted
    kind: distributed
    network: LeNet5
    dataset: fashion-mnist
    distributed: { epochs: 1 }
    resources: { master: { cores: 40, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } }
    priorities: [{ priority: 2, probability: 1 }]
stream:
  orchestrator: trace
  trace: trace.csv
  policy: priority
  admission: { type: max_concurrent, jobs: 2 }
  groups: [{ name: urgent, tasks: [urgent], preempt: true }]
";

/// The arrivals before any pod is deleted: two jobs whose pods are larger than every node, and urgent ones that preempt the same large job, one
/// after the other. The orchestrator then emits the same event for one job twice, which needs a separate right: a repeated event is patched.
const BEFORE: [(f64, &str); 4] = [(0.0, "evicted"), (0.0, "large"), (5.0, "urgent"), (35.0, "urgent")];
/// The class of the job whose pod is evicted.
const EVICTED: &str = "evicted";
/// The label by which a pod or an object names its job.
const JOB_LABEL: &str = "fltk.node/job";
/// The arrival time of the first job after them, in seconds: the pod is evicted before, since the job itself may be preempted later.
const AFTER: f64 = 60.0;

/// The cores of the node that is then added for the large jobs, as an autoscaler would do.
const LARGE_CORES: u32 = 64;

/// Runs the stream, and deletes the pod.
pub fn run(cluster: &TestCluster, workplace: &Workplace<'_>, takeover: &Takeover) -> anyhow::Result<Outcome> {
    let Takeover { backend, jobs: num_jobs, force } = *takeover;
    let (namespace, kind) = (format!("takeover-{backend}"), format!("{backend}s"));
    cluster.namespace(&namespace)?;
    // This comes after the namespace is gone, so that no pods of an earlier test write there.
    let volume = workplace.volume(&namespace)?;
    cluster.restrict(&namespace)?;
    // A killed test may have left this node, and the large jobs would not wait.
    let large = format!("large-for-{namespace}");
    cluster.delete("default", "node", &large)?;
    let folder = volume.to_str().context("a folder whose name is not UTF-8")?;
    workplace.write("takeover.yaml", &VALUES.replace("<<FOLDER>>", folder).replace("<<BACKEND>>", backend))?;
    workplace.write("takeover-experiment.yaml", EXPERIMENT)?;
    workplace.write("trace.csv", &trace(num_jobs))?;
    let install = format!(
        "fltk plan takeover-experiment.yaml > /dev/null
helm install extractor charts/extractor --namespace {namespace} --values takeover.yaml --wait --timeout 2m
helm install orchestrator charts/orchestrator --namespace {namespace} --values takeover.yaml \
            --set-file orchestrator.experiment=takeover-experiment.yaml --set-file 'orchestrator.files.trace\\.csv=trace.csv'"
    );
    let mut made_once = MadeOnce::new(cluster, &namespace, &kind)?;
    workplace.bash(&format!("set -e\n{install}\n"), LIMIT)?;
    let records = Records { workplace, folder: &volume.join("server") };
    records.wait("a job that is preempted twice", |jobs| jobs.iter().any(|job| job.suspensions >= 2))?;
    made_once.expect_anew(evict(cluster, workplace, &namespace, &kind, &records)?);
    let _large = cluster.node(&large, LARGE_CORES)?;
    let before = records.wait("enough ended jobs", |jobs| ended(jobs) >= num_jobs / 2)?;
    ensure!(ended(&before) < num_jobs, "the stream was over before its pod was deleted");
    made_once.look()?;
    let grace = if force { "--grace-period=0 --force" } else { "" };
    workplace.bash(
        &format!("kubectl --namespace {namespace} delete pod --selector app.kubernetes.io/component=orchestrator --wait=false {grace}"),
        LIMIT,
    )?;
    let wait = format!(
        "kubectl --namespace {namespace} wait --for=condition=complete --timeout=8m job --selector app.kubernetes.io/component=orchestrator"
    );
    workplace.bash(&wait, LIMIT)?;
    let jobs = records.jobs()?;
    check(&jobs, num_jobs)?;
    let there = made_once.end(num_jobs)?;
    ensure!(there == num_jobs, "{there} objects in place of {num_jobs}");
    let rights = rights(cluster, &namespace)?;
    workplace.bash(&format!("helm --namespace {namespace} uninstall orchestrator extractor --wait"), LIMIT)?;
    let claims = cluster.names(&namespace, "persistentvolumeclaims", "")?;
    ensure!(claims.len() == 2, "of the claims only {claims:?} are left");
    let suspensions: u32 = jobs.iter().map(|job| job.suspensions).sum();
    Ok(Outcome::Passed(format!(
        "{num_jobs} jobs once each, pod deleted after {}, {suspensions} suspensions, {rights} rights, all used",
        ended(&before)
    )))
}

/// Returns the trace: the arrivals of [`BEFORE`], then jobs that can wait, two at a time, which leave no room for an urgent one; one of two is federated
/// and has nodes, whose credentials take a right of their own.
fn trace(jobs: usize) -> String {
    let after = (BEFORE.len()..jobs).map(|number| {
        let class = ["plain", "nodes", "urgent"][number % 3];
        (AFTER + (number - BEFORE.len()) as f64 * 0.8, class)
    });
    let mut trace = String::from("time,class\n");
    for (time, class) in BEFORE.into_iter().chain(after) {
        writeln!(trace, "{time:.1},{class}").expect("a String takes it");
    }
    trace
}

/// Makes the pod of the job [`EVICTED`] fail as a node that evicts it does, and waits until the job has failed. Returns the name
/// of the job's object, which the next orchestrator removes, to make it anew: that takes the right to delete.
fn evict(cluster: &TestCluster, workplace: &Workplace<'_>, namespace: &str, kind: &str, records: &Records<'_>) -> anyhow::Result<String> {
    let is_evicted = |job: &&Job| job.class == EVICTED;
    let jobs = records.jobs()?;
    let job = &jobs.iter().find(is_evicted).context("no job to evict")?.job;
    workplace.bash(
        &format!(
            "kubectl --namespace {namespace} patch \"$(kubectl --namespace {namespace} get pods --selector {JOB_LABEL}={job} --output name)\" \
                     --subresource status --patch '{{\"status\": {{\"phase\": \"Failed\", \"reason\": \"Evicted\"}}}}'"
        ),
        LIMIT,
    )?;
    records.wait("the failure of an evicted job", |jobs| jobs.iter().find(is_evicted).is_some_and(|job| job.state == "failed"))?;
    let objects = cluster.names(namespace, kind, &format!("{JOB_LABEL}={job}"))?;
    let name = objects.first().and_then(|object| object.rsplit('/').next()).context("the evicted job has no object")?;
    Ok(name.to_owned())
}

struct Records<'a> {
    workplace: &'a Workplace<'a>,
    folder: &'a Path,
}

impl Records<'_> {
    /// Returns the state of the stream's jobs so far, from its journal on the volume.
    fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        let mut entries = std::fs::read_dir(self.folder)?;
        let Some(stream) = entries.find_map(|entry| entry.ok().filter(|entry| entry.path().join("journal.jsonl").exists())) else {
            return Ok(Vec::new());
        };
        let mut command = self.workplace.fltk();
        command.args(["runs", "jobs", "--output", "json", "--runs"]).arg(self.folder).arg(stream.file_name());
        serde_json::from_str(&sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)?).context("`fltk runs jobs` printed no list of jobs")
    }

    fn wait(&self, what: &str, is_so: impl Fn(&[Job]) -> bool) -> anyhow::Result<Vec<Job>> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let jobs = self.jobs()?;
            if is_so(&jobs) {
                return Ok(jobs);
            }
            if Instant::now() >= deadline {
                bail!("{what} never came: {jobs:?}");
            }
            thread::sleep(POLL);
        }
    }
}

fn ended(jobs: &[Job]) -> usize {
    jobs.iter().filter(|job| job.ended.is_some()).count()
}

fn check(jobs: &[Job], expected: usize) -> anyhow::Result<()> {
    let names: BTreeSet<&str> = jobs.iter().map(|job| job.job.as_str()).collect();
    ensure!(jobs.len() == expected && names.len() == expected, "{} records of {} jobs in place of {expected}", jobs.len(), names.len());
    for job in jobs {
        ensure!(job.state == "succeeded", "job {} is {}: {:?}", job.job, job.state, job.reason);
    }
    ensure!(jobs.iter().any(|job| job.suspensions > 0), "no job was preempted");
    Ok(())
}

/// Checks that the orchestrator used all of its rights, and tried nothing else. Returns the number of rights.
fn rights(cluster: &TestCluster, namespace: &str) -> anyhow::Result<usize> {
    const ACCOUNT: &str = "orchestrator";
    let (used, granted) = (cluster.used(namespace, ACCOUNT)?, cluster.granted(namespace, ACCOUNT)?);
    let said = |rights: Vec<&Right>| rights.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    ensure!(used.refused.is_empty(), "it was refused {}", said(used.refused.iter().collect()));
    ensure!(!granted.is_empty(), "it has no rights, or they weren't found");
    let idle = said(granted.difference(&used.allowed).collect());
    ensure!(idle.is_empty(), "it has rights that it never used: {idle}");
    let foreign = said(used.allowed.difference(&granted).collect());
    ensure!(foreign.is_empty(), "it used rights that the chart doesn't give: {foreign}");
    Ok(granted.len())
}
