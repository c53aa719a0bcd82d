//! Jobs that fail, and what a person is told about it.

use std::time::Duration;

use fltk_cluster::{
    kubernetes::{look::waits, preflight::share},
    plan::Outcome,
};
use fltk_core::termination::TerminationReport;
use tokio::time::sleep;

use crate::{
    harness::{Cluster, NAMESPACE, PARALLEL, task},
    scenario::{End, Fate, Start},
};

fn report(exit: u8, error: &str) -> Fate {
    let report = TerminationReport { error: Some(error.to_owned()), exit, ..TerminationReport::default() };
    Fate::fails(i32::from(exit), &report.to_json().unwrap())
}

async fn check(kubernetes: &str, master: Fate, worker: Fate, expected: &str) {
    let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, kubernetes);
    cluster.scenario.operator(move |run| if run.role == "master" { master.clone() } else { worker.clone() });
    let told = cluster.run(async |_| {}).await;
    let record = told.record("pair");
    assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some(expected)));
}

const NEVER: &str = "restart_policy: Never";

#[tokio::test(start_paused = true)]
async fn a_pod_that_failed_says_why() {
    let oom = "out of memory: it was killed at its limit; ask for more `memory` in the task's `resources`";
    check(NEVER, Fate::ends(End::OutOfMemory), Fate::runs_on(), &format!("pod 0: {oom}")).await;
    check(NEVER, Fate::runs_on(), Fate::ends(End::OutOfMemory), &format!("pod 1: {oom}")).await;
    check(NEVER, report(3, "no data at `/d`\nhint: fetch it"), Fate::runs_on(), "pod 0: exit code 3: no data at `/d` hint: fetch it").await;
    check(NEVER, Fate::fails(1, "Traceback"), Fate::runs_on(), "pod 0: exit code 1: Traceback").await;
    check(NEVER, Fate::ends(End::Evicted), Fate::runs_on(), "pod 0: Evicted: The node was low on resource: memory.").await;
}

#[tokio::test(start_paused = true)]
async fn who_only_lost_another_is_not_blamed() {
    check(NEVER, report(7, "rank 1 is lost"), report(5, "no disk"), "pod 1: exit code 5: no disk").await;
    check(NEVER, report(77, "its own"), report(5, "no disk"), "pod 0: exit code 77: its own").await;
    check(NEVER, report(7, "rank 1 is lost"), Fate::runs_on(), "pod 0: exit code 7: rank 1 is lost").await;
}

#[tokio::test(start_paused = true)]
async fn restarts_have_a_limit() {
    let limit = "run_policy: { backoff_limit: 1 }";
    check(limit, report(4, "not finite"), Fate::runs_on(), "pod 0: exit code 4: not finite").await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_wait_say_what_for() {
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
async fn pods_that_cannot_be_made_say_so() {
    for backend in ["pytorchjob", "trainjob"] {
        let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, &format!("backend: {backend}"));
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        cluster.scenario.refuse_pods(Some("exceeded quota: small, requested: requests.cpu=1"));
        let told = cluster
            .run(async |told| {
                told.until_waits("pair", "2 of 2 pods aren't there, which its operator should make: a quota").await;
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
