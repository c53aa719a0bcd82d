//! Jobs that fail, and the messages that users get about them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fake_kubernetes::{End, Fate, Start};
use fltk_core::termination::TerminationReport;
use fltk_kubernetes::{look::waits, preflight::share};
use fltk_plan::plan::{JobRecord, Outcome};
use tokio::time::sleep;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, task};

fn report(exit: u8, error: &str) -> Fate {
    let report = TerminationReport { error: Some(error.to_owned()), exit, ..TerminationReport::default() };
    Fate::fails(i32::from(exit), &report.to_json().unwrap())
}

async fn check(kubernetes: &str, master: Fate, worker: Fate, expected: &str) {
    let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, kubernetes);
    cluster.scenario.operator(move |run| if run.role == "master" { master.clone() } else { worker.clone() });
    let told = cluster.run(async |_| {}).await;
    let record = told.record("pair");
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let (reason, expected) =
        (record.reason.unwrap(), format!("rank {expected} (PyTorchJob {} is failed because 1 ", cluster.object("pair")));
    assert!(reason.starts_with(&expected) && reason.ends_with(" replica(s) failed.)"), "{reason}\n{expected}");
}

const NEVER: &str = "restart_policy: Never";

#[tokio::test(start_paused = true)]
async fn failed_pod_reports_its_reason() {
    let oom = "out of memory: it was killed at its limit; raise `memory` in the task's `resources`";
    check(NEVER, Fate::ends(End::OutOfMemory), Fate::runs_on(), &format!("0: {oom}")).await;
    check(NEVER, Fate::runs_on(), Fate::ends(End::OutOfMemory), &format!("1: {oom}")).await;
    check(NEVER, report(3, "no data at `/d`\nhint: fetch it"), Fate::runs_on(), "0: exit code 3: no data at `/d` hint: fetch it").await;
    check(NEVER, Fate::fails(1, "Traceback"), Fate::runs_on(), "0: exit code 1: Traceback").await;
    check(NEVER, Fate::fails(137, ""), Fate::runs_on(), "0: killed, exit code 137").await;
    check(NEVER, Fate::ends(End::Evicted), Fate::runs_on(), "0: Evicted: The node was low on resource: memory.").await;
}

#[tokio::test(start_paused = true)]
async fn pod_that_lost_a_peer_is_not_blamed() {
    let check = async |master: Fate, worker: Fate, expected: &str| {
        let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, NEVER);
        cluster.scenario.operator(move |run| if run.role == "master" { master.clone() } else { worker.clone() });
        let reason = cluster.run(async |_| {}).await.record("pair").reason.unwrap();
        assert!(reason.starts_with(expected), "{reason}");
    };
    check(report(7, "rank 1 is lost"), report(5, "no disk"), "rank 1: exit code 5: no disk (").await;
    check(report(77, "its own"), report(5, "no disk"), "rank 0: exit code 77: its own (").await;
    check(report(7, "rank 1 is lost"), Fate::runs_on(), "rank 0: exit code 7: rank 1 is lost (").await;
}

/// Returns how often each rank of a job with three ranks and a backoff limit of 2 ran, and how the job ended. In the first `num_losses` runs rank 2 is
/// killed, and the other ranks lose their connection to it unless they are asked to stop first.
async fn lose(backend: &str, num_losses: u32) -> (u32, JobRecord) {
    let config = format!("backend: {backend}, run_policy: {{ backoff_limit: 2 }}");
    let cluster = Cluster::new(&[task("trio", 3, "")], PARALLEL, &config);
    share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    let num_runs = Arc::new(AtomicU32::new(0));
    let most = Arc::clone(&num_runs);
    cluster.scenario.operator(move |run| {
        most.fetch_max(run.attempt + 1, Ordering::Relaxed);
        let is_lost = if run.role == "node" { run.index == 2 } else { run.role == "worker" && run.index == 1 };
        match (run.attempt < num_losses, is_lost) {
            (false, _) => Fate::succeeds(""),
            (true, true) => Fate::fails(137, ""),
            (true, false) => report(7, "the connection to another rank broke"),
        }
    });
    let told = cluster.run(async |_| {}).await;
    (num_runs.load(Ordering::Relaxed), told.record("trio"))
}

