//! The API server: objects, lists, watches and faults.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::{
    api::{authorization::v1::SelfSubjectAccessReview, core::v1::ConfigMap},
    apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{
    Api, Client, Error, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::watcher::{self, Event},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{NAMESPACE, pytorch_job, pytorch_jobs, status_of};
use fake_kubernetes::{KUBEFLOW, Scenario, TRAINER};

/// The limit on waiting. Nothing here waits longer.
const LIMIT: Duration = Duration::from_secs(10);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it comes about")
}

fn config_map(name: &str, labels: Value) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels }, "data": { "key": "value" } })).expect("a config map")
}

fn config_maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), NAMESPACE)
}

#[tokio::test]
async fn objects_are_created_once_and_read_by_all_clients() {
    let scenario = Scenario::new();
    let maps = config_maps(&scenario.client());
    let created = maps.create(&PostParams::default(), &config_map("a", json!({}))).await.unwrap();
    assert!(created.uid().is_some() && created.resource_version().is_some());
    assert_eq!(created.creation_timestamp().unwrap().0.to_string(), "2026-01-01T00:00:00Z");

    let conflict = status_of(maps.create(&PostParams::default(), &config_map("a", json!({}))).await);
    assert_eq!(
        (conflict.code, conflict.reason.as_str(), conflict.message.as_str()),
        (409, "AlreadyExists", "configmaps \"a\" already exists")
    );
    assert_eq!(scenario.creates("configmaps"), ["a", "a"]);

    let of_another = config_maps(&scenario.client());
    assert_eq!(of_another.get("a").await.unwrap().uid(), created.uid());
    assert!(of_another.get_opt("b").await.unwrap().is_none());

    let dry = PostParams { dry_run: true, ..PostParams::default() };
    maps.create(&dry, &config_map("b", json!({}))).await.unwrap();
    assert_eq!(scenario.names("configmaps", None), ["a"]);

    let nowhere: Api<ConfigMap> = Api::namespaced(scenario.client(), "x");
    let missing = status_of(nowhere.create(&PostParams::default(), &config_map("a", json!({}))).await);
    assert_eq!((missing.code, missing.message.as_str()), (404, "namespaces \"x\" not found"));

    let generated: ConfigMap = serde_json::from_value(json!({ "metadata": { "generateName": "g-" } })).unwrap();
    let names =
        [maps.create(&PostParams::default(), &generated).await.unwrap(), maps.create(&PostParams::default(), &generated).await.unwrap()];
    assert!(names.iter().all(|map| map.name_any().starts_with("g-")) && names[0].name_any() != names[1].name_any());
    let calls = scenario.requests();
    assert_eq!(
        (calls[0].method.as_str(), calls[0].path.as_str(), calls[0].code),
        ("POST", "/api/v1/namespaces/default/configmaps", Some(201))
    );
}

#[tokio::test]
async fn fields_belong_to_their_last_manager() {
    let scenario = Scenario::new();
    let jobs = pytorch_jobs(&scenario.client());
    let set = async |manager: &str, suspend: bool| {
        let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let patch = json!({ "spec": { "runPolicy": { "suspend": suspend } } });
        let job = jobs.patch("a", &parameters, &Patch::Merge(&patch)).await.unwrap();
        let fields = |entry: &ManagedFieldsEntry| entry.fields_v1.as_ref().unwrap().0.pointer("/f:spec/f:runPolicy/f:suspend").cloned();
        let owners = job.managed_fields().iter().filter(|entry| fields(entry).is_some());
        owners.map(|entry| entry.manager.clone().unwrap()).collect::<Vec<_>>()
    };
    jobs.create(&PostParams::default(), &pytorch_job("a", json!({ "suspend": false }))).await.unwrap();
    assert_eq!(set("b", false).await, ["unknown"], "it was so before");
    assert_eq!(set("b", true).await, ["b"]);
    assert_eq!(set("c", true).await, ["b"]);
    assert_eq!(set("c", false).await, ["c"]);
}

