//! Watches that end, and jobs that are deleted by hand.

use std::time::Duration;

use fake_kubernetes::Fate;
use fltk_kubernetes::End;
use fltk_plan::plan::Outcome;
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, Told, task};

const BY_HAND: &str = "its object was deleted by somebody";
const UNSEEN: &str = "its object is gone: it was deleted while the orchestrator didn't look, or its `ttl` passed";

/// A batch of `a`, which runs on, and `b`, which takes two seconds.
fn cluster() -> Cluster {
    let cluster = Cluster::new(&[task("a", 1, ""), task("b", 1, "")], PARALLEL, "");
    let a = cluster.object("a");
    cluster.scenario.operator(move |run| if run.job == a { Fate::runs_on() } else { Fate::succeeds("").after(20) });
    cluster
}

fn delete(cluster: &Cluster, name: &str) {
    cluster.scenario.delete_by_hand("pytorchjobs", NAMESPACE, &cluster.object(name));
}

fn assert_deleted(told: &Told, name: &str, reason: &str) {
    let record = told.record(name);
    assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Deleted), Some(reason)));
}

#[tokio::test(start_paused = true)]
async fn ended_watches_are_restarted() {
    let cluster = Cluster::new(&[task("a", 2, ""), task("b", 1, "")], PARALLEL, "");
    cluster.scenario.operator(|_| Fate::succeeds("").after(40));
    let told = cluster
        .run(async |_| {
            for round in 0..20 {
                sleep(Duration::from_millis(170)).await;
                if round % 2 == 0 { cluster.scenario.expire_watches() } else { cluster.scenario.cut_watches() }
            }
        })
        .await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
    assert!(
        told.troubles().iter().any(|text| text.starts_with("jobs can't be watched: too old resource version")),
        "{:?}",
        told.troubles()
    );
}

#[tokio::test(start_paused = true)]
async fn job_deleted_during_a_watch_fails() {
    let cluster = cluster();
    let told = cluster
        .run(async |told| {
            told.until("a", "running").await;
            delete(&cluster, "a");
        })
        .await;
    assert_deleted(&told, "a", BY_HAND);
    assert_eq!(told.states()["b"], "succeeded");
    cluster.assert_made_once("pytorchjobs");
}

#[tokio::test(start_paused = true)]
async fn job_deleted_while_unwatched_fails() {
    for state in ["starting", "running"] {
        let cluster = cluster();
        let first = Told::default();
        assert_eq!(cluster.process(cluster.scenario.client(), &first, first.until("a", state)).await, End::Stopped);
        delete(&cluster, "a");
        let told = cluster.run(async |_| {}).await;
        assert_deleted(&told, "a", UNSEEN);
        assert_eq!(told.states()["b"], "succeeded");
        assert_eq!(cluster.num_made("pytorchjobs"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn job_deleted_during_a_broken_watch_fails() {
    let cluster = cluster();
    let told = cluster
        .run(async |told| {
            told.until("a", "running").await;
            cluster.scenario.away(true);
            sleep(Duration::from_secs(3)).await;
            delete(&cluster, "a");
            cluster.scenario.expire_watches();
            cluster.scenario.away(false);
        })
        .await;
    assert_deleted(&told, "a", UNSEEN);
    assert_eq!(told.states()["b"], "succeeded");
}

#[tokio::test(start_paused = true)]
async fn job_created_during_a_broken_watch_is_created_once() {
    for is_deleted in [true, false] {
        let stream = "orchestrator: trace, trace: trace.csv";
        let cluster = Cluster::with_trace(&[task("a", 1, "")], stream, "", "5,a,\n");
        let told = cluster
            .run(async |_| {
                sleep(Duration::from_secs(3)).await;
                for verb in ["list", "watch"] {
                    cluster.scenario.forbid(verb, "pytorchjobs");
                }
                cluster.scenario.expire_watches();
                sleep(Duration::from_secs(3)).await;
                assert_eq!(cluster.num_made("pytorchjobs"), 1);
                if is_deleted {
                    delete(&cluster, "a");
                }
                for verb in ["list", "watch"] {
                    cluster.scenario.allow(verb, "pytorchjobs");
                }
            })
            .await;
        if is_deleted {
            assert_deleted(&told, "a", UNSEEN);
        } else {
            told.assert_all_succeeded();
        }
        cluster.assert_made_once("pytorchjobs");
    }
}

#[tokio::test(start_paused = true)]
async fn job_deleted_during_a_retried_start_stays_deleted() {
    let stream = "orchestrator: trace, trace: trace.csv";
    let cluster = Cluster::with_trace(&[task("a", 1, "")], stream, "", "5,a,\n10,a,\n");
    let told = cluster
        .run(async |told| {
            told.until("a", "to come").await;
            sleep(Duration::from_millis(4900)).await;
            cluster.scenario.lose_answers(1);
            told.until("a", "admitted").await;
            sleep(Duration::from_millis(50)).await;
            delete(&cluster, "a");
        })
        .await;
    assert_deleted(&told, "a", BY_HAND);
    assert_eq!(told.states()["a-2"], "succeeded");
    cluster.assert_made_once("pytorchjobs");
}

#[tokio::test(start_paused = true)]
async fn succeeded_job_stays_succeeded_after_deletion() {
    let cluster = Cluster::new(&[task("a", 1, ""), task("b", 1, "")], PARALLEL, "");
    let b = cluster.object("b");
    cluster.scenario.operator(move |run| if run.job == b { Fate::succeeds("").after(50) } else { Fate::succeeds("") });
    let first = Told::default();
    assert_eq!(cluster.process(cluster.scenario.client(), &first, first.until("a", "succeeded")).await, End::Stopped);
    let told = cluster
        .run(async |told| {
            told.until("b", "running").await;
            delete(&cluster, "a");
            cluster.scenario.expire_watches();
        })
        .await;
    told.assert_all_succeeded();

    // A job that ended and was removed at once, as with a short `ttl`: its last state says how it ended.
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    let told = cluster
        .run(async |told| {
            told.until("a", "running").await;
            cluster.is_still.set(true);
            cluster.scenario.tick(1);
            delete(&cluster, "a");
        })
        .await;
    told.assert_all_succeeded();
}

#[tokio::test(start_paused = true)]
async fn jobs_outside_the_stream_are_left_alone() {
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    let metadata = |name: &str, job: &str| {
        json!({
            "name": name, "labels": { "fltk.node/run": cluster.context.run, "fltk.node/job": job },
            "annotations": { "fltk.node/attempt": "1" },
        })
    };
    let scenario = &cluster.scenario;
    for name in ["x", "y"] {
        scenario.create_by_hand("pytorchjobs", NAMESPACE, json!({ "metadata": metadata(name, name), "spec": {} }));
    }
    let told = cluster
        .run(async |told| {
            told.until("a", "starting").await;
            let done = json!({ "conditions": [{ "type": "Succeeded", "status": "True" }] });
            scenario.set_status_by_hand("pytorchjobs", NAMESPACE, "x", done);
            scenario.delete_by_hand("pytorchjobs", NAMESPACE, "y");
        })
        .await;
    told.assert_all_succeeded();
    assert_eq!(told.states().len(), 1);
}
