//! Preemption: a job of higher priority needs the slot of another job.

use std::{cell::Cell, future::poll_fn, task::Poll, time::Duration};

use fake_kubernetes::Fate;
use fltk_kubernetes::{End, api::jobs, config::Backend, preflight::share};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{Cluster, NAMESPACE, Told, task};

const BACKENDS: [&str; 2] = ["pytorchjob", "trainjob"];

/// A cluster with one slot. `low` runs until it's preempted, and ends when resumed; `urgent` arrives after five seconds and takes one.
pub fn cluster(kubernetes: &str) -> Cluster {
    let stream = "orchestrator: trace, trace: trace.csv, policy: priority, admission: { type: max_concurrent, jobs: 1 }, \
                  groups: [{ name: urgent, tasks: [urgent], preempt: true }]";
    let cluster = Cluster::with_trace(&[task("low", 2, ""), task("urgent", 1, "")], stream, kubernetes, "0,low,1\n5,urgent,0\n");
    let low = cluster.object("low");
    cluster.scenario.operator(move |run| match (run.job == low, run.attempt) {
        (true, 0) => Fate::runs_on(),
        (_, attempt) => {
            assert!(attempt <= 1, "nothing runs more often than it's resumed");
            Fate::succeeds("").after(10)
        }
    });
    cluster
}

/// Sets whether job `name` is suspended, as a user would.
pub async fn suspend_by_hand(cluster: &Cluster, backend: &str, name: &str, suspend: bool) {
    let (backend, spec) = match backend {
        "trainjob" => (Backend::TrainJob, json!({ "suspend": suspend })),
        _ => (Backend::PyTorchJob, json!({ "runPolicy": { "suspend": suspend } })),
    };
    let (all, patch) = (jobs(&cluster.scenario.client(), NAMESPACE, backend), Patch::Merge(json!({ "spec": spec })));
    all.patch(&cluster.object(name), &PatchParams::default(), &patch).await.unwrap();
}

/// The number of requests that changed the object of job `name`.
fn num_patches(cluster: &Cluster, name: &str) -> usize {
    let object = cluster.object(name);
    cluster.scenario.requests().iter().filter(|call| call.method == "PATCH" && call.path.ends_with(&object)).count()
}

