//! The operators and the nodes: jobs and their pods.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{NAMESPACE, api, pytorch_job, pytorch_jobs, status_of};
use fake_kubernetes::{End, Fate, Scenario, Start, TRAINER};

fn train_jobs(client: &Client) -> Api<DynamicObject> {
    api(client, TRAINER, "v1alpha1", "TrainJob")
}

/// The conditions of a job as `Type=Status (Reason)`.
fn conditions(scenario: &Scenario, kind: &str, name: &str) -> Vec<String> {
    let job = scenario.get(kind, NAMESPACE, name).expect("it is there");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = job["status"]["conditions"].as_array().into_iter().flatten();
    all.map(|one| format!("{}={} ({})", text(&one["type"]), text(&one["status"]), text(&one["reason"]))).collect()
}

fn pods(scenario: &Scenario) -> Vec<String> {
    scenario.names("pods", Some(NAMESPACE))
}

fn phase(scenario: &Scenario, pod: &str) -> String {
    let pod = scenario.get("pods", NAMESPACE, pod).expect("it is there");
    pod["status"]["phase"].as_str().expect("it has a phase").to_owned()
}

fn suspend(is: bool) -> Patch<Value> {
    Patch::Merge(json!({ "spec": { "runPolicy": { "suspend": is } } }))
}

#[tokio::test]
async fn pytorch_job_runs_and_reports_its_masters_message() {
    let scenario = Scenario::new();
    scenario.operator(|run| if run.role == "master" { Fate::succeeds("accuracy 0.9") } else { Fate::runs_on() });
    let client = scenario.client();
    pytorch_jobs(&client).create(&PostParams::default(), &pytorch_job("job", json!({}))).await.unwrap();
    scenario.tick(1);
    assert_eq!(
        (pods(&scenario), phase(&scenario, "job-master-0")),
        (vec!["job-master-0".to_owned(), "job-worker-0".to_owned()], "Pending".to_owned())
    );
    assert_eq!(conditions(&scenario, "pytorchjobs", "job"), ["Created=True (PyTorchJobCreated)"]);
    scenario.tick(1);
    assert_eq!(phase(&scenario, "job-worker-0"), "Running");
    assert_eq!(conditions(&scenario, "pytorchjobs", "job")[1], "Running=True (PyTorchJobRunning)");
    scenario.tick(1);
    let expected = ["Created=True (PyTorchJobCreated)", "Running=False (PyTorchJobRunning)", "Succeeded=True (PyTorchJobSucceeded)"];
    assert_eq!(conditions(&scenario, "pytorchjobs", "job"), expected);
    assert_eq!(phase(&scenario, "job-worker-0"), "Running", "nobody stops a worker when the master is done");

    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let selected = pods.list(&ListParams::default().labels("training.kubeflow.org/job-name=job,mine=yes")).await.unwrap();
    let master = &selected.items[0];
    assert_eq!(master.labels()["training.kubeflow.org/job-role"], "master");
    assert_eq!(master.owner_references()[0].kind, "PyTorchJob");
    let status = master.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0].state.as_ref().unwrap();
    let terminated = status.terminated.as_ref().unwrap();
    assert_eq!((terminated.exit_code, terminated.message.as_deref()), (0, Some("accuracy 0.9")));
}

