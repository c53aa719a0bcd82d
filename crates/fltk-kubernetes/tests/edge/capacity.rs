//! Jobs that are admitted by the free capacity of the nodes.

use std::time::Duration;

use fake_kubernetes::Fate;
use fltk_kubernetes::{End, preflight::share};
use fltk_plan::plan::Outcome;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, Told, task};

const RESOURCES: &str = "resources: { master: { cores: 2, memory: 1Gi }, worker: { cores: 2, memory: 1Gi } }";
const PATIENCE: &str = "unschedulable_timeout: 30s";

/// A cluster whose jobs have 2 cores per pod, with a single node of 4 cores.
fn cluster(tasks: &[(&str, u32)]) -> Cluster {
    cluster_with(tasks, "backend: pytorchjob")
}

/// The same cluster with further settings in the `kubernetes` block.
fn cluster_with(tasks: &[(&str, u32)], kubernetes: &str) -> Cluster {
    let tasks: Vec<String> = tasks.iter().map(|(name, ranks)| task(name, *ranks, RESOURCES)).collect();
    let cluster =
        Cluster::new(&tasks, &format!("{PARALLEL}, backfill: true, admission: {{ type: capacity }}"), &format!("{PATIENCE}, {kubernetes}"));
    cluster.scenario.operator(|run| if run.job == "other" { Fate::runs_on() } else { Fate::succeeds("").after(20) });
    cluster
}