#[tokio::test(start_paused = true)]
async fn slow_answers_run_concurrently() {
    let scenario = Scenario::new();
    let maps = config_maps(&scenario.client());
    let create = async |name: &str| maps.create(&PostParams::default(), &config_map(name, json!({}))).await.unwrap();
    let three = async || tokio::join!(create("a"), create("b"), create("c"));
    three().await;
    assert_eq!(scenario.peak(|_| true), 1, "each is answered at once");
    ["a", "b", "c"].into_iter().for_each(|name| scenario.delete_by_hand("configmaps", NAMESPACE, name));
    scenario.answers_take(Duration::from_secs(1));
    let start = Instant::now();
    three().await;
    assert_eq!((start.elapsed().as_secs(), scenario.peak(|_| true), scenario.peak(|call| call.method == "GET")), (1, 3, 0));
    // A client that gives up waits for no answer.
    assert!(timeout(Duration::from_millis(1), create("d")).await.is_err());
    tokio::join!(create("e"), create("f"), create("g"));
    assert_eq!((scenario.peak(|_| true), scenario.get("configmaps", NAMESPACE, "d").is_some()), (3, true));
}

#[tokio::test]
async fn patches_change_only_named_fields() {
    let scenario = Scenario::new();
    let maps = config_maps(&scenario.client());
    let mine = PatchParams::apply("test").force();
    let applied = maps.patch("a", &mine, &Patch::Apply(config_map("a", json!({ "x": "1" })))).await.unwrap();
    let again = maps.patch("a", &mine, &Patch::Apply(config_map("a", json!({ "x": "1" })))).await.unwrap();
    assert_eq!(applied.resource_version(), again.resource_version(), "nothing changed");

    let patch = Patch::Merge(json!({ "data": { "key": null, "other": "1" } }));
    let patched = maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap().into_iter().collect::<Vec<_>>(), [("other".to_owned(), "1".to_owned())]);
    assert_eq!(status_of(maps.patch("b", &PatchParams::default(), &patch).await).code, 404);

    let mut stale = applied.clone();
    stale.data = None;
    let conflict = status_of(maps.replace("a", &PostParams::default(), &stale).await);
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"));
    stale.metadata.resource_version = None;
    assert_eq!(maps.replace("a", &PostParams::default(), &stale).await.unwrap().data, None);

    // The status of a kind with a status endpoint is changed on its own, and changes of the specification are counted.
    let jobs = pytorch_jobs(&scenario.client());
    jobs.create(&PostParams::default(), &pytorch_job("job", json!({ "suspend": true }))).await.unwrap();
    let both = json!({ "spec": { "runPolicy": { "suspend": false } }, "status": { "conditions": [] } });
    let patched = jobs.patch("job", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
    assert_eq!((patched.metadata.generation, patched.data.get("status")), (Some(2), None));
    let patched = jobs.patch_status("job", &PatchParams::default(), &Patch::Merge(both)).await.unwrap();
    assert_eq!((patched.metadata.generation, &patched.data["status"]), (Some(2), &json!({ "conditions": [] })));
}

#[tokio::test]
async fn lists_select_and_come_in_pages_of_one_version() {
    let scenario = Scenario::new();
    let maps = config_maps(&scenario.client());
    for (name, label) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "1")] {
        maps.create(&PostParams::default(), &config_map(name, json!({ "x": label }))).await.unwrap();
    }
    let check = async |params: ListParams, expected: &[&str]| {
        let names: Vec<String> = maps.list(&params).await.unwrap().iter().map(|map| map.name_any()).collect();
        assert_eq!(names, expected, "{params:?}");
    };
    check(ListParams::default().labels("x=1"), &["a", "d"]).await;
    check(ListParams::default().labels("x in (2, 3),x!=3"), &["b"]).await;
    check(ListParams::default().labels("x notin (1)"), &["b", "c"]).await;
    check(ListParams::default().labels("!x"), &[]).await;
    check(ListParams::default().labels("x").fields("metadata.name=c"), &["c"]).await;
    assert_eq!(status_of(maps.list(&ListParams::default().fields("data.key=1")).await).code, 400);

    let first = maps.list(&ListParams::default().limit(3)).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    scenario.delete_by_hand("configmaps", NAMESPACE, "d");
    let rest = maps.list(&ListParams::default().limit(3).continue_token(&token)).await.unwrap();
    assert_eq!((rest.items[0].name_any(), rest.metadata.resource_version), ("d".to_owned(), first.metadata.resource_version));
    scenario.expire_watches();
    let expired = status_of(maps.list(&ListParams::default().limit(3).continue_token(&token)).await);
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
    // The rest of the list at the current version, where `d` is gone.
    let token = expired.metadata.and_then(|metadata| metadata.continue_).unwrap();
    assert!(maps.list(&ListParams::default().limit(3).continue_token(&token)).await.unwrap().items.is_empty());

    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("x=1")).await.unwrap();
    assert_eq!(scenario.names("configmaps", None), ["b", "c"]);
}

