//! The roles of `charts/orchestrator` against what is really asked of the API server: every right is used, and nothing is done without one.
//!
//! The roles are those of what the chart renders, which is committed; `cargo xtask charts` compares it with the chart.

use std::{collections::BTreeSet, fs, path::Path};

use fltk_cluster::kubernetes::{
    down::down,
    preflight::{check, share},
};
use serde_json::Value;

use crate::{
    harness::{Cluster, NAMESPACE, PARALLEL, task},
    scenario::{Call, Fate},
};

/// `verb plural.group`, and whether in all namespaces.
type Right = (String, bool);

/// What the role `name` of `kind` gives, as rendered with the set of values `set`.
fn has(set: &str, kind: &str, name: &str) -> BTreeSet<Right> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/orchestrator/ci/golden").join(format!("{set}.yaml"));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap();
    let role = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let role = role.unwrap_or_else(|| panic!("{set} has no {kind} {name}"));
    let words = |list: &Value| list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                rights.extend(words(&rule["verbs"]).iter().map(|verb| (right(verb, &group, &resource), kind == "ClusterRole")));
            }
        }
    }
    rights
}

fn right(verb: &str, group: &str, plural: &str) -> String {
    if group.is_empty() { format!("{verb} {plural}") } else { format!("{verb} {plural}.{group}") }
}

/// What it takes to do `calls`.
fn used(calls: &[Call]) -> BTreeSet<Right> {
    let mut rights: BTreeSet<Right> = calls.iter().filter_map(right_of).collect();
    // What is applied and isn't there yet is created.
    let applied = calls.iter().filter(|call| call.method == "PATCH" && call.code == Some(201)).filter_map(right_of);
    rights.extend(applied.map(|(right, in_all)| (right.replacen("patch", "create", 1), in_all)));
    rights
}

/// None, where everybody may: what the API is like, and what oneself may do.
fn right_of(call: &Call) -> Option<Right> {
    let mut segments = call.path.trim_matches('/').split('/');
    let group = if segments.next()? == "api" { "" } else { segments.next()? };
    let _version = segments.next()?;
    let mut rest: Vec<&str> = segments.collect();
    if rest.is_empty() || group == "authorization.k8s.io" {
        return None;
    }
    let in_all = rest[0] != "namespaces";
    if !in_all {
        assert_eq!(rest[1], NAMESPACE, "{call:?}");
        rest.drain(..2);
    }
    let is_watch = call.query.split('&').any(|parameter| ["watch=true", "watch=1"].contains(&parameter));
    let verb = match (call.method.as_str(), rest.len()) {
        ("GET", 1) if is_watch => "watch",
        ("GET", 1) => "list",
        ("GET", 2) => "get",
        ("POST", 1) => "create",
        ("PATCH", 2) => "patch",
        ("DELETE", 1) => "deletecollection",
        _ => panic!("{call:?}: a verb that no role of the chart has"),
    };
    Some((right(verb, group, rest[0]), in_all))
}

/// All that becomes of jobs: made, pushed out twice (the second time an event is added to the first), let go on; and before it all checks.
async fn at_work(backend: &str) -> Cluster {
    let stream = "orchestrator: trace, trace: trace.csv, policy: priority, admission: { type: max_concurrent, jobs: 1 }, \
                  groups: [{ name: urgent, tasks: [urgent], preempt: true }]";
    let trace = "0,low,1\n5,urgent,0\n60,urgent,0\n";
    let cluster = Cluster::with_trace(&[task("low", 2, ""), task("urgent", 1, "")], stream, &format!("backend: {backend}"), trace);
    let low = cluster.object("low");
    cluster.scenario.operator(move |run| if run.job == low && run.attempt < 2 { Fate::runs_on() } else { Fate::succeeds("").after(10) });
    check(&cluster.scenario.client(), &cluster.context, &cluster.specs(), false).await.unwrap();
    share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    let told = cluster.run(async |_| {}).await;
    told.assert_all_succeeded();
    assert_eq!(told.record("low").suspensions, 2);
    cluster
}

#[tokio::test(start_paused = true)]
async fn every_right_of_the_orchestrator_is_used_and_no_other() {
    let cluster = at_work("pytorchjob").await;
    assert_eq!(used(&cluster.scenario.requests()), has("kfltk", "Role", "demo-orchestrator"));
}

#[tokio::test(start_paused = true)]
async fn with_train_jobs_and_nodes_too() {
    let mut calls = at_work("trainjob").await.scenario.requests();
    let capacity = Cluster::new(&[task("alone", 1, "")], &format!("{PARALLEL}, admission: {{ type: capacity }}"), "backend: trainjob");
    check(&capacity.scenario.client(), &capacity.context, &capacity.specs(), true).await.unwrap();
    share(&capacity.scenario.client(), &capacity.context, &capacity.specs()).await.unwrap();
    capacity.run(async |_| {}).await.assert_all_succeeded();
    calls.extend(capacity.scenario.requests());
    let mut has_both = has("capacity", "Role", "demo-orchestrator");
    has_both.extend(has("capacity", "ClusterRole", "fltk:fltk-test:demo-orchestrator"));
    assert_eq!(used(&calls), has_both);
}

#[tokio::test(start_paused = true)]
async fn every_right_of_the_removal_is_used_and_no_other() {
    let mut calls = Vec::new();
    for backend in ["pytorchjob", "trainjob"] {
        let cluster = at_work(backend).await;
        let before = cluster.scenario.requests().len();
        // Not owned: its job was gone when it came.
        let orphan = serde_json::json!({ "metadata": { "name": "orphan", "labels": { "fltk.node/run": cluster.context.run } } });
        cluster.scenario.create_by_hand("configmaps", NAMESPACE, orphan);
        let client = cluster.scenario.client();
        tokio::select! {
            removed = down(&client, NAMESPACE, &cluster.context.run) => drop(removed.unwrap()),
            () = cluster.tick_on() => unreachable!("it never ends"),
        }
        calls.extend(cluster.scenario.requests().split_off(before));
    }
    assert_eq!(used(&calls), has("capacity", "Role", "demo-orchestrator-down"));
}