#[tokio::test]
async fn pytorch_job_fails_with_its_pods() {
    let check = async |policy: Value, fate: Fate, reason: &str, num_pods: usize| {
        let scenario = Scenario::new();
        let worker = fate.clone();
        scenario.operator(move |run| if run.role == "worker" { worker.clone() } else { Fate::runs_on() });
        pytorch_jobs(&scenario.client()).create(&PostParams::default(), &pytorch_job("job", policy)).await.unwrap();
        scenario.tick(3);
        let failed = conditions(&scenario, "pytorchjobs", "job").pop().unwrap();
        assert_eq!(failed, "Failed=True (PyTorchJobFailed)", "{fate:?}");
        let worker = scenario.get("pods", NAMESPACE, "job-worker-0");
        let terminated = worker.as_ref().map(|pod| &pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"]);
        assert_eq!(terminated.and_then(Value::as_str).unwrap_or_default(), reason, "{fate:?}");
        scenario.tick(1);
        assert_eq!(pods(&scenario).len(), num_pods, "{fate:?}");
    };
    check(json!({}), Fate::fails(3, "no data"), "Error", 2).await;
    check(json!({}), Fate::ends(End::OutOfMemory), "OOMKilled", 2).await;
    check(json!({ "cleanPodPolicy": "Running" }), Fate::fails(1, ""), "Error", 1).await;
    // A job that reaches its limit loses all pods, and with them their messages.
    check(json!({ "backoffLimit": 0 }), Fate::fails(1, ""), "", 0).await;
}

#[tokio::test]
async fn pytorch_job_is_suspended_and_resumed() {
    let scenario = Scenario::new();
    scenario.operator(|run| if run.attempt == 0 { Fate::runs_on() } else { Fate::succeeds("") });
    let jobs = pytorch_jobs(&scenario.client());
    jobs.create(&PostParams::default(), &pytorch_job("job", json!({ "suspend": true }))).await.unwrap();
    scenario.tick(2);
    let suspended = ["Created=True (PyTorchJobCreated)", "Suspended=True (PyTorchJobSuspended)"];
    assert_eq!((conditions(&scenario, "pytorchjobs", "job"), pods(&scenario).len()), (suspended.map(str::to_owned).to_vec(), 0));

    jobs.patch("job", &PatchParams::default(), &suspend(false)).await.unwrap();
    scenario.tick(2);
    let running = ["Created=True (PyTorchJobCreated)", "Suspended=False (PyTorchJobResumed)", "Running=True (PyTorchJobRunning)"];
    assert_eq!(conditions(&scenario, "pytorchjobs", "job"), running);

    jobs.patch("job", &PatchParams::default(), &suspend(true)).await.unwrap();
    scenario.tick(1);
    let suspended = ["Created=True (PyTorchJobCreated)", "Running=False (PyTorchJobSuspended)", "Suspended=True (PyTorchJobSuspended)"];
    assert_eq!(conditions(&scenario, "pytorchjobs", "job"), suspended);
    assert_eq!(pods(&scenario).len(), 2, "they are given time to stop");
    scenario.tick(1);
    assert!(pods(&scenario).is_empty());

    jobs.patch("job", &PatchParams::default(), &suspend(false)).await.unwrap();
    scenario.tick(3);
    assert_eq!(conditions(&scenario, "pytorchjobs", "job").pop().unwrap(), "Succeeded=True (PyTorchJobSucceeded)");
}

#[tokio::test]
async fn pytorch_job_resumed_too_early_fails() {
    let scenario = Scenario::new();
    scenario.operator(|_| Fate::runs_on());
    let jobs = pytorch_jobs(&scenario.client());
    jobs.create(&PostParams::default(), &pytorch_job("job", json!({}))).await.unwrap();
    scenario.tick(2);
    jobs.patch("job", &PatchParams::default(), &suspend(true)).await.unwrap();
    scenario.tick(1);
    // The operator is faster than the pods.
    jobs.patch("job", &PatchParams::default(), &suspend(false)).await.unwrap();
    scenario.reconcile();
    assert_eq!(conditions(&scenario, "pytorchjobs", "job").pop().unwrap(), "Failed=True (PyTorchJobFailed)");
}

#[tokio::test]
async fn pods_can_be_kept_from_starting() {
    let scenario = Scenario::new();
    scenario.operator(|run| Fate::never_starts(if run.role == "master" { Start::Unschedulable } else { Start::NoImage }));
    pytorch_jobs(&scenario.client()).create(&PostParams::default(), &pytorch_job("job", json!({}))).await.unwrap();
    scenario.tick(5);
    let pod = |name: &str| scenario.get("pods", NAMESPACE, name).unwrap();
    assert_eq!(pod("job-master-0")["status"]["conditions"][0]["reason"], "Unschedulable");
    assert_eq!(pod("job-worker-0")["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "ImagePullBackOff");
    assert_eq!(conditions(&scenario, "pytorchjobs", "job"), ["Created=True (PyTorchJobCreated)"]);
    scenario.delete_by_hand("nodes", "", "node-0");
    scenario.tick(1);
    assert_eq!(phase(&scenario, "job-worker-0"), "Pending", "the pod went with its node, and another waits");
}

#[tokio::test]
async fn pods_are_deleted_with_their_job() {
    let check = async |params: DeleteParams, job_at_once: bool, num_pods: [usize; 2]| {
        let scenario = Scenario::new();
        scenario.operator(|_| Fate::runs_on());
        let jobs = pytorch_jobs(&scenario.client());
        jobs.create(&PostParams::default(), &pytorch_job("job", json!({}))).await.unwrap();
        scenario.tick(2);
        let deleted = jobs.delete("job", &params).await.unwrap();
        assert_eq!(deleted.is_right(), job_at_once, "{params:?}");
        assert_eq!(scenario.get("pytorchjobs", NAMESPACE, "job").is_none(), job_at_once, "{params:?}");
        assert_eq!(pods(&scenario).len(), num_pods[0], "{params:?}");
        scenario.tick(1);
        assert!(scenario.get("pytorchjobs", NAMESPACE, "job").is_none(), "{params:?}");
        assert_eq!(pods(&scenario).len(), num_pods[1], "{params:?}");
    };
    check(DeleteParams::background(), true, [2, 0]).await;
    check(DeleteParams::foreground(), false, [2, 0]).await;
    check(DeleteParams::orphan(), true, [2, 2]).await;

    // A pod that is deleted by hand is recreated once it is gone.
    let scenario = Scenario::new();
    pytorch_jobs(&scenario.client()).create(&PostParams::default(), &pytorch_job("job", json!({}))).await.unwrap();
    scenario.tick(1);
    scenario.delete_by_hand("pods", NAMESPACE, "job-worker-0");
    assert_eq!(pods(&scenario), ["job-master-0"]);
    scenario.tick(1);
    assert_eq!(pods(&scenario), ["job-master-0", "job-worker-0"]);
}

#[tokio::test(start_paused = true)]
async fn time_limits_follow_the_clock_of_the_test() {
    let scenario = Scenario::new();
    scenario.operator(|run| if run.job == "slow" { Fate::runs_on() } else { Fate::succeeds("") });
    let jobs = pytorch_jobs(&scenario.client());
    jobs.create(&PostParams::default(), &pytorch_job("slow", json!({ "activeDeadlineSeconds": 60 }))).await.unwrap();
    jobs.create(&PostParams::default(), &pytorch_job("done", json!({ "ttlSecondsAfterFinished": 100 }))).await.unwrap();
    scenario.tick(3);
    tokio::time::advance(Duration::from_secs(60)).await;
    scenario.tick(1);
    assert_eq!(conditions(&scenario, "pytorchjobs", "slow").pop().unwrap(), "Failed=True (PyTorchJobFailed)");
    assert_eq!(scenario.names("pytorchjobs", None), ["done", "slow"]);
    tokio::time::advance(Duration::from_secs(60)).await;
    scenario.tick(1);
    assert_eq!(scenario.names("pytorchjobs", None), ["slow"]);
    assert_eq!(scenario.now().to_string(), "2026-01-01T00:02:00Z");
}

#[tokio::test]
async fn train_job_runs_by_its_runtime() {
    let scenario = Scenario::new();
    scenario.operator(|run| match (run.job.as_str(), run.index, run.attempt) {
        ("job", 1, 0) => Fate::runs_on(),
        ("bad", 1, _) => Fate::fails(1, ""),
        ("bad", _, _) => Fate::runs_on(),
        _ => Fate::succeeds(""),
    });
    let jobs = train_jobs(&scenario.client());
    let job = |name: &str, suspend: bool| -> DynamicObject {
        let spec = json!({ "suspend": suspend, "runtimeRef": { "name": "runtime", "kind": "TrainingRuntime" }, "trainer": { "numNodes": 2, "image": "y" } });
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    };
    let missing = status_of(jobs.create(&PostParams::default(), &job("job", true)).await);
    assert!(missing.code == 403 && missing.message.contains("TrainingRuntime.trainer.kubeflow.org \"runtime\" not found"), "{missing}");
    let pod = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "node", "image": "x" }] } });
    let node = json!({ "name": "node", "template": { "spec": { "backoffLimit": 0, "template": pod } } });
    let runtime = json!({ "metadata": { "name": "runtime" }, "spec": { "template": { "spec": { "replicatedJobs": [node] } } } });
    scenario.create_by_hand("trainingruntimes", NAMESPACE, runtime);

    jobs.create(&PostParams::default(), &job("job", true)).await.unwrap();
    scenario.tick(1);
    assert_eq!(conditions(&scenario, "trainjobs", "job"), ["Suspended=True (Suspended)"]);
    let suspend = |is: bool| Patch::Merge(json!({ "spec": { "suspend": is } }));
    jobs.patch("job", &PatchParams::default(), &suspend(false)).await.unwrap();
    scenario.tick(2);
    assert_eq!(conditions(&scenario, "trainjobs", "job"), ["Suspended=False (Resumed)"]);
    let first = pods(&scenario);
    assert!(first.len() == 2 && first[1].starts_with("job-node-0-1-"), "{first:?}");
    let pod = scenario.get("pods", NAMESPACE, &first[1]).unwrap();
    assert_eq!(
        (&pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"], &pod["spec"]["containers"][0]["image"]),
        (&json!("1"), &json!("y"))
    );

    jobs.patch("job", &PatchParams::default(), &suspend(true)).await.unwrap();
    scenario.tick(2);
    jobs.patch("job", &PatchParams::default(), &suspend(false)).await.unwrap();
    scenario.tick(3);
    assert_eq!(conditions(&scenario, "trainjobs", "job"), ["Suspended=False (Resumed)", "Complete=True (AllJobsCompleted)"]);

    jobs.create(&PostParams::default(), &job("bad", false)).await.unwrap();
    scenario.tick(4);
    assert_eq!(conditions(&scenario, "trainjobs", "bad"), ["Failed=True (FailedJobs)"]);
    jobs.create(&PostParams::default(), &job("lost", false)).await.unwrap();
    scenario.tick(1);
    let lost = pods(&scenario).into_iter().find(|name| name.starts_with("lost")).unwrap();
    scenario.delete_by_hand("pods", NAMESPACE, &lost);
    scenario.tick(1);
    assert_eq!(conditions(&scenario, "trainjobs", "lost"), ["Failed=True (FailedJobs)"], "a pod that is lost is one that failed");
}
