//! The bound on concurrent requests, however much there is to do: the API server is shared.

use std::{fmt::Write as _, time::Duration};

use fake_kubernetes::Call;
use fltk_kubernetes::down::{Removed, down};
use serde_json::json;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, task};

/// The latency of an answer, long enough for requests that may be in flight together to be so.
const LATENCY: Duration = Duration::from_millis(20);

/// The number of jobs that arrive at the same instant.
const NUM_JOBS: usize = 300;

/// The number of event requests in flight at once: `CONCURRENCY` in `events.rs`.
const EVENTS_AT_ONCE: usize = 4;

/// True if `call` creates, reads or changes the objects of a job. Lists, watches and events don't count.
fn is_of_a_job(call: &Call) -> bool {
    let is_list = call.method == "GET" && ["/pytorchjobs", "/pods"].iter().any(|plural| call.path.ends_with(plural));
    !is_list && !is_event(call)
}

fn is_event(call: &Call) -> bool {
    call.path.contains("/events")
}

fn at_once(stream: &str, kubernetes: &str) -> Cluster {
    let mut trace = String::new();
    for _ in 0..NUM_JOBS {
        writeln!(trace, "0,a,").unwrap();
    }
    let cluster = Cluster::with_trace(&[task("a", 1, "")], &format!("orchestrator: trace, trace: trace.csv, {stream}"), kubernetes, &trace);
    cluster.scenario.answers_take(LATENCY);
    cluster
}

#[tokio::test(start_paused = true)]
async fn concurrent_job_starts_are_bounded_by_the_setting() {
    for kubernetes in ["", "concurrency: 3"] {
        let cluster = at_once("", kubernetes);
        cluster.run(async |_| {}).await.assert_all_succeeded();
        cluster.assert_made_once("pytorchjobs");
        let bound = cluster.context.config.concurrency as usize;
        assert!(bound > 1 && NUM_JOBS > 10 * bound);
        assert_eq!(cluster.scenario.peak(is_of_a_job), bound, "{kubernetes}: no more, and no fewer");
        assert!(cluster.scenario.peak(|call| call.method != "GET") <= bound + EVENTS_AT_ONCE, "{kubernetes}");
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_event_requests_are_bounded() {
    let cluster = at_once("admission: { type: max_concurrent, jobs: 50 }", "");
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    assert_eq!(cluster.scenario.peak(is_event), EVENTS_AT_ONCE);
    let bound = cluster.context.config.concurrency as usize;
    assert_eq!(cluster.scenario.peak(is_of_a_job), bound);
    assert!(cluster.scenario.peak(|call| call.method != "GET") <= bound + EVENTS_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn removals_are_sequential_in_batches() {
    const NUM_OBJECTS: usize = 1101;
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    for number in 0..NUM_OBJECTS {
        let job =
            json!({ "metadata": { "name": format!("job-{number:05}"), "labels": { "fltk.node/run": cluster.context.run } }, "spec": {} });
        cluster.scenario.create_by_hand("pytorchjobs", NAMESPACE, job);
    }
    cluster.scenario.answers_take(LATENCY);
    let removed = down(&cluster.scenario.client(), NAMESPACE, &cluster.context.run).await.unwrap();
    assert_eq!(removed, Removed { jobs: NUM_OBJECTS, ..Removed::default() });
    assert!(cluster.scenario.names("pytorchjobs", None).is_empty());
    assert_eq!(cluster.scenario.peak(|_| true), 1);
    let is_removal = |call: &Call| call.method == "DELETE";
    assert_eq!(cluster.scenario.requests().into_iter().filter(is_removal).count(), 3, "pages of 500");
}
