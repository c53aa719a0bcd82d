//! Two streams with the same name in one namespace: neither mistakes the other's jobs for its own.

use std::time::Duration;

use fltk_kubernetes::{
    manifest::job_name,
    preflight::{is_new, share},
};
use fltk_plan::{JobSpec, plan::Outcome};
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, Told, task};

async fn first(backend: &str) -> Cluster {
    let cluster = Cluster::new(&[task("a", 1, ""), task("b", 2, "")], PARALLEL, &format!("backend: {backend}"));
    share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    cluster
}

#[tokio::test(start_paused = true)]
async fn new_stream_is_refused_if_a_namesake_has_jobs() {
    for backend in ["pytorchjob", "trainjob"] {
        let first = first(backend).await;
        is_new(&first.scenario.client(), &first.context).await.unwrap();
        first.run(async |_| {}).await.assert_all_succeeded();
        let second = first.begun_elsewhere();
        let message = is_new(&second.scenario.client(), &second.context).await.unwrap_err().to_string();
        assert!(message.starts_with("namespace `default` has jobs of another stream named `edge-1`, such as `trainjob-"), "{message}");
        assert!(message.contains("fltk cluster --down edge-1 --namespace default"), "{message}");
        // A stream with another name doesn't conflict with it.
        let mut context = (*second.context).clone();
        context.run = "edge-2".to_owned();
        is_new(&second.scenario.client(), &context).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_namesake_are_neither_adopted_nor_changed() {
    for backend in ["pytorchjob", "trainjob"] {
        let first = first(backend).await;
        // Both streams started at the same moment, before either had a job.
        sleep(Duration::from_secs(1)).await;
        let second = first.begun_elsewhere();
        let told = Told::default();
        first.process(first.scenario.client(), &told, told.until("b", "running")).await;
        let plural = format!("{backend}s");
        let object = || ["a", "b"].map(|name| first.scenario.get(&plural, NAMESPACE, &first.object(name)).unwrap());
        let before = object();
        let theirs = second.run(async |_| {}).await;
        for name in ["a", "b"] {
            let record = theirs.record(name);
            assert_eq!(record.outcome, Some(Outcome::Failed));
            let reason = record.reason.unwrap();
            assert!(reason.contains("belongs to another stream named `edge-1`, begun at"), "{reason}");
        }
        let spec =
            |objects: [serde_json::Value; 2]| objects.map(|object| (object["metadata"]["annotations"].clone(), object["spec"].clone()));
        assert_eq!(spec(object()), spec(before));
        first.run(async |_| {}).await.assert_all_succeeded();
    }
}

/// A config map of job `spec` that exists before the job and contains `text`.
fn config_map(spec: &JobSpec, text: &str) -> serde_json::Value {
    let labels = json!({ "fltk.node/run": "edge-1", "fltk.node/job": spec.id.to_string() });
    let metadata = json!({ "name": format!("master-{}-0", spec.id), "labels": labels });
    json!({ "metadata": metadata, "immutable": true, "data": { "experiment.yaml": text } })
}

#[tokio::test(start_paused = true)]
async fn equivalent_config_map_of_another_version_is_used() {
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    let spec = cluster.specs().remove(0);
    // The text leaves out the settings with defaults, as a version without those settings would have written it.
    let text = format!("name: edge\nseeds: [{}]\ntasks:\n  - {}\n", spec.arrival.seed.0, task("a", 1, ""));
    let map = config_map(&spec, &text);
    cluster.scenario.create_by_hand("configmaps", NAMESPACE, map.clone());
    let told = cluster
        .run(async |told| {
            told.until("a", "running").await;
            let there = cluster.scenario.get("configmaps", NAMESPACE, map["metadata"]["name"].as_str().unwrap()).unwrap();
            assert_eq!(there["data"], map["data"]);
            let job = cluster.scenario.get("pytorchjobs", NAMESPACE, &job_name(&spec.id)).unwrap();
            assert_eq!(there["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"], "gone with the job");
        })
        .await;
    told.assert_all_succeeded();
    assert!(told.troubles().is_empty(), "{:?}", told.troubles());
}

/// A stream resumed from an earlier version has partitions of version 1, which its folder says; config maps that were created then mean the same.
#[test]
fn config_map_without_partition_version_means_the_first() {
    let federated = |version: &str| {
        let federated = format!("clients: 10, clients_per_round: 2, rounds: 1, partition: {{ type: dirichlet, alpha: 1{version} }}");
        format!("{{ name: a, kind: federated, network: FashionMNISTCNN, dataset: fashion-mnist, federated: {{ {federated} }} }}")
    };
    for (version, expected) in [(", version: 1", [true, true, false]), (", version: 2", [false, false, true]), ("", [false, false, true])] {
        let cluster = Cluster::new(&[federated(version)], PARALLEL, "");
        let spec = cluster.specs().remove(0);
        let said = ["", ", version: 1", ", version: 2"].map(|there| {
            let text = format!("name: edge\nseeds: [{}]\ntasks:\n  - {}\n", spec.arrival.seed.0, federated(there));
            cluster.context.is_said_by(&serde_json::from_value(config_map(&spec, &text)).unwrap(), &spec)
        });
        assert_eq!(said, expected, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn different_config_map_is_not_used() {
    for text in ["of another", "name: edge\nseeds: [1]\ntasks: [{ kind: federated }]\n"] {
        is_not_given_to_pods(text).await;
    }
    let other = task("a", 1, "").replace("epochs: 1", "epochs: 2");
    is_not_given_to_pods(&format!("name: edge\nseeds: [1]\ntasks:\n  - {other}\n")).await;
}

async fn is_not_given_to_pods(text: &str) {
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    let spec = cluster.specs().remove(0);
    let map = config_map(&spec, text);
    let name = map["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.scenario.create_by_hand("configmaps", NAMESPACE, map);
    let told = cluster.run(async |_| {}).await;
    let record = told.record("a");
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert!(record.reason.as_ref().unwrap().contains("immutable"), "{:?}", record.reason);
    let job = cluster.scenario.get("pytorchjobs", NAMESPACE, &job_name(&spec.id)).unwrap();
    assert_eq!(job["spec"]["runPolicy"]["suspend"], true);
    let there = cluster.scenario.get("configmaps", NAMESPACE, &name).unwrap();
    assert_eq!(there["metadata"]["ownerReferences"], serde_json::Value::Null, "it stays whose it was");
}