#[tokio::test(start_paused = true)]
async fn job_that_always_dies_fails_after_the_loss_limit() {
    for (backend, words) in [("pytorchjob", "it has reached the specified backoff limit"), ("trainjob", "due to one or more job failures")]
    {
        let (num_runs, record) = lose(backend, 2).await;
        assert_eq!((num_runs, record.outcome), (3, Some(Outcome::Succeeded)), "{backend}: {:?}", record.reason);
        assert!(record.words.is_empty());
        let (num_runs, record) = lose(backend, u32::MAX).await;
        assert_eq!((num_runs, record.outcome), (4, Some(Outcome::Failed)), "{backend}: the third loss is one too many");
        let reason = record.reason.unwrap();
        assert!(reason.starts_with("rank 2: killed, exit code 137 (") && reason.contains(words), "{reason}");
        // Its pods are gone, but their messages are kept.
        let words: Vec<_> = record.words.iter().map(|said| (said.pod, said.words.as_str())).collect();
        let lost = "exit code 7: the connection to another rank broke";
        assert_eq!(words, [(0, lost), (1, lost), (2, "killed, exit code 137")]);
    }
}

/// A deleted pod takes its restart count with it. The training operator doesn't count the deletion; Kubernetes' jobs count such pods separately, up to the
/// same limit.
#[tokio::test(start_paused = true)]
async fn deleted_pod_is_not_counted_as_a_restart() {
    for (backend, pods, num_deleted, outcome) in [
        ("pytorchjob", "worker-0", 20, Outcome::Succeeded),
        ("trainjob", "node-0-1-", 4, Outcome::Succeeded),
        ("trainjob", "node-0-1-", 5, Outcome::Failed),
    ] {
        let config = format!("backend: {backend}, run_policy: {{ backoff_limit: 1 }}");
        let cluster = Cluster::new(&[task("trio", 3, "")], PARALLEL, &config);
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let is_enough = Arc::new(AtomicBool::new(false));
        let enough = Arc::clone(&is_enough);
        cluster.scenario.operator(move |_| if enough.load(Ordering::Relaxed) { Fate::succeeds("") } else { Fate::succeeds("").after(300) });
        let told = cluster
            .run(async |told| {
                told.until("trio", "running").await;
                for _ in 0..num_deleted {
                    sleep(Duration::from_secs(1)).await;
                    let names = cluster.scenario.names("pods", Some(NAMESPACE));
                    let pod = names.iter().find(|name| name.contains(pods)).unwrap();
                    cluster.scenario.delete_by_hand("pods", NAMESPACE, pod);
                }
                is_enough.store(true, Ordering::Relaxed);
            })
            .await;
        let record = told.record("trio");
        assert_eq!(record.outcome, Some(outcome), "{backend}, {num_deleted} times: {:?}", record.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_pods_report_their_reason() {
    for (start, words) in [
        (Start::NoImage, "1 of 2 pods wait: ImagePullBackOff: Back-off pulling image"),
        (Start::Unschedulable, "1 of 2 pods wait: 0/1 nodes are available: 1 Insufficient cpu."),
    ] {
        let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, "");
        cluster.scenario.operator(move |run| if run.role == "master" { Fate::runs_on() } else { Fate::never_starts(start.clone()) });
        let told = cluster
            .run(async |told| {
                told.until_waits("pair", words).await;
                cluster.scenario.delete_by_hand("pytorchjobs", NAMESPACE, &cluster.object("pair"));
            })
            .await;
        assert_eq!(told.states()["pair"], "deleted");
    }
}

#[tokio::test(start_paused = true)]
async fn uncreatable_pods_are_reported() {
    for backend in ["pytorchjob", "trainjob"] {
        let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, &format!("backend: {backend}"));
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        cluster.scenario.refuse_pods(Some("exceeded quota: small, requested: requests.cpu=1"));
        let told = cluster
            .run(async |told| {
                told.until_waits("pair", "2 of 2 pods aren't there, which its operator should create: a quota").await;
                let (client, spec) = (cluster.scenario.client(), cluster.specs().remove(0));
                let look = async || waits(&client, &cluster.context, &spec, false, cluster.now()).await;
                let words = look().await.unwrap();
                assert!(words.starts_with("2 of 2 pods can't be made: ") && words.contains("exceeded quota: small"), "{words}");
                cluster.scenario.forbid("list", "events.events.k8s.io");
                let words = look().await.unwrap();
                assert!(words.contains("`kubectl describe` of the job says what"), "{words}");
                assert_eq!(told.stuck(), [""; 0]);
                sleep(Duration::from_secs(70)).await;
                assert_eq!(told.stuck().len(), 1, "once: {:?}", told.stuck());
                assert!(told.stuck()[0].contains("2 of 2 pods aren't there"), "{:?}", told.stuck());
                cluster.scenario.refuse_pods(None);
            })
            .await;
        told.assert_all_succeeded();
    }
}
