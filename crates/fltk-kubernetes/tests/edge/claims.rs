//! A claim that is read through a pod: the error if that is impossible, and the removal of the pod in every case.

use std::{cell::RefCell, time::Duration};

use fake_kubernetes::Scenario;
use fltk_kubernetes::{
    claim::{ClaimError, Reader, image_of_jobs, open},
    config::KubernetesConfig,
    manifest::RUN_LABEL,
    preflight::share,
};
use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value as Json, json};
use tokio::time::sleep;
use tower::{BoxError, service_fn};

use crate::harness::{Cluster, NAMESPACE, PARALLEL, TICK, task};

fn reader() -> Reader {
    Reader {
        claim: "fl-log-claim".to_owned(),
        folder: String::new(),
        image: "registry.example/fltk:1".to_owned(),
        token: "0123456789abcdef".to_owned(),
        config: KubernetesConfig::of_stream(None),
    }
}

fn scenario() -> Scenario {
    let scenario = Scenario::new();
    scenario.create_by_hand("persistentvolumeclaims", NAMESPACE, json!({ "metadata": { "name": "fl-log-claim" }, "spec": {} }));
    scenario
}

/// Opens the claim while its pod gets the status `status`. Returns the error and the messages.
async fn refused(scenario: &Scenario, status: Json) -> (ClaimError, Vec<String>) {
    let (client, told) = (scenario.client(), RefCell::new(Vec::new()));
    let reader = reader();
    let mut tell = |text: &str| told.borrow_mut().push(text.to_owned());
    let opening = open(&client, NAMESPACE, &reader, &mut tell, std::future::pending());
    let standing = async {
        while scenario.get("pods", NAMESPACE, &reader.name()).is_none() {
            sleep(TICK).await;
        }
        scenario.set_status_by_hand("pods", NAMESPACE, &reader.name(), status);
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        opened = opening => opened.err().expect("it can't be read"),
        () = standing => unreachable!("it never ends"),
    };
    (error, told.into_inner())
}

fn assert_removed(scenario: &Scenario) {
    assert_eq!(scenario.creates("pods"), [reader().name()]);
    scenario.tick(1);
    assert!(scenario.names("pods", None).is_empty(), "the pod is removed");
}

fn container(state: Json) -> Json {
    let status = json!({ "name": "fltk", "image": "a", "imageID": "", "ready": false, "restartCount": 0, "state": state });
    json!({ "phase": "Pending", "containerStatuses": [status] })
}

#[tokio::test(start_paused = true)]
async fn missing_claim_is_an_error() {
    let scenario = Scenario::new();
    let error = open(&scenario.client(), NAMESPACE, &reader(), &mut |_| {}, std::future::pending()).await.err().unwrap();
    assert!(matches!(error, ClaimError::NoClaim { .. }), "{error}");
    assert!(scenario.creates("pods").is_empty(), "nothing is made for it");
}

