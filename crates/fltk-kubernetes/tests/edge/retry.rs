//! Failed jobs that are retried.

use fake_kubernetes::Fate;
use fltk_kubernetes::{End, preflight::share, retry::clear};
use fltk_plan::JobId;
use serde_json::json;

use crate::harness::{Cluster, NAMESPACE, PARALLEL, Told, task};

#[tokio::test(start_paused = true)]
async fn failed_job_is_recreated() {
    for backend in ["pytorchjob", "trainjob"] {
        let cluster = Cluster::new(
            &[task("pair", 2, ""), task("wrong", 1, "")],
            PARALLEL,
            &format!("backend: {backend}, restart_policy: Never, run_policy: {{ backoff_limit: 0 }}"),
        );
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let plural = format!("{backend}s");
        let wrong = cluster.object("wrong");
        cluster.scenario.operator(move |run| if run.job == wrong { Fate::fails(1, "no number") } else { Fate::fails(6, "no space") });
        let told = cluster.run(async |_| {}).await;
        assert_eq!((told.states()["pair"], told.states()["wrong"]), ("failed", "failed"), "{backend}");
        // One job failed because of its machine, and is retried by default; both are retried on request.
        let jobs = cluster.to_retry(false);
        assert_eq!(jobs, [told.record("pair").job], "{backend}");
        assert_eq!(cluster.to_retry(true), [told.record("pair").job, told.record("wrong").job], "{backend}");
        // Nothing is removed for another stream.
        let elsewhere = cluster.began() - jiff::SignedDuration::from_secs(1);
        let client = cluster.scenario.client();
        clear(&client, &cluster.context, elsewhere, &jobs).await.unwrap();
        assert_eq!(cluster.scenario.names(&plural, Some(NAMESPACE)).len(), 2);
        tokio::select! {
            cleared = clear(&client, &cluster.context, cluster.began(), &jobs) => cleared.unwrap(),
            () = cluster.tick_on() => unreachable!("it never ends"),
        }
        assert_eq!(cluster.scenario.names(&plural, Some(NAMESPACE)), [cluster.object("wrong")]);
        cluster.retry(&jobs);
        cluster.scenario.operator(|_| Fate::succeeds("").after(10));
        // The process is killed once on the way.
        let first = Told::default();
        let killed = first.until("pair", "running");
        assert_eq!(cluster.process(cluster.scenario.client(), &first, killed).await, End::Stopped);
        let told = cluster.run(async |_| {}).await;
        assert_eq!((told.states()["pair"], told.states()["wrong"]), ("succeeded", "failed"), "{backend}");
        assert_eq!(cluster.num_made(&plural), 3);
        assert_eq!(cluster.to_retry(false), [] as [JobId; 0], "{backend}");
        let object = cluster.scenario.get(&plural, NAMESPACE, &cluster.object("pair")).unwrap();
        assert_eq!(object["metadata"]["annotations"]["fltk.node/attempt"], json!("2"));
    }
}
