//! Processes that are killed: another process resumes the stream from the journal, loses nothing and does nothing twice.

use std::{future::poll_fn, task::Poll, time::Duration};

use fake_kubernetes::Fate;
use fltk_kubernetes::End;
use tokio::time::sleep;

use crate::{
    harness::{Cluster, NAMESPACE, PARALLEL, Told, task},
    preemption,
};

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
pub enum Kill {
    /// After this many events were journaled, before anything was done about the last of them.
    AfterRecords(usize),
    /// After this many requests were answered.
    AfterRequests(usize),
}

/// Runs two processes, one after the other. The cluster continues for `gap` between them.
pub async fn kill(cluster: &Cluster, kill: Kill, gap: Duration) -> Told {
    let first = Told::default();
    match kill {
        Kill::AfterRecords(num) => {
            let enough = poll_fn(|_| if cluster.num_records() >= num { Poll::Ready(()) } else { Poll::Pending });
            cluster.process(cluster.scenario.client(), &first, enough).await;
            cluster.cut_journal(num);
        }
        Kill::AfterRequests(num) => {
            let (client, dead) = cluster.scenario.dying_client(num);
            cluster.process(client, &first, dead.notified()).await;
        }
    }
    tokio::select! {
        () = sleep(gap) => {}
        () = cluster.tick_on() => {}
    }
    let second = Told::default();
    let end = cluster.process(cluster.scenario.client(), &second, std::future::pending()).await;
    assert_eq!(end, End::Finished, "{kill:?}");
    second
}

/// Every point at which to kill a process, in a stream with as many records and requests as `whole`.
pub fn kills(whole: &Cluster) -> Vec<Kill> {
    let (records, requests) = (whole.num_records(), whole.scenario.requests().len());
    assert!(records > 5 && requests > 5, "{records} {requests}");
    (1..=records).map(Kill::AfterRecords).chain((0..requests).map(Kill::AfterRequests)).collect()
}

const GAPS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(1)];

/// Asserts that every job has the config maps that its pods read.
fn assert_config_maps(cluster: &Cluster, when: &str) {
    for spec in cluster.specs() {
        let job = cluster.scenario.get("pytorchjobs", NAMESPACE, &cluster.object(&spec.class)).unwrap();
        for pod in &spec.pods {
            let name = format!("{}-{}-0", format!("{:?}", pod.role).to_lowercase(), spec.id);
            let map = cluster.scenario.get("configmaps", NAMESPACE, &name);
            let map = map.unwrap_or_else(|| panic!("{when}: there is a config map {name}"));
            assert_eq!(map["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"], "{when}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn batch_survives_a_kill_at_any_moment() {
    let new = || {
        let cluster = Cluster::new(&[task("pair", 2, ""), task("alone", 1, "")], PARALLEL, "");
        cluster.scenario.operator(|run| {
            assert_eq!(run.attempt, 0, "nothing runs twice");
            Fate::succeeds("")
        });
        cluster
    };
    let whole = new();
    whole.run(async |_| {}).await.assert_all_succeeded();
    for way in kills(&whole) {
        for gap in GAPS {
            let cluster = new();
            let told = kill(&cluster, way, gap).await;
            told.assert_all_succeeded();
            assert_eq!(cluster.num_made("pytorchjobs"), 2, "{way:?}");
            // A finished job no longer needs its config map, since pods of this cluster run without one.
            if gap.is_zero() {
                assert_config_maps(&cluster, &format!("{way:?}"));
            }
            for name in ["pair", "alone"] {
                let record = told.record(name);
                let times = [record.arrived, record.admitted, record.created, record.first_pod, record.ended];
                let times: Vec<u64> = times.iter().map(|time| time.expect("it's recorded").as_millis()).collect();
                assert!(times.is_sorted(), "{way:?} {name}: {times:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn preemption_survives_a_kill_at_any_moment() {
    let whole = preemption::cluster("");
    whole.run(async |_| {}).await.assert_all_succeeded();
    for way in kills(&whole) {
        for gap in GAPS {
            let cluster = preemption::cluster("");
            let told = kill(&cluster, way, gap).await;
            told.assert_all_succeeded();
            assert_eq!(cluster.num_made("pytorchjobs"), 2, "{way:?}");
            // If no process asked for a preemption in time, the urgent job has nothing to wait for.
            assert!(told.record("low").suspensions <= 1, "{way:?}");
        }
    }
}
