//! Removal of the objects that a run created, and of nothing else.

use fake_kubernetes::{Fate, KUBEFLOW, TRAINER};
use fltk_kubernetes::{
    End,
    down::{Removed, down},
    manifest::runtime_name,
    preflight::share,
};
use serde_json::json;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, Told, task};

/// A run with two running jobs, next to objects of other owners.
async fn at_work(kubernetes: &str) -> Cluster {
    let cluster = Cluster::new(&[task("pair", 2, ""), task("alone", 1, "")], PARALLEL, kubernetes);
    cluster.scenario.operator(|_| Fate::runs_on());
    for (name, labels) in [("foreign", json!({ "app": "x" })), ("another", json!({ "fltk.node/run": "edge-2" }))] {
        for kind in ["pytorchjobs", "trainjobs", "configmaps", "trainingruntimes"] {
            let object = json!({ "metadata": { "name": name, "labels": labels }, "spec": {} });
            cluster.scenario.create_by_hand(kind, NAMESPACE, object);
        }
    }
    // This config map has no owner: its job was gone when it was created.
    let orphan = json!({ "metadata": { "name": "orphan", "labels": { "fltk.node/run": cluster.context.run } } });
    cluster.scenario.create_by_hand("configmaps", NAMESPACE, orphan);
    share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    let told = Told::default();
    let killed = async {
        told.until("pair", "running").await;
        told.until("alone", "running").await;
    };
    assert_eq!(cluster.process(cluster.scenario.client(), &told, killed).await, End::Stopped);
    cluster
}

async fn remove(cluster: &Cluster) -> Removed {
    let client = cluster.scenario.client();
    tokio::select! {
        removed = down(&client, NAMESPACE, &cluster.context.run) => removed.unwrap(),
        () = cluster.tick_on() => unreachable!("it never ends"),
    }
}

#[tokio::test(start_paused = true)]
async fn all_objects_of_a_run_are_removed() {
    // The config maps of its jobs, whether `down` or the garbage collector removes them, and one without an owner.
    for (backend, runtimes, config_maps) in [("pytorchjob", 0, 4), ("trainjob", 2, 3)] {
        let cluster = at_work(&format!("backend: {backend}")).await;
        let has_runtime =
            |num_pods| cluster.scenario.get("trainingruntimes", NAMESPACE, &runtime_name(&cluster.context.run, num_pods)).is_some();
        assert_eq!([has_runtime(1), has_runtime(2)], [runtimes == 2; 2]);
        assert_eq!(remove(&cluster).await, Removed { skipped: Vec::new(), jobs: 2, config_maps, runtimes, pods_left: 0 });
        for kind in ["pytorchjobs", "trainjobs", "configmaps", "trainingruntimes"] {
            assert_eq!(cluster.scenario.names(kind, Some(NAMESPACE)), ["another", "foreign"], "{kind}");
        }
        assert!(cluster.scenario.names("pods", Some(NAMESPACE)).is_empty());
        assert_eq!(remove(&cluster).await, Removed::default(), "there is nothing more");
    }
}

/// Creates more than one page of config maps of the run, with one of another owner between them.
fn many_maps(cluster: &Cluster, count: usize) {
    for number in 0..count {
        let run = if number == count / 2 { "edge-2" } else { &cluster.context.run };
        let map = json!({ "metadata": { "name": format!("map-{number:05}"), "labels": { "fltk.node/run": run } } });
        cluster.scenario.create_by_hand("configmaps", NAMESPACE, map);
    }
}

#[tokio::test(start_paused = true)]
async fn many_objects_are_removed_page_by_page() {
    let cluster = at_work("").await;
    many_maps(&cluster, 1101);
    assert_eq!(remove(&cluster).await, Removed { jobs: 2, config_maps: 1104, ..Removed::default() });
    assert_eq!(cluster.scenario.names("configmaps", Some(NAMESPACE)), ["another", "foreign", "map-00550"]);
    let queries = page_queries(&cluster);
    assert_eq!(queries.len(), 3, "{queries:?}");
    assert!(queries.iter().all(|query| query.contains("limit=500")), "{queries:?}");
    assert_eq!(queries.iter().filter(|query| query.contains("continue=")).count(), 2, "{queries:?}");
}

/// Returns the queries of the requests so far that removed config maps.
fn page_queries(cluster: &Cluster) -> Vec<String> {
    let requests = cluster.scenario.requests().into_iter();
    requests.filter(|call| call.method == "DELETE" && call.path.ends_with("/configmaps")).map(|call| call.query).collect()
}

#[tokio::test(start_paused = true)]
async fn removal_continues_when_a_list_expires() {
    let cluster = at_work("").await;
    many_maps(&cluster, 1101);
    let expire = async {
        while page_queries(&cluster).is_empty() {
            tokio::task::yield_now().await;
        }
        cluster.scenario.expire_watches();
    };
    let (removed, ()) = tokio::join!(remove(&cluster), expire);
    assert_eq!(removed.jobs, 2);
    assert!(cluster.scenario.requests().iter().any(|call| call.code == Some(410)), "no page was too old");
    assert_eq!(cluster.scenario.names("configmaps", Some(NAMESPACE)), ["another", "foreign", "map-00550"]);
}

#[tokio::test(start_paused = true)]
async fn removal_works_without_operators() {
    let cluster = at_work("").await;
    cluster.scenario.uninstall(KUBEFLOW);
    cluster.scenario.uninstall(TRAINER);
    assert_eq!(remove(&cluster).await, Removed { config_maps: 1, ..Removed::default() });
}

#[tokio::test(start_paused = true)]
async fn remaining_pods_are_counted() {
    let cluster = at_work("").await;
    let removed = down(&cluster.scenario.client(), NAMESPACE, &cluster.context.run).await.unwrap();
    assert_eq!(removed.pods_left, 3, "their nodes stand still");
}
