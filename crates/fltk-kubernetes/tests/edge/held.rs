//! Jobs that another controller suspends, as Kueue does.

use std::time::Duration;

use fake_kubernetes::Fate;
use fltk_kubernetes::{End, look::waits, preflight::share};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    harness::{Cluster, NAMESPACE, PARALLEL, Told, task},
    preemption,
};

const BACKENDS: [&str; 2] = ["pytorchjob", "trainjob"];
/// The time for which jobs are held here.
const HELD: Duration = Duration::from_secs(77);

/// A cluster with one job of two pods, which runs until it's suspended, and for another second after it is resumed.
async fn cluster(backend: &str) -> Cluster {
    let cluster = Cluster::new(&[task("pair", 2, "")], PARALLEL, &format!("backend: {backend}"));
    share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    cluster.scenario.operator(|run| if run.attempt == 0 { Fate::runs_on() } else { Fate::succeeds("").after(10) });
    cluster
}

/// Sets whether job `name` is suspended, as another controller would.
async fn set(cluster: &Cluster, backend: &str, name: &str, suspend: bool) {
    preemption::suspend_by_hand(cluster, backend, name, suspend).await;
}

fn object(cluster: &Cluster, backend: &str, name: &str) -> Value {
    cluster.scenario.get(&format!("{backend}s"), NAMESPACE, &cluster.object(name)).unwrap()
}

/// Asserts that the record of `pair` has one suspension, of about [`HELD`], and excludes it from the run time.
fn assert_held_once(told: &Told) {
    told.assert_all_succeeded();
    let record = told.record("pair");
    assert_eq!(record.suspensions, 1);
    let (ran, served) = (record.run_seconds().unwrap(), record.service_seconds().unwrap());
    assert!(served > ran + HELD.as_secs_f64() - 2.0 && ran > 1.0 && ran < 30.0, "{ran} of {served} s: {record:?}");
}

#[tokio::test(start_paused = true)]
async fn job_suspended_by_somebody_else_is_held() {
    for backend in BACKENDS {
        let cluster = cluster(backend).await;
        let told = cluster
            .run(async |told| {
                told.until("pair", "running").await;
                sleep(Duration::from_secs(5)).await;
                set(&cluster, backend, "pair", true).await;
                told.until("pair", "held").await;
                let (client, spec) = (cluster.scenario.client(), cluster.specs().remove(0));
                let words = waits(&client, &cluster.context, &spec, false, cluster.now()).await.unwrap();
                assert!(words.contains("suspended by somebody else"), "{words}");
                sleep(HELD).await;
                assert_eq!((told.states()["pair"], told.stuck().len()), ("held", 1), "{backend}: {:?}", told.stuck());
                set(&cluster, backend, "pair", false).await;
                told.until("pair", "running").await;
            })
            .await;
        assert_held_once(&told);
        let annotations = object(&cluster, backend, "pair")["metadata"]["annotations"].clone();
        assert_eq!(annotations["fltk.node/attempt"], "1", "it wasn't started again by us");
    }
}

#[tokio::test(start_paused = true)]
async fn held_job_stays_held_after_a_restart() {
    for backend in BACKENDS {
        let cluster = cluster(backend).await;
        let client = || cluster.scenario.client();
        let first = Told::default();
        let killed = async {
            first.until("pair", "running").await;
            sleep(Duration::from_secs(5)).await;
        };
        assert_eq!(cluster.process(client(), &first, killed).await, End::Stopped);
        // No orchestrator is running when the job is suspended, nor for a while after.
        set(&cluster, backend, "pair", true).await;
        let while_nobody_looks = async {
            sleep(HELD / 2).await;
        };
        tokio::select! {
            () = while_nobody_looks => {}
            () = cluster.tick_on() => unreachable!("it never ends"),
        }
        let second = Told::default();
        let killed = async {
            second.until("pair", "held").await;
            sleep(HELD / 2).await;
        };
        assert_eq!(cluster.process(client(), &second, killed).await, End::Stopped);
        // No orchestrator is running when the suspension is lifted either.
        set(&cluster, backend, "pair", false).await;
        let told = cluster.run(async |_| {}).await;
        assert_held_once(&told);
    }
}

#[tokio::test(start_paused = true)]
async fn queued_job_is_held_from_the_start_at_no_cost() {
    for backend in BACKENDS {
        let cluster = cluster(backend).await;
        cluster.scenario.operator(|_| Fate::succeeds("").after(10));
        cluster.is_still.set(true);
        let told = cluster
            .run(async |told| {
                told.until("pair", "starting").await;
                set(&cluster, backend, "pair", true).await;
                cluster.is_still.set(false);
                told.until("pair", "held").await;
                sleep(HELD).await;
                set(&cluster, backend, "pair", false).await;
            })
            .await;
        told.assert_all_succeeded();
        let record = told.record("pair");
        assert_eq!(record.suspensions, 0, "it hadn't run");
        assert!(record.run_seconds().unwrap() < 5.0 && record.queue_seconds().unwrap() > HELD.as_secs_f64() - 1.0, "{record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn revoked_suspension_is_reported() {
    for backend in BACKENDS {
        let cluster = preemption::cluster(&format!("backend: {backend}"));
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        cluster.scenario.operator(|_| Fate::succeeds("").after(600));
        let told = cluster
            .run(async |told| {
                told.until("low", "suspending").await;
                let field = if backend == "pytorchjob" { "/spec/runPolicy/suspend" } else { "/spec/suspend" };
                while object(&cluster, backend, "low").pointer(field) != Some(&json!(true)) {
                    sleep(Duration::from_millis(10)).await;
                }
                set(&cluster, backend, "low", false).await;
                sleep(Duration::from_secs(10)).await;
                let said = told.stuck();
                assert_eq!(said.len(), 1, "{said:?}");
                assert!(
                    said[0].contains("its suspension was requested, but its object isn't suspended: somebody revoked that"),
                    "{said:?}"
                );
                let (client, specs) = (cluster.scenario.client(), cluster.specs());
                let low = specs.iter().find(|spec| spec.class == "low").unwrap();
                let words = waits(&client, &cluster.context, low, true, cluster.now()).await.unwrap();
                assert!(words.contains("somebody revoked that"), "{words}");
            })
            .await;
        told.assert_all_succeeded();
        assert_eq!(told.record("low").suspensions, 0);
    }
}