/// The next event as text: its type, and the object's name.
async fn next(events: &mut (impl Stream<Item = watcher::Result<Event<ConfigMap>>> + Unpin)) -> String {
    match soon(events.next()).await.expect("a watcher never ends") {
        Ok(event) => event.to_string(),
        Err(watcher::Error::WatchError(status)) => format!("{} {}", status.code, status.reason),
        Err(watcher::Error::WatchFailed(_)) => "broken".to_owned(),
        Err(watcher::Error::InitialListFailed(_)) => "no list".to_owned(),
        Err(watcher::Error::WatchStartFailed(_)) => "no watch".to_owned(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn watcher_sees_all_events_across_streams() {
    let scenario = Scenario::new();
    let maps = config_maps(&scenario.client());
    let create =
        async |name: &str, label: &str| maps.create(&PostParams::default(), &config_map(name, json!({ "x": label }))).await.unwrap();
    create("a", "1").await;
    let mut events = Box::pin(watcher::watcher(maps.clone(), watcher::Config::default().labels("x=1")));
    for expected in ["Init", "InitApply(a)", "InitDone"] {
        assert_eq!(next(&mut events).await, expected);
    }
    create("other", "2").await;
    create("b", "1").await;
    assert_eq!(next(&mut events).await, "Apply(b)");

    // Changes while no watch was open are delivered afterwards.
    scenario.cut_watches();
    scenario.delete_by_hand("configmaps", NAMESPACE, "a");
    assert_eq!(next(&mut events).await, "Delete(a)");

    // An object that no longer matches is deleted for this reader, and one that begins to match is added.
    maps.patch("b", &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "labels": { "x": "2" } } }))).await.unwrap();
    maps.patch("other", &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "labels": { "x": "1" } } }))).await.unwrap();
    assert_eq!((next(&mut events).await, next(&mut events).await), ("Delete(b)".to_owned(), "Apply(other)".to_owned()));

    scenario.expire_watches();
    for expected in ["410 Expired", "Init", "InitApply(other)", "InitDone"] {
        assert_eq!(next(&mut events).await, expected);
    }
    create("c", "1").await;
    assert_eq!(next(&mut events).await, "Apply(c)");

    scenario.away(true);
    assert_eq!((next(&mut events).await, next(&mut events).await), ("broken".to_owned(), "no watch".to_owned()));
    scenario.away(false);
    scenario.delete_by_hand("configmaps", NAMESPACE, "c");
    assert_eq!(next(&mut events).await, "Delete(c)");

    // A version that expired while no stream was open is reported at the next attempt.
    scenario.cut_watches();
    scenario.expire_watches();
    assert_eq!(next(&mut events).await, "410 Expired");
}

