//! The checks before a stream starts, and the errors for a stream that couldn't run.

use std::sync::Arc;

use fake_kubernetes::{KUBEFLOW, TRAINER};
use fltk_kubernetes::{manifest::RunContext, preflight::check};

use crate::harness::{Cluster, PARALLEL, federated, task};

async fn refused(cluster: &Cluster, context: &RunContext, needs_nodes: bool) -> String {
    check(&cluster.scenario.client(), context, &cluster.specs(), needs_nodes).await.expect_err("it can't run").to_string()
}

fn cluster(kubernetes: &str) -> Cluster {
    Cluster::new(&[task("pair", 2, ""), task("alone", 1, "")], PARALLEL, kubernetes)
}

#[tokio::test(start_paused = true)]
async fn preflight_passes_and_creates_nothing() {
    let cluster = cluster("");
    check(&cluster.scenario.client(), &cluster.context, &cluster.specs(), true).await.unwrap();
    assert!(cluster.scenario.names("pytorchjobs", None).is_empty() && cluster.scenario.names("configmaps", None).is_empty());
    // A resumed stream finds its own objects.
    cluster.run(async |_| {}).await.assert_all_succeeded();
    check(&cluster.scenario.client(), &cluster.context, &cluster.specs(), true).await.unwrap();
    // Transient errors are waited out.
    cluster.scenario.fail_next(3, 503, None);
    check(&cluster.scenario.client(), &cluster.context, &cluster.specs(), true).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn missing_operator_is_reported() {
    for (backend, group) in [("pytorchjob", KUBEFLOW), ("trainjob", TRAINER)] {
        let cluster = cluster(&format!("backend: {backend}"));
        cluster.scenario.uninstall(group);
        insta::assert_snapshot!(format!("no_operator_{backend}"), refused(&cluster, &cluster.context, false).await);
    }
}

#[tokio::test(start_paused = true)]
async fn missing_namespace_is_reported() {
    for backend in ["pytorchjob", "trainjob"] {
        let cluster = cluster(&format!("backend: {backend}"));
        let context = RunContext { namespace: "fl".to_owned(), ..RunContext::clone(&cluster.context) };
        insta::assert_snapshot!("no_namespace", refused(&cluster, &context, false).await);
    }
}

#[tokio::test(start_paused = true)]
async fn missing_rights_are_reported() {
    let cluster = cluster("");
    for (verb, kind) in [("create", "pytorchjobs"), ("patch", "configmaps"), ("watch", "nodes"), ("list", "pods")] {
        cluster.scenario.forbid(verb, kind);
    }
    insta::assert_snapshot!("no_rights", refused(&cluster, &cluster.context, false).await);
    insta::assert_snapshot!("no_rights_by_capacity", refused(&cluster, &cluster.context, true).await);
}

#[tokio::test(start_paused = true)]
async fn missing_right_to_create_secrets_is_reported_to_those_who_have_nodes() {
    let without = cluster("");
    without.scenario.forbid("create", "secrets");
    check(&without.scenario.client(), &without.context, &without.specs(), false).await.unwrap();
    let with = Cluster::new(&[federated("nodes", 2, "")], PARALLEL, "");
    check(&with.scenario.client(), &with.context, &with.specs(), false).await.unwrap();
    assert!(with.scenario.names("secrets", None).is_empty(), "checking makes nothing");
    with.scenario.forbid("create", "secrets");
    insta::assert_snapshot!("no_right_to_secrets", refused(&with, &with.context, false).await);
}

#[tokio::test(start_paused = true)]
async fn unreachable_api_server_is_reported() {
    let cluster = cluster("");
    cluster.scenario.away(true);
    insta::assert_snapshot!("away", refused(&cluster, &cluster.context, false).await);
}

#[tokio::test(start_paused = true)]
async fn refused_object_is_reported() {
    let cluster = cluster("");
    let context = Arc::unwrap_or_clone(Arc::clone(&cluster.context));
    cluster.scenario.refuse("pytorchjobs", "trainjob-0000000000000000", 422);
    insta::assert_snapshot!("refused", refused(&cluster, &context, false).await);
}
