//! Streams without faults.

use std::{collections::BTreeSet, time::Duration};

use fake_kubernetes::Fate;
use fltk_core::termination::TerminationReport;
use fltk_kubernetes::manifest::job_name;
use fltk_plan::plan::Outcome;
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, task};

#[tokio::test(start_paused = true)]
async fn batch_is_recorded_from_arrival_to_end() {
    let cluster = Cluster::new(&[task("pair", 2, ""), task("alone", 1, "")], PARALLEL, "");
    let first_step_ms = u64::try_from(cluster.now().as_millisecond()).unwrap() + 250;
    cluster.scenario.operator(move |run| {
        let report = TerminationReport { first_step_ms: Some(first_step_ms), ..TerminationReport::default() };
        Fate::succeeds(if run.role == "master" { report.to_json().unwrap() } else { String::new() }.as_str())
    });
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    cluster.assert_made_once("pytorchjobs");
    assert_eq!(told.troubles(), [""; 0]);
    for name in ["pair", "alone"] {
        let record = told.record(name);
        let times = [record.arrived, record.admitted, record.created, record.first_pod, record.first_step, record.ended];
        let times: Vec<u64> = times.iter().map(|time| time.expect("it's recorded").as_millis()).collect();
        assert!(times.is_sorted() && times[3] == 200 && times[4] == 250 && times[5] == 300, "{name}: {times:?}");
        assert_eq!(record.nodes, BTreeSet::from(["node-0".to_owned()]));
        assert_eq!(record.suspensions, 0);
    }
    let mut maps = Vec::new();
    for spec in cluster.specs() {
        let job = cluster.scenario.get("pytorchjobs", NAMESPACE, &cluster.object(&spec.class)).unwrap();
        for pod in &spec.pods {
            let name = format!("{}-{}-0", format!("{:?}", pod.role).to_lowercase(), spec.id);
            let map = cluster.scenario.get("configmaps", NAMESPACE, &name).unwrap();
            let owner = &map["metadata"]["ownerReferences"][0];
            assert_eq!((&owner["uid"], &owner["kind"]), (&job["metadata"]["uid"], &json!("PyTorchJob")));
            assert!(map["data"]["experiment.yaml"].as_str().unwrap().contains(&format!("name: {}", spec.class)));
            maps.push(name);
        }
    }
    let mut made = cluster.scenario.creates("configmaps");
    made.sort();
    maps.sort();
    assert_eq!(made, maps, "each once");
}

#[tokio::test(start_paused = true)]
async fn jobs_arrive_at_their_times() {
    let stream = "orchestrator: trace, trace: trace.csv";
    let cluster = Cluster::with_trace(&[task("alone", 1, "")], stream, "", "0,alone,\n90,alone,\n");
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    let second = told.record("alone-2");
    let times = [second.arrived, second.admitted, second.created].map(|time| time.unwrap().as_millis());
    assert_eq!(times, [90_000; 3]);
}

#[tokio::test(start_paused = true)]
async fn worker_that_outlives_its_master_does_not_delay_the_end() {
    let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, "run_policy: { clean_pod_policy: None }");
    cluster.scenario.operator(|run| if run.role == "master" { Fate::succeeds("") } else { Fate::runs_on() });
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    assert!(told.record("pair").response_seconds().unwrap() < 4.0);
}

#[tokio::test(start_paused = true)]
async fn waits_are_recorded_in_the_events_of_jobs() {
    let cluster = Cluster::new(&[task("a", 1, ""), task("b", 1, "")], "parallel: false", "");
    cluster.scenario.operator(|_| Fate::succeeds("").after(20));
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    assert_eq!(told.waits("b")[0], format!("another job runs, and only one may; frees when job {} ends", cluster.specs()[0].id));
    let events = cluster.scenario.names("events.events.k8s.io", None);
    let event = cluster.scenario.get("events.events.k8s.io", NAMESPACE, &events[0]).unwrap();
    assert!(events.len() == 1 && event["note"].as_str().unwrap().starts_with("Admitted after 2."), "{event}");
}

#[tokio::test(start_paused = true)]
async fn next_replication_begins_after_all_jobs_of_the_previous() {
    let cluster = Cluster::with_seeds(&[1, 2], &[task("long", 1, ""), task("short", 1, "")], PARALLEL);
    let long = cluster.object("long");
    cluster.scenario.operator(move |run| Fate::succeeds("").after(if run.job == long { 300 } else { 20 }));
    let told = cluster
        .run(async |told| {
            told.until("short", "succeeded").await;
            sleep(Duration::from_secs(10)).await;
            assert_eq!((told.states()["long"], cluster.scenario.creates("pytorchjobs").len()), ("running", 2));
        })
        .await;
    told.assert_all_succeeded();
    let expected = [0, 1].map(|replication| cluster.specs_of(replication).iter().map(|spec| job_name(&spec.id)).collect::<BTreeSet<_>>());
    let made = cluster.scenario.creates("pytorchjobs");
    assert_eq!([&made[..2], &made[2..]].map(|made| made.iter().cloned().collect::<BTreeSet<_>>()), expected);
}

#[tokio::test(start_paused = true)]
async fn replication_without_arrivals_is_skipped() {
    let stream = "orchestrator: simulated, duration: 60s, groups: [{ name: g, tasks: [alone], gaps: { type: exponential, mean: 90s } }]";
    let begin = |seeds: &[u64]| Cluster::with_seeds(seeds, &[task("alone", 1, "class_probability: 1")], stream);
    let num_arrivals = |seeds: &[u64]| {
        let cluster = begin(seeds);
        (0..seeds.len()).map(|replication| cluster.specs_of(replication).len()).collect::<Vec<_>>()
    };
    let (empty, full): (Vec<u64>, Vec<u64>) = (1..20).partition(|seed| num_arrivals(&[*seed])[0] == 0);
    // The last replication may be empty too, as may all of them.
    for seeds in [vec![empty[0], full[0]], vec![empty[0], empty[1], full[0], empty[2]], vec![full[0], empty[0]], vec![empty[0], empty[1]]] {
        let cluster = begin(&seeds);
        let expected: usize = num_arrivals(&seeds).iter().sum();
        let told = cluster.run(async |_| {}).await;
        assert_eq!(told.outcomes().len(), expected, "{seeds:?}");
        assert!(told.outcomes().values().all(|outcome| *outcome == Some(Outcome::Succeeded)));
    }
}