#[tokio::test(start_paused = true)]
async fn watch_streams_have_requested_bookmarks_and_an_end() {
    let scenario = Scenario::new();
    let maps = config_maps(&scenario.client());
    maps.create(&PostParams::default(), &config_map("a", json!({}))).await.unwrap();
    let mut events = maps.watch(&WatchParams::default().timeout(5), "0").await.unwrap().boxed();
    assert!(matches!(soon(events.next()).await, Some(Ok(WatchEvent::Added(map))) if map.name_any() == "a"));
    scenario.bookmark();
    assert!(matches!(soon(events.next()).await, Some(Ok(WatchEvent::Bookmark(_)))));
    assert_eq!(scenario.num_watches(), 1);
    assert!(soon(events.next()).await.is_none(), "the server ends it after five seconds");
    drop(events);
    assert_eq!(scenario.num_watches(), 0);

    let mut listed = Box::pin(watcher::watcher(maps, watcher::Config::default().streaming_lists()));
    for expected in ["Init", "InitApply(a)", "InitDone"] {
        assert_eq!(next(&mut listed).await, expected);
    }
}

#[tokio::test]
async fn injected_faults_are_those_of_a_server() {
    let scenario = Scenario::new();
    let client = scenario.client();
    let maps = config_maps(&client);
    let create = async |name: &str| maps.create(&PostParams::default(), &config_map(name, json!({}))).await;
    scenario.fail_next(2, 503, Some(3));
    for _ in 0..2 {
        let refused = status_of(create("a").await);
        assert_eq!((refused.code, refused.details.as_ref().unwrap().retry_after_seconds), (503, 3));
    }
    scenario.fail_next(1, 429, Some(1));
    assert_eq!(status_of(create("a").await).code, 429);
    assert!(scenario.creates("configmaps").is_empty(), "none of them was done");

    scenario.lose_answers(1);
    assert!(matches!(create("a").await, Err(Error::Service(_))));
    assert_eq!(status_of(create("a").await).reason, "AlreadyExists", "it was done all the same");

    scenario.away(true);
    assert!(matches!(create("b").await, Err(Error::Service(_))));
    assert_eq!(scenario.requests().last().unwrap().code, None);
    scenario.away(false);

    scenario.forbid("create", "pytorchjobs");
    let jobs = pytorch_jobs(&client);
    let job = pytorch_job("job", json!({}));
    let forbidden = status_of(jobs.create(&PostParams::default(), &job).await);
    assert_eq!((forbidden.code, forbidden.reason.as_str()), (403, "Forbidden"));
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let attributes = |verb: &str| json!({ "verb": verb, "group": KUBEFLOW, "resource": "pytorchjobs", "namespace": NAMESPACE });
    for (verb, expected) in [("create", false), ("list", true)] {
        let review = serde_json::from_value(json!({ "spec": { "resourceAttributes": attributes(verb) } })).unwrap();
        assert_eq!(reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed, expected, "{verb}");
    }
    scenario.allow("create", "pytorchjobs");

    scenario.webhook_down(true);
    let unreachable = status_of(jobs.create(&PostParams::default(), &job).await);
    assert_eq!((unreachable.code, unreachable.reason.as_str()), (500, "InternalError"));
    assert!(unreachable.message.contains("failed calling webhook"), "{}", unreachable.message);
    scenario.webhook_down(false);
    let denied = status_of(jobs.create(&PostParams::default(), &pytorch_job("1-job", json!({}))).await);
    assert!(denied.code == 403 && denied.message.contains("denied the request"), "{}", denied.message);
    jobs.create(&PostParams::default(), &job).await.unwrap();

    assert_eq!(client.apiserver_version().await.unwrap().minor, "34");
    let resources = client.list_api_group_resources("kubeflow.org/v1").await.unwrap();
    assert!(resources.resources.iter().any(|resource| resource.name == "pytorchjobs"));
    scenario.uninstall(KUBEFLOW);
    assert_eq!(status_of(client.list_api_group_resources("kubeflow.org/v1").await).code, 404);
    assert_eq!(status_of(jobs.list(&ListParams::default()).await).code, 404);
    let groups = client.list_api_groups().await.unwrap().groups;
    assert!(groups.iter().any(|group| group.name == TRAINER) && !groups.iter().any(|group| group.name == KUBEFLOW));
    scenario.install(KUBEFLOW);
    assert!(jobs.list(&ListParams::default()).await.unwrap().items.is_empty(), "its objects went with the definition");
}
