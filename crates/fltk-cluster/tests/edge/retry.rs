//! Jobs that failed and are tried again.

use fltk_cluster::kubernetes::{End, preflight::share, retry::clear};
use serde_json::json;

use crate::{
    harness::{Cluster, NAMESPACE, PARALLEL, Told, task},
    scenario::Fate,
};

#[tokio::test(start_paused = true)]
async fn a_job_that_failed_is_made_anew() {
    for backend in ["pytorchjob", "trainjob"] {
        let cluster = Cluster::new(
            &[task("pair", 2, "")],
            PARALLEL,
            &format!("backend: {backend}, restart_policy: Never, run_policy: {{ backoff_limit: 0 }}"),
        );
        share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        let plural = format!("{backend}s");
        cluster.scenario.operator(|_| Fate::fails(6, "no space"));
        let told = cluster.run(async |_| {}).await;
        assert_eq!(told.states()["pair"], "failed", "{backend}");
        let jobs = cluster.to_retry(true);
        assert_eq!(jobs.len(), 1);
        // Of another stream nothing is removed.
        let elsewhere = cluster.began() - jiff::SignedDuration::from_secs(1);
        let client = cluster.scenario.client();
        clear(&client, &cluster.context, elsewhere, &jobs).await.unwrap();
        assert_eq!(cluster.scenario.names(&plural, Some(NAMESPACE)).len(), 1);
        tokio::select! {
            cleared = clear(&client, &cluster.context, cluster.began(), &jobs) => cleared.unwrap(),
            () = cluster.tick_on() => unreachable!("it never ends"),
        }
        assert!(cluster.scenario.names(&plural, Some(NAMESPACE)).is_empty());
        cluster.retry(&jobs);
        cluster.scenario.operator(|_| Fate::succeeds("").after(10));
        // Killed once on the way.
        let first = Told::default();
        let killed = first.until("pair", "running");
        assert_eq!(cluster.process(cluster.scenario.client(), &first, killed).await, End::Stopped);
        let told = cluster.run(async |_| {}).await;
        told.assert_all_succeeded();
        assert_eq!(cluster.num_made(&plural), 2);
        let object = cluster.scenario.get(&plural, NAMESPACE, &cluster.object("pair")).unwrap();
        assert_eq!(object["metadata"]["annotations"]["fltk.node/attempt"], json!("2"));
    }
}