#[tokio::test(start_paused = true)]
async fn refused_or_forbidden_pod_is_an_error() {
    let scenario = scenario();
    scenario.refuse("pods", &reader().name(), 403);
    // A user who may create pods may lack the right to look at claims.
    scenario.forbid("get", "persistentvolumeclaims");
    let error = open(&scenario.client(), NAMESPACE, &reader(), &mut |_| {}, std::future::pending()).await.err().unwrap();
    assert!(matches!(error, ClaimError::Refused { .. }) && error.to_string().contains("denied the request"), "{error}");
    scenario.forbid("create", "pods");
    let error = open(&scenario.client(), NAMESPACE, &reader(), &mut |_| {}, std::future::pending()).await.err().unwrap();
    assert!(error.to_string().contains("pods/portforward"), "{error}");
    assert!(scenario.names("pods", None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn unschedulable_pod_is_waited_for_with_its_reason() {
    let scenario = scenario();
    let message = "0/1 nodes are available: 1 node(s) had untolerated taint";
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message });
    let (error, told) = refused(&scenario, json!({ "phase": "Pending", "conditions": [condition] })).await;
    assert!(matches!(&error, ClaimError::NotRunning { reason, .. } if reason.contains("timed out after 300 s: 0/1 nodes")), "{error}");
    assert!(told.iter().any(|text| text.contains(message)), "{told:?}");
    assert_removed(&scenario);
}

#[tokio::test(start_paused = true)]
async fn unavailable_image_is_an_error() {
    let scenario = scenario();
    let (error, _) = refused(&scenario, container(json!({ "waiting": { "reason": "ErrImageNeverPull", "message": "not present" } }))).await;
    assert!(matches!(&error, ClaimError::NotRunning { reason, .. } if reason == "ErrImageNeverPull: not present"), "{error}");
    assert_removed(&scenario);
}

#[tokio::test(start_paused = true)]
async fn program_that_does_not_serve_is_an_error() {
    let scenario = scenario();
    let ended = json!({ "exitCode": 2, "reason": "Error", "message": "error: unrecognized subcommand 'serve'" });
    let (error, _) = refused(&scenario, container(json!({ "terminated": ended }))).await;
    assert!(matches!(&error, ClaimError::Ended { reason, .. } if reason.contains("unrecognized subcommand")), "{error}");
    assert_removed(&scenario);
}

#[tokio::test(start_paused = true)]
async fn unreachable_pod_is_an_error() {
    // The in-memory cluster forwards no ports, like a cluster whose user has no right to.
    let scenario = scenario();
    let (error, _) = refused(&scenario, container(json!({ "running": {} }))).await;
    assert!(matches!(error, ClaimError::Unreachable { .. }), "{error}");
    assert_removed(&scenario);
}

#[tokio::test(start_paused = true)]
async fn stopped_reader_leaves_no_pod() {
    let scenario = scenario();
    let stop = sleep(Duration::from_secs(3));
    let error = open(&scenario.client(), NAMESPACE, &reader(), &mut |_| {}, stop).await.err().unwrap();
    assert!(matches!(error, ClaimError::Stopped { .. }), "{error}");
    assert_removed(&scenario);
    // The pod is also removed if the API server is busy at that moment.
    let busy = async {
        sleep(Duration::from_secs(3)).await;
        scenario.fail_next(3, 503, None);
    };
    let other = Reader { token: "another-token-of-a-pod".to_owned(), ..reader() };
    let error = open(&scenario.client(), NAMESPACE, &other, &mut |_| {}, busy).await.err().unwrap();
    assert!(matches!(error, ClaimError::Stopped { .. }), "{error}");
    scenario.tick(1);
    assert!(scenario.names("pods", None).is_empty());
    // The pod is also removed if the answer to its creation was lost.
    scenario.lose_answers(1);
    scenario.forbid("get", "persistentvolumeclaims");
    let error = open(&scenario.client(), NAMESPACE, &reader(), &mut |_| {}, std::future::pending()).await.err().unwrap();
    assert!(matches!(error, ClaimError::Refused { .. }), "{error}");
    scenario.tick(1);
    assert!(scenario.names("pods", None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn stop_does_not_wait_for_a_silent_api_server() {
    let silent = service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, BoxError>>());
    let began = tokio::time::Instant::now();
    let stop = sleep(Duration::from_secs(3));
    let error = open(&Client::new(silent, NAMESPACE), NAMESPACE, &reader(), &mut |_| {}, stop).await.err().unwrap();
    assert!(matches!(error, ClaimError::Stopped { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4), "nothing was made that would have to be removed");
}

#[tokio::test(start_paused = true)]
async fn version_mismatch_is_suspected_only_for_its_exit_code() {
    for (code, is_suspected) in [(2, true), (6, false)] {
        let scenario = scenario();
        let ended = json!({ "exitCode": code, "reason": "Error", "message": "why" });
        let (error, _) = refused(&scenario, container(json!({ "terminated": ended }))).await;
        assert_eq!(error.to_string().contains("must be of a version"), is_suspected, "{error}");
    }
    let scenario = scenario();
    let (error, _) = refused(&scenario, json!({ "phase": "Failed", "reason": "DeadlineExceeded" })).await;
    assert!(matches!(&error, ClaimError::Ended { .. }) && !error.to_string().contains("version"), "{error}");
}

async fn image(scenario: &Scenario) -> Option<String> {
    image_of_jobs(&scenario.client(), NAMESPACE).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn image_of_the_newest_job_is_used() {
    for backend in ["", "backend: trainjob"] {
        let cluster = Cluster::new(&[task("alone", 1, "")], PARALLEL, backend);
        assert_eq!(image(&cluster.scenario).await, None);
        if !backend.is_empty() {
            share(&cluster.scenario.client(), &cluster.context, &cluster.specs()).await.unwrap();
        }
        cluster.run(async |_| {}).await.assert_all_succeeded();
        assert_eq!(image(&cluster.scenario).await.as_deref(), Some("fltk"));
        for pod in cluster.scenario.names("pods", Some(NAMESPACE)) {
            cluster.scenario.delete_by_hand("pods", NAMESPACE, &pod);
        }
        cluster.scenario.tick(2);
        assert_eq!(image(&cluster.scenario).await.as_deref(), Some("fltk"), "its objects say so too");
    }
}

#[tokio::test(start_paused = true)]
async fn newest_job_is_found_regardless_of_its_name() {
    let scenario = Scenario::new();
    let pod = |name: &str, image: &str| {
        let labels = json!({ RUN_LABEL: "s" });
        let spec = json!({ "containers": [{ "name": "injected", "image": "other" }, { "name": "pytorch", "image": image }] });
        scenario.create_by_hand("pods", NAMESPACE, json!({ "metadata": { "name": name, "labels": labels }, "spec": spec }));
    };
    (0..501).for_each(|number| pod(&format!("a-{number:03}"), "older"));
    sleep(Duration::from_secs(5)).await;
    pod("z", "newest");
    assert_eq!(image(&scenario).await.as_deref(), Some("newest"));
}

#[tokio::test(start_paused = true)]
async fn api_server_failure_is_not_taken_for_no_jobs() {
    let scenario = Scenario::new();
    scenario.fail_next(1, 503, None);
    assert!(image_of_jobs(&scenario.client(), NAMESPACE).await.is_err());
    scenario.forbid("list", "pods");
    scenario.forbid("list", "pytorchjobs");
    assert_eq!(image(&scenario).await, None);
}
