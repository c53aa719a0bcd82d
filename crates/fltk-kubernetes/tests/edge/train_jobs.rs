//! Jobs as `TrainJob`s of Kubeflow Trainer.

use fltk_kubernetes::{
    manifest::runtime_name,
    preflight::{check, share},
};
use serde_json::json;

use crate::{
    harness::{Cluster, NAMESPACE, PARALLEL, task},
    preemption,
};

const BACKEND: &str = "backend: trainjob";

/// Asserts that the runtimes are created, whatever the number of processes.
async fn make_runtimes(cluster: &Cluster, nums_pods: &[u32]) {
    for _ in 0..2 {
        check(&cluster.scenario.client(), &cluster.context, &cluster.specs(), false).await.unwrap();
        assert!(cluster.scenario.creates("trainjobs").is_empty());
    }
    assert!(cluster.scenario.names("trainingruntimes", None).is_empty(), "checking makes nothing");
    for _ in 0..2 {
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    }
    let expected: Vec<String> = nums_pods.iter().map(|num_pods| runtime_name(&cluster.context.run, *num_pods)).collect();
    assert_eq!(cluster.scenario.creates("trainingruntimes"), expected);
    assert!(cluster.scenario.creates("trainjobs").is_empty() && cluster.scenario.names("configmaps", None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn train_jobs_run() {
    let cluster = Cluster::new(&[task("pair", 2, ""), task("alone", 1, "")], PARALLEL, BACKEND);
    make_runtimes(&cluster, &[1, 2]).await;
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    cluster.assert_made_once("trainjobs");
    let record = told.record("pair");
    assert_eq!([record.first_pod, record.ended].map(|time| time.unwrap().as_millis()), [200, 300]);
    assert_eq!(cluster.scenario.creates("configmaps").len(), 2, "one a job: its pods can't differ");
}

#[tokio::test(start_paused = true)]
async fn preempted_train_job_is_suspended_and_resumed() {
    let cluster = preemption::cluster(BACKEND);
    make_runtimes(&cluster, &[1, 2]).await;
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    cluster.assert_made_once("trainjobs");
    assert_eq!(told.record("low").suspensions, 1);
    let low = cluster.scenario.get("trainjobs", NAMESPACE, &cluster.object("low")).unwrap();
    assert_eq!((&low["spec"]["suspend"], &low["metadata"]["annotations"]["fltk.node/attempt"]), (&json!(false), &json!("2")));
}

#[tokio::test(start_paused = true)]
async fn train_jobs_without_their_runtime_fail() {
    let cluster = Cluster::new(&[task("alone", 1, "")], PARALLEL, BACKEND);
    let told = cluster.run(async |_| {}).await;
    let reason = told.record("alone").reason.unwrap();
    assert!(reason.ends_with("specified trainingRuntime must be created before the TrainJob is created"), "{reason}");
}
