//! The roles of `charts/orchestrator` compared with the requests sent to the API server: every right is used, and no request lacks one.
//!
//! The roles are read from the rendered chart, which is committed; `cargo xtask charts` compares the rendered files with the chart.

use std::{collections::BTreeSet, fs, path::Path};

use fake_kubernetes::{Call, Fate};
use fltk_kubernetes::{
    down::down,
    preflight::{check, share},
    retry::clear,
};
use serde_json::Value;

use crate::harness::{Cluster, NAMESPACE, federated, task};

/// `verb plural.group`, and true if the right applies to all namespaces.
type Right = (String, bool);

/// Returns the rights that the role `name` of `kind` grants, as rendered with the set of values `set`.
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

/// Returns the rights that `calls` need.
fn used(calls: &[Call]) -> BTreeSet<Right> {
    let mut rights: BTreeSet<Right> = calls.iter().filter_map(right_of).collect();
    // Applying an object that doesn't exist yet creates it.
    let applied = calls.iter().filter(|call| call.method == "PATCH" && call.code == Some(201)).filter_map(right_of);
    rights.extend(applied.map(|(right, in_all)| (right.replacen("patch", "create", 1), in_all)));
    rights
}

/// Returns the right that `call` needs. It is `None` for requests that everybody may make: discovery, and reviews of one's own access.
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
        ("DELETE", 2) => "delete",
        _ => panic!("{call:?}: a verb that no role of the chart has"),
    };
    Some((right(verb, group, rest[0]), in_all))
}

/// How jobs are admitted, which decides where the orchestrator looks at pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// A fixed number of jobs: one at a time.
    Counted,
    /// By the free capacity of the nodes, which takes rights for the whole cluster.
    Capacity,
}

/// Runs all checks, and then jobs through their whole life: creation, two preemptions (the second adds an event to the first), resumption.
async fn at_work(backend: &str, admission: Admission) -> Cluster {
    let admitted = match admission {
        Admission::Counted => "{ type: max_concurrent, jobs: 1 }",
        Admission::Capacity => "{ type: capacity }",
    };
    let stream = format!(
        "orchestrator: trace, trace: trace.csv, policy: priority, admission: {admitted}, \
         groups: [{{ name: urgent, tasks: [urgent], preempt: true }}]"
    );
    let trace = "0,low,1\n5,urgent,0\n60,urgent,0\n";
    // The job `low` takes the whole node.
    let cores = "resources: { master: { cores: 2, memory: 1Gi }, worker: { cores: 2, memory: 1Gi } }";
    let settings = format!("backend: {backend}, restart_policy: Never, run_policy: {{ backoff_limit: 0 }}");
    // Its pods need credentials.
    let urgent = federated("urgent", 1, "resources: { master: { cores: 1, memory: 1Gi }, worker: { cores: 1, memory: 1Gi } }");
    let cluster = Cluster::with_trace(&[task("low", 2, cores), urgent], &stream, &settings, trace);
    let low = cluster.object("low");
    cluster.scenario.operator(move |run| match (run.job == low, run.attempt) {
        (true, ..2) => Fate::runs_on(),
        (true, _) => Fate::fails(6, "no space"),
        (false, _) => Fate::succeeds("").after(10),
    });
    check(&cluster.scenario.client(), &cluster.context, &cluster.specs(), admission == Admission::Capacity).await.unwrap();
    share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
    let told = cluster.run(async |_| {}).await;
    assert_eq!((told.states()["low"], told.record("low").suspensions), ("failed", 2));
    let failed = cluster.to_retry(false);
    assert_eq!(failed, [told.record("low").job]);
    let client = cluster.scenario.client();
    tokio::select! {
        cleared = clear(&client, &cluster.context, cluster.began(), &failed) => cleared.unwrap(),
        () = cluster.tick_on() => unreachable!("it never ends"),
    }
    cluster.retry(&failed);
    cluster.scenario.operator(|_| Fate::succeeds("").after(10));
    cluster.run(async |_| {}).await.assert_all_succeeded();
    cluster
}

/// Returns the rights that the orchestrator has when rendered with `set`, including its cluster role for admission by capacity.
fn has_in_all(set: &str) -> BTreeSet<Right> {
    let mut rights = has(set, "Role", "demo-orchestrator");
    rights.extend(has(set, "ClusterRole", "fltk:fltk-test:demo-orchestrator"));
    rights
}

#[tokio::test(start_paused = true)]
async fn orchestrator_uses_exactly_its_rights() {
    for (backend, set) in [("pytorchjob", "kfltk"), ("trainjob", "trace")] {
        let cluster = at_work(backend, Admission::Counted).await;
        assert_eq!(used(&cluster.scenario.requests()), has(set, "Role", "demo-orchestrator"), "{set}");
    }
}

#[tokio::test(start_paused = true)]
async fn orchestrator_with_capacity_admission_uses_exactly_its_rights() {
    for (backend, set) in [("pytorchjob", "admission"), ("trainjob", "capacity")] {
        let cluster = at_work(backend, Admission::Capacity).await;
        let has = has_in_all(set);
        // A right in the whole cluster is one in the namespace too.
        let given = |(right, in_all): Right| if has.contains(&(right.clone(), true)) { (right, true) } else { (right, in_all) };
        let used: BTreeSet<Right> = used(&cluster.scenario.requests()).into_iter().map(given).collect();
        assert_eq!(used, has, "{set}");
    }
}

#[tokio::test(start_paused = true)]
async fn cluster_wide_read_rights_cover_the_namespace() {
    let has = has_in_all("always");
    let is_covered = |(right, in_all): &Right| has.contains(&(right.clone(), *in_all)) || has.contains(&(right.clone(), true));
    for admission in [Admission::Counted, Admission::Capacity] {
        let used = used(&at_work("pytorchjob", admission).await.scenario.requests());
        assert!(used.iter().all(is_covered), "{admission:?}: {used:?} of {has:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn removal_uses_exactly_its_rights() {
    let mut calls = Vec::new();
    for backend in ["pytorchjob", "trainjob"] {
        let cluster = at_work(backend, Admission::Counted).await;
        let before = cluster.scenario.requests().len();
        // This config map has no owner: its job was gone when it was created.
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