async fn patch_node(cluster: &Cluster, spec: Value) {
    let nodes: Api<Node> = Api::all(cluster.scenario.client());
    nodes.patch("node-0", &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
}

/// Places a pod of another owner on the node.
fn place_other(cluster: &Cluster, namespace: &str, labels: &Value, cpu: &str) {
    let container = json!({ "name": "c", "image": "x", "resources": { "requests": { "cpu": cpu } } });
    let pod = json!({ "metadata": { "name": "other", "labels": labels }, "spec": { "nodeName": "node-0", "containers": [container] } });
    cluster.scenario.create_by_hand("pods", namespace, pod);
}

#[tokio::test(start_paused = true)]
async fn gang_waits_until_all_pods_fit() {
    let cluster = cluster(&[("three", 3), ("two", 2)]);
    let told = cluster
        .run(async |told| {
            told.until_waits("three", "1 of 3 pods unschedulable: insufficient cpu (1 node), and no place was found").await;
            told.until("two", "running").await;
            cluster.scenario.node("node-1", "2", "16Gi");
        })
        .await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
    assert!(told.record("three").admitted >= told.record("two").ended, "both nodes are needed for it");
    assert!(told.waits("three").iter().any(|words| words.contains("frees when job")), "{:?}", told.waits("three"));
}

#[tokio::test(start_paused = true)]
async fn oversized_job_fails() {
    let cluster = cluster(&[("huge", 4), ("one", 1)]);
    let told = cluster.run(async |_| {}).await;
    let record = told.record("huge");
    assert_eq!((record.outcome, record.admitted), (Some(Outcome::Failed), None));
    assert_eq!(
        record.reason.unwrap(),
        "timed out after 30 s: 2 of 4 pods unschedulable: insufficient cpu (1 node), and no place was found for them on empty nodes: request less, or add nodes"
    );
    assert!((30_000..33_000).contains(&record.ended.unwrap().as_millis()));
    assert_eq!(told.states()["one"], "succeeded");
    assert_eq!(cluster.scenario.creates("pytorchjobs"), [cluster.object("one")]);
}

#[tokio::test(start_paused = true)]
async fn oversized_job_behind_a_waiting_job_fails() {
    for policy in ["fifo", "priority", "fair_share", "shortest_first"] {
        let tasks = [task("first", 2, RESOURCES), task("second", 2, RESOURCES), task("huge", 4, RESOURCES)];
        let stream = format!("orchestrator: trace, trace: trace.csv, policy: {policy}, admission: {{ type: capacity }}");
        let cluster = Cluster::with_trace(&tasks, &stream, PATIENCE, "0,first,0\n1,second,0\n2,huge,1\n");
        cluster.scenario.operator(|_| Fate::succeeds("").after(600));
        let told = cluster.run(async |_| {}).await;
        let record = told.record("huge");
        assert_eq!((record.outcome, record.admitted), (Some(Outcome::Failed), None), "{policy}");
        assert!((32_000..35_000).contains(&record.ended.unwrap().as_millis()), "{policy}: {record:?}");
        assert!(told.waits("huge").iter().all(|words| words.contains("on empty nodes")), "{policy}: {:?}", told.waits("huge"));
        assert_eq!((told.states()["first"], told.states()["second"]), ("succeeded", "succeeded"));
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_pods_use_capacity() {
    let ours = json!({ "fltk.node/run": "edge-1" });
    // The labels of a job of an earlier replication, which the planner no longer knows.
    let earlier = json!({ "fltk.node/run": "edge-1", "fltk.node/job": "earlier" });
    for (namespace, labels) in [("kube-system", json!({})), (NAMESPACE, json!({})), (NAMESPACE, ours), (NAMESPACE, earlier)] {
        let cluster = cluster(&[("one", 1)]);
        place_other(&cluster, namespace, &labels, "2500m");
        let told = cluster
            .run(async |told| {
                told.until_waits("one", "1 of 1 pods unschedulable: insufficient cpu (1 node)").await;
                sleep(Duration::from_secs(60)).await;
                assert_eq!(told.states()["one"], "waiting", "it isn't given up: the pod may go");
                cluster.scenario.delete_by_hand("pods", namespace, "other");
            })
            .await;
        told.assert_all_succeeded();
        assert!(told.record("one").admitted.unwrap().as_millis() > 60_000);
    }
}

#[tokio::test(start_paused = true)]
async fn capacity_of_a_running_job_is_counted_once() {
    let cluster = cluster(&[("one", 1), ("three", 3)]);
    let told = cluster
        .run(async |told| {
            told.until("one", "running").await;
            cluster.scenario.node("node-1", "4", "16Gi");
        })
        .await;
    told.assert_all_succeeded();
    assert!(told.record("three").admitted < told.record("one").ended, "one has 2 of the 8 cores");
}

#[tokio::test(start_paused = true)]
async fn worker_that_outlives_its_job_keeps_its_capacity() {
    let cluster = cluster_with(&[("first", 2), ("next", 2)], "run_policy: { clean_pod_policy: None }");
    let first = cluster.object("first");
    let made = [first.clone()];
    cluster.scenario.operator(move |run| Fate::succeeds("").after(if run.job == first && run.role == "worker" { 300 } else { 20 }));
    let told = cluster
        .run(async |told| {
            told.until("first", "succeeded").await;
            told.until_waits("next", "1 of 2 pods unschedulable: insufficient cpu (1 node)").await;
            let num_before = cluster.num_records();
            sleep(Duration::from_secs(20)).await;
            assert_eq!(cluster.scenario.creates("pytorchjobs"), made);
            assert_eq!(cluster.num_records(), num_before, "nothing is news");
        })
        .await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
    let [ended, admitted] = [told.record("first").ended, told.record("next").admitted].map(|time| time.unwrap().as_millis());
    assert!(ended < 6_000 && (30_000..42_000).contains(&admitted), "{ended} {admitted}");
}

/// The moment at which another process takes over the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakenUp {
    Never,
    /// The job is deleted while no process is watching.
    Before,
    /// The first process has seen the deletion.
    After,
}

/// Deletes the first job, whose pods don't stop at once, while the next job waits for its place.
async fn pods_on_their_way_out(backend: &str, taken_up: TakenUp) {
    let cluster = cluster_with(&[("first", 2), ("next", 2)], &format!("backend: {backend}"));
    share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    let (plural, first) = (format!("{backend}s"), cluster.object("first"));
    let delete = || {
        cluster.is_still.set(true);
        cluster.scenario.delete_by_hand(&plural, NAMESPACE, &first);
    };
    let before = Told::default();
    let kill = async {
        before.until("first", "running").await;
        if taken_up == TakenUp::After {
            delete();
            before.until("first", "deleted").await;
        }
    };
    if taken_up != TakenUp::Never {
        assert_eq!(cluster.process(cluster.scenario.client(), &before, kill).await, End::Stopped);
    }
    if taken_up == TakenUp::Before {
        delete();
    }
    let told = cluster
        .run(async |told| {
            if taken_up == TakenUp::Never {
                told.until("first", "running").await;
                delete();
            }
            told.until("first", "deleted").await;
            sleep(Duration::from_secs(25)).await;
            assert_eq!(cluster.scenario.names("pods", Some(NAMESPACE)).len(), 2);
            assert_eq!(cluster.scenario.creates(&plural), std::slice::from_ref(&first), "{backend} {taken_up:?}");
            cluster.is_still.set(false);
        })
        .await;
    assert_eq!((told.states()["first"], told.states()["next"]), ("deleted", "succeeded"), "{backend} {taken_up:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_deleted_job_keep_their_capacity_until_gone() {
    for backend in ["pytorchjob", "trainjob"] {
        for taken_up in [TakenUp::Never, TakenUp::Before, TakenUp::After] {
            pods_on_their_way_out(backend, taken_up).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resumed_orchestrator_plans_with_current_nodes() {
    let cluster = cluster(&[("first", 2), ("next", 2)]);
    let before = Told::default();
    assert_eq!(cluster.process(cluster.scenario.client(), &before, before.until("first", "running")).await, End::Stopped);
    let first = cluster.object("first");
    cluster.scenario.delete_by_hand("pytorchjobs", NAMESPACE, &first);
    cluster.scenario.tick(10);
    assert!(cluster.scenario.names("pods", Some(NAMESPACE)).is_empty());
    place_other(&cluster, "kube-system", &json!({}), "1500m");
    let told = cluster
        .run(async |told| {
            told.until_waits("next", "1 of 2 pods unschedulable: insufficient cpu (1 node)").await;
            sleep(Duration::from_secs(25)).await;
            assert_eq!(cluster.scenario.creates("pytorchjobs"), std::slice::from_ref(&first));
            cluster.scenario.delete_by_hand("pods", "kube-system", "other");
        })
        .await;
    assert_eq!((told.states()["first"], told.states()["next"]), ("deleted", "succeeded"));
}

#[tokio::test(start_paused = true)]
async fn cordoned_nodes_are_excluded_until_uncordoned() {
    let taint = json!({ "taints": [{ "key": "gpu", "value": "a", "effect": "NoSchedule" }] });
    for (closed, open, words) in [
        (json!({ "unschedulable": true }), json!({ "unschedulable": null }), "cordoned (1 node)"),
        (taint, json!({ "taints": null }), "untolerated taint gpu=a (1 node)"),
    ] {
        let cluster = cluster(&[("one", 1)]);
        patch_node(&cluster, closed).await;
        let told = cluster
            .run(async |told| {
                told.until_waits("one", words).await;
                assert!(cluster.scenario.creates("pytorchjobs").is_empty());
                patch_node(&cluster, open).await;
            })
            .await;
        told.assert_all_succeeded();
    }
}

#[tokio::test(start_paused = true)]
async fn node_changes_are_seen_across_ended_watches() {
    let cluster = cluster(&[("one", 1)]);
    cluster.scenario.delete_by_hand("nodes", "", "node-0");
    let told = cluster
        .run(async |told| {
            told.until_waits("one", "there are no nodes").await;
            cluster.scenario.node("node-1", "1", "16Gi");
            told.until_waits("one", "insufficient cpu (1 node)").await;
            cluster.scenario.away(true);
            sleep(Duration::from_secs(2)).await;
            cluster.scenario.delete_by_hand("nodes", "", "node-1");
            cluster.scenario.node("node-2", "4", "16Gi");
            cluster.scenario.expire_watches();
            cluster.scenario.away(false);
        })
        .await;
    told.assert_all_succeeded();
    assert_eq!(told.record("one").nodes.into_iter().collect::<Vec<_>>(), ["node-2"]);
}

#[tokio::test(start_paused = true)]
async fn foreign_pods_are_not_journaled_while_no_job_waits() {
    let cluster = cluster(&[("one", 1)]);
    let told = cluster
        .run(async |told| {
            told.until("one", "running").await;
            let num_before = cluster.num_records();
            for number in 0..15 {
                let name = format!("other-{number}");
                let pod = json!({ "metadata": { "name": name }, "spec": { "nodeName": "node-0", "containers": [{ "name": "c", "image": "x" }] } });
                cluster.scenario.create_by_hand("pods", "kube-system", pod);
                sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(cluster.num_records(), num_before);
        })
        .await;
    told.assert_all_succeeded();
}
