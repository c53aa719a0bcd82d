//! API servers, web hooks and operators that are unavailable for a while, or refuse requests.

use std::time::Duration;

use fake_kubernetes::Fate;
use fltk_plan::plan::Outcome;
use tokio::time::sleep;

use crate::harness::{Cluster, PARALLEL, task};

fn batch() -> Cluster {
    let cluster = Cluster::new(&[task("pair", 2, ""), task("alone", 1, "")], PARALLEL, "");
    cluster.scenario.operator(|run| {
        assert_eq!(run.attempt, 0, "nothing runs twice");
        Fate::succeeds("")
    });
    cluster
}

#[tokio::test(start_paused = true)]
async fn outage_of_the_api_server_is_survived() {
    let stream = "orchestrator: trace, trace: trace.csv";
    let cluster = Cluster::with_trace(&[task("a", 2, "")], stream, "", "0,a,\n10,a,\n20,a,\n");
    cluster.scenario.operator(|_| Fate::succeeds("").after(50));
    let told = cluster
        .run(async |told| {
            told.until("a", "running").await;
            cluster.scenario.away(true);
            sleep(Duration::from_secs(60)).await;
            let num_before = cluster.scenario.requests().len();
            assert!(num_before < 100, "it isn't asked all the time: {num_before}");
            cluster.scenario.away(false);
        })
        .await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
    let troubles = told.troubles();
    for beginning in ["jobs can't be watched: ", "pods can't be watched: ", &format!("job {}: ", cluster.specs()[1].id)] {
        let said = troubles.iter().any(|text| text.starts_with(beginning) && text.contains("connection refused"));
        assert!(said, "{beginning} {troubles:#?}");
    }
    assert_eq!(told.record("a-2").arrived.unwrap().as_millis(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn outage_of_the_api_server_at_the_start_is_survived() {
    let cluster = batch();
    cluster.scenario.away(true);
    let told = cluster
        .run(async |_| {
            sleep(Duration::from_secs(60)).await;
            let num_asked = cluster.scenario.requests().len();
            assert!(num_asked < 40, "it isn't asked all the time: {num_asked}");
            cluster.scenario.away(false);
        })
        .await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
}

#[tokio::test(start_paused = true)]
async fn temporarily_refused_requests_are_retried() {
    for (code, words) in [(429, "Too many requests"), (500, "etcdserver: request timed out"), (503, "unable to handle the request")] {
        for retry_after in [None, Some(2)] {
            let cluster = batch();
            cluster.scenario.fail_next(12, code, retry_after);
            let told = cluster.run(async |_| {}).await;
            told.assert_all_succeeded();
            cluster.assert_made_once("pytorchjobs");
            assert!(told.troubles().iter().any(|text| text.contains(words)), "{code}: {:?}", told.troubles());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_recovered() {
    for num_before in 0..8 {
        for num_lost in 1..4 {
            let cluster = batch();
            let told = cluster
                .run(async |_| {
                    while cluster.scenario.requests().len() < num_before {
                        tokio::task::yield_now().await;
                    }
                    cluster.scenario.lose_answers(num_lost);
                })
                .await;
            told.assert_all_succeeded();
            assert!(cluster.num_made("pytorchjobs") <= 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unavailable_webhook_is_waited_for() {
    let cluster = batch();
    cluster.scenario.webhook_down(true);
    let told = cluster
        .run(async |_| {
            sleep(Duration::from_secs(20)).await;
            cluster.scenario.webhook_down(false);
        })
        .await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
    assert!(told.troubles().iter().all(|text| text.contains("failed calling webhook")), "{:?}", told.troubles());
    assert!(told.record("pair").created.unwrap().as_millis() >= 20_000);
}

#[tokio::test(start_paused = true)]
async fn refused_job_has_failed() {
    for (code, words) in
        [(422, "spec: Invalid value: the test says so"), (403, "admission webhook \"test.example\" denied the request: the test says so")]
    {
        let cluster = batch();
        cluster.scenario.refuse("pytorchjobs", &cluster.object("pair"), code);
        let told = cluster.run(async |_| {}).await;
        let record = told.record("pair");
        assert_eq!((record.outcome, record.created), (Some(Outcome::Failed), None));
        let reason = record.reason.unwrap();
        assert!(reason.starts_with("the API server refuses it: ") && reason.ends_with(words), "{reason}");
        assert_eq!(told.states()["alone"], "succeeded");
    }
}

#[tokio::test(start_paused = true)]
async fn job_without_its_config_map_uses_no_capacity() {
    let cluster = batch();
    let map = format!("worker-{}-0", cluster.specs()[0].id);
    cluster.scenario.refuse("configmaps", &map, 422);
    cluster.scenario.operator(|_| Fate::runs_on());
    let told = cluster
        .run(async |told| {
            told.until("pair", "failed").await;
            sleep(Duration::from_secs(1)).await;
            let pods = cluster.scenario.names("pods", None);
            assert!(pods.iter().all(|pod| !pod.starts_with(&cluster.object("pair"))), "{pods:?}");
            cluster.scenario.delete_by_hand("pytorchjobs", "default", &cluster.object("alone"));
        })
        .await;
    assert!(told.record("pair").reason.unwrap().contains("the test says so"));
}

#[tokio::test(start_paused = true)]
async fn absent_operator_is_reported() {
    let cluster = batch();
    cluster.scenario.operators_away(true);
    let told = cluster
        .run(async |told| {
            told.until_waits("pair", "no operator has processed it yet: does the operator run?").await;
            cluster.scenario.operators_away(false);
        })
        .await;
    told.assert_all_succeeded();
}