#[tokio::test(start_paused = true)]
async fn preempted_job_is_suspended_and_resumed() {
    let cluster = cluster("");
    let low = cluster.object("low");
    let told = cluster
        .run(async |told| {
            told.until("urgent", "running").await;
            let object = cluster.scenario.get("pytorchjobs", NAMESPACE, &low).unwrap();
            assert_eq!(object["spec"]["runPolicy"]["suspend"], true);
            assert_eq!(told.states()["low"], "waiting");
        })
        .await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
    let object = cluster.scenario.get("pytorchjobs", NAMESPACE, &low).unwrap();
    assert_eq!(
        (&object["spec"]["runPolicy"]["suspend"], &object["metadata"]["annotations"]["fltk.node/attempt"]),
        (&json!(false), &json!("2"))
    );
    assert_eq!((num_patches(&cluster, "low"), num_patches(&cluster, "urgent")), (2, 0));
    let (low, urgent) = (told.record("low"), told.record("urgent"));
    assert_eq!((low.suspensions, urgent.suspensions), (1, 0));
    assert!(low.run_seconds().unwrap() < low.service_seconds().unwrap() - 1.0, "it didn't run while the other did: {low:?}");
    assert!(urgent.admission_seconds().unwrap() > 0.0 && low.ended > urgent.ended);
    assert_eq!(told.waits("urgent")[0], format!("jobs of lower priority are being preempted for it: {}", low.job));
    assert_eq!(told.waits("low")[0], format!("another job runs, and only one may; frees when job {} ends", urgent.job));
    let events = cluster.scenario.names("events.events.k8s.io", None);
    let reasons = events.iter().map(|name| cluster.scenario.get("events.events.k8s.io", NAMESPACE, name).unwrap()["reason"].clone());
    let reasons: Vec<_> = reasons.collect();
    assert!(reasons.contains(&json!("Preempted")) && reasons.contains(&json!("Resumed")), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_answers_to_patches_are_recovered() {
    for num_lost in 1..4 {
        let cluster = cluster("");
        let told = cluster
            .run(async |told| {
                told.until("low", "running").await;
                told.until("urgent", "waiting").await;
                cluster.scenario.lose_answers(num_lost);
                told.until("urgent", "succeeded").await;
                cluster.scenario.lose_answers(num_lost);
            })
            .await;
        told.assert_all_succeeded();
        assert_eq!(told.record("low").suspensions, 1, "{num_lost}");
        cluster.assert_made_once("pytorchjobs");
    }
}

#[tokio::test(start_paused = true)]
async fn held_job_is_preempted_only_after_its_hold_ends() {
    for backend in BACKENDS {
        let cluster = cluster(&format!("backend: {backend}"));
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let low = cluster.object("low");
        cluster.scenario.operator(move |run| match (run.job == low, run.attempt) {
            (true, 0) => Fate::runs_on(),
            _ => Fate::succeeds("").after(10),
        });
        let is_through = Cell::new(false);
        let told = cluster
            .run(async |told| {
                told.until("low", "running").await;
                suspend_by_hand(&cluster, backend, "low", true).await;
                told.until("low", "held").await;
                sleep(Duration::from_secs(20)).await;
                assert_eq!((told.states()["low"], told.states()["urgent"]), ("held", "waiting"), "{backend}");
                assert_eq!(num_patches(&cluster, "low"), 1, "{backend}: by hand");
                suspend_by_hand(&cluster, backend, "low", false).await;
                told.until("urgent", "running").await;
                assert_eq!(told.states()["low"], "waiting", "{backend}");
                is_through.set(true);
            })
            .await;
        assert!(is_through.get(), "{backend}: the stream ended before it was held");
        told.assert_all_succeeded();
    }
}

#[tokio::test(start_paused = true)]
async fn hold_before_a_suspension_survives_its_end() {
    for backend in BACKENDS {
        let cluster = cluster(&format!("backend: {backend}"));
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let is_suspended = || {
            let object = cluster.scenario.get(&format!("{backend}s"), NAMESPACE, &cluster.object("low")).unwrap();
            object["spec"]["suspend"] == true || object["spec"]["runPolicy"]["suspend"] == true
        };
        let is_through = Cell::new(false);
        let told = cluster
            .run(async |told| {
                told.until("low", "running").await;
                // The operator hasn't reported the suspension yet when the slot is needed.
                cluster.scenario.operators_away(true);
                suspend_by_hand(&cluster, backend, "low", true).await;
                told.until("low", "suspending").await;
                sleep(Duration::from_secs(1)).await;
                cluster.scenario.operators_away(false);
                told.until("urgent", "succeeded").await;
                told.until("low", "held").await;
                sleep(Duration::from_secs(20)).await;
                assert_eq!((told.states()["low"], is_suspended()), ("held", true), "{backend}");
                suspend_by_hand(&cluster, backend, "low", false).await;
                is_through.set(true);
            })
            .await;
        assert!(is_through.get(), "{backend}: the stream ended before it was held");
        told.assert_all_succeeded();
        assert_eq!(told.record("low").suspensions, 1, "{backend}");
        cluster.assert_made_once(&format!("{backend}s"));
    }
}

#[tokio::test(start_paused = true)]
async fn hold_that_replaces_a_revoked_suspension_is_kept() {
    for backend in BACKENDS {
        let cluster = cluster(&format!("backend: {backend}"));
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let is_through = Cell::new(false);
        let told = cluster
            .run(async |told| {
                told.until("urgent", "running").await;
                for suspend in [false, true] {
                    suspend_by_hand(&cluster, backend, "low", suspend).await;
                }
                told.until("low", "held").await;
                sleep(Duration::from_secs(20)).await;
                assert_eq!((told.states()["low"], told.states()["urgent"]), ("held", "succeeded"), "{backend}");
                suspend_by_hand(&cluster, backend, "low", false).await;
                is_through.set(true);
            })
            .await;
        assert!(is_through.get(), "{backend}: the stream ended before it was held");
        told.assert_all_succeeded();
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_suspended_job_has_ended() {
    let watched = cluster("");
    let told = watched
        .run(async |told| {
            told.until("urgent", "running").await;
            watched.scenario.delete_by_hand("pytorchjobs", NAMESPACE, &watched.object("low"));
        })
        .await;
    assert_eq!(told.states()["low"], "deleted");
    assert_eq!(told.record("low").reason.unwrap(), "its object was deleted by somebody");

    // The job is deleted while it waits, and when it was just resumed.
    for (low, urgent) in [("waiting", "running"), ("admitted", "succeeded")] {
        let unwatched = cluster("");
        let first = Told::default();
        let is_so = || first.states().get("low") == Some(&low) && first.states().get("urgent") == Some(&urgent);
        let killed = poll_fn(|_| if is_so() { Poll::Ready(()) } else { Poll::Pending });
        assert_eq!(unwatched.process(unwatched.scenario.client(), &first, killed).await, End::Stopped);
        unwatched.scenario.delete_by_hand("pytorchjobs", NAMESPACE, &unwatched.object("low"));
        let told = unwatched.run(async |_| {}).await;
        assert_eq!((told.states()["low"], told.states()["urgent"]), ("deleted", "succeeded"), "{low}");
        assert!(told.record("low").reason.unwrap().contains("while the orchestrator didn't look"));
        assert_eq!(unwatched.num_made("pytorchjobs"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn suspension_is_complete_when_its_pods_are_gone() {
    for backend in BACKENDS {
        let cluster = cluster(&format!("backend: {backend}"));
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let (plural, low) = (format!("{backend}s"), cluster.object("low"));
        let first = Told::default();
        let kill = async {
            first.until("low", "suspending").await;
            cluster.is_still.set(true);
            // The requests have been carried out.
            sleep(Duration::from_secs(1)).await;
        };
        assert_eq!(cluster.process(cluster.scenario.client(), &first, kill).await, End::Stopped);
        cluster.scenario.reconcile();
        let conditions = cluster.scenario.get(&plural, NAMESPACE, &low).unwrap()["status"]["conditions"].clone();
        assert!(conditions.as_array().unwrap().iter().any(|condition| condition["type"] == "Suspended"), "{conditions}");
        let told = cluster
            .run(async |told| {
                sleep(Duration::from_secs(20)).await;
                assert_eq!(cluster.scenario.names("pods", Some(NAMESPACE)).len(), 2);
                assert_eq!((told.states()["low"], told.states()["urgent"]), ("suspending", "waiting"), "{backend}");
                cluster.is_still.set(false);
            })
            .await;
        told.assert_all_succeeded();
        assert_eq!(told.record("low").suspensions, 1);
        cluster.assert_made_once(&plural);
    }
}
