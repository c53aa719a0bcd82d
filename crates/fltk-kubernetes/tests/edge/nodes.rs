//! Federated jobs with nodes: their credentials, and Events on nodes that are lost.

use std::time::Duration;

use fake_kubernetes::Fate;
use fltk_kubernetes::{preflight::share, retry::clear};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    harness::{Cluster, NAMESPACE, PARALLEL, federated},
    kills::{kill, kills},
};

/// Asserts that the job's object and each of its pods name one Secret, which the object owns. Returns the Secret's name.
fn assert_credentials(cluster: &Cluster, plural: &str, when: &str) -> String {
    let job = cluster.scenario.get(plural, NAMESPACE, &cluster.object("trio")).unwrap();
    let name = job["metadata"]["annotations"]["fltk.node/credentials"].as_str().unwrap().to_owned();
    let secret = cluster.scenario.get("secrets", NAMESPACE, &name).unwrap_or_else(|| panic!("{when}: there is no secret {name}"));
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"], "{when}");
    let volumes = job["spec"].to_string().matches(&format!("\"secretName\":\"{name}\"")).count();
    assert_eq!(volumes, if plural == "pytorchjobs" { 2 } else { 1 }, "{when}: one a template");
    name
}

#[tokio::test(start_paused = true)]
async fn killed_process_leaves_no_job_without_its_credentials() {
    let new = || {
        let cluster = Cluster::new(&[federated("trio", 2, "")], PARALLEL, "");
        cluster.scenario.operator(|_| Fate::succeeds("").after(20));
        cluster
    };
    let whole = new();
    whole.run(async |_| {}).await.assert_all_succeeded();
    for way in kills(&whole) {
        let cluster = new();
        kill(&cluster, way, Duration::ZERO).await.assert_all_succeeded();
        let when = format!("{way:?}");
        assert_credentials(&cluster, "pytorchjobs", &when);
        assert_eq!(cluster.scenario.names("secrets", Some(NAMESPACE)).len(), 1, "{when}");
        let reads = cluster.scenario.requests().into_iter().filter(|call| call.path.contains("/secrets") && call.method != "POST").count();
        assert_eq!(reads, 0, "{when}: none is read");
    }
}

/// The cluster removes what a deleted job owned in its own time: a job of the same name gets other credentials.
#[tokio::test(start_paused = true)]
async fn retried_job_has_credentials_of_its_own() {
    for backend in ["pytorchjob", "trainjob"] {
        let settings = format!("backend: {backend}, restart_policy: Never, run_policy: {{ backoff_limit: 0 }}");
        let cluster = Cluster::new(&[federated("trio", 2, "")], PARALLEL, &settings);
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        cluster.scenario.operator(|_| Fate::fails(6, "no space"));
        cluster.run(async |_| {}).await;
        let plural = format!("{backend}s");
        let first = assert_credentials(&cluster, &plural, "first");
        let secret = cluster.scenario.get("secrets", NAMESPACE, &first).unwrap();
        let jobs = cluster.to_retry(false);
        let client = cluster.scenario.client();
        tokio::select! {
            cleared = clear(&client, &cluster.context, cluster.began(), &jobs) => cleared.unwrap(),
            () = cluster.tick_on() => unreachable!("it never ends"),
        }
        assert_eq!(cluster.scenario.names("secrets", Some(NAMESPACE)), [""; 0], "it went with its job");
        // As if it were still there.
        cluster.scenario.create_by_hand(
            "secrets",
            NAMESPACE,
            serde_json::json!({ "metadata": { "name": first, "labels": secret["metadata"]["labels"] } }),
        );
        cluster.retry(&jobs);
        cluster.scenario.operator(|_| Fate::succeeds("").after(10));
        cluster.run(async |_| {}).await.assert_all_succeeded();
        assert_ne!(assert_credentials(&cluster, &plural, "second"), first);
    }
}

/// The Events of lost nodes: the name of the pod, and the note.
fn losses(cluster: &Cluster) -> Vec<(String, String)> {
    let names = cluster.scenario.names("events.events.k8s.io", None);
    let events = names.iter().map(|name| cluster.scenario.get("events.events.k8s.io", NAMESPACE, name).unwrap());
    let lost = events.filter(|event| event["reason"] == "NodeLost").map(|event| {
        assert_eq!((&event["type"], &event["related"]["kind"]), (&Value::from("Warning"), &Value::from("Pod")), "{event}");
        assert_eq!(event["regarding"]["name"], cluster.object("trio"), "{event}");
        (event["related"]["name"].as_str().unwrap().to_owned(), event["note"].as_str().unwrap().to_owned())
    });
    let mut lost: Vec<_> = lost.collect();
    lost.sort();
    lost
}

#[tokio::test(start_paused = true)]
async fn lost_nodes_are_events_on_their_job() {
    let cluster = Cluster::new(&[federated("trio", 2, "")], PARALLEL, "");
    // The second node is killed once.
    cluster.scenario.operator(|run| match (run.role.as_str(), run.index, run.attempt) {
        ("worker", 1, 0) => Fate::fails(137, ""),
        _ => Fate::succeeds("").after(100),
    });
    let object = cluster.object("trio");
    let told = cluster
        .run(async |told| {
            told.until("trio", "running").await;
            sleep(Duration::from_secs(1)).await;
            cluster.scenario.delete_by_hand("pods", NAMESPACE, &format!("{object}-worker-0"));
            sleep(Duration::from_secs(1)).await;
        })
        .await;
    told.assert_all_succeeded();
    let lost = losses(&cluster);
    assert_eq!(lost.len(), 2, "the federator's end, and those of nodes at the end, are no losses: {lost:?}");
    let said = |index: usize, node: u32, words: &str| {
        let (pod, note) = &lost[index];
        assert_eq!(*pod, format!("{object}-worker-{index}"));
        assert!(
            note.starts_with(&format!("Node {node} ({pod}) is lost, and its work is done by others: ")) && note.contains(words),
            "{note}"
        );
    };
    said(0, 1, "");
    said(1, 2, "killed, exit code 137");
}

#[tokio::test(start_paused = true)]
async fn suspended_job_loses_no_nodes() {
    let cluster = Cluster::with_trace(
        &[federated("trio", 2, ""), federated("urgent", 1, "")],
        "orchestrator: trace, trace: trace.csv, policy: priority, admission: { type: max_concurrent, jobs: 1 }, groups: [{ name: urgent, tasks: [urgent], preempt: true }]",
        "",
        "0,trio,1\n5,urgent,0\n",
    );
    cluster.scenario.operator(|_| Fate::succeeds("").after(100));
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    assert_eq!(told.record("trio").suspensions, 1);
    assert_eq!(losses(&cluster), []);
    assert_credentials(&cluster, "pytorchjobs", "resumed");
}
