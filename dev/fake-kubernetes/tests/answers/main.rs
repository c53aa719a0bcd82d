//! Tests of the scenario that other tests rely on, through a real client: its answers are those of a real cluster.

mod operators;
mod server;

use std::fmt::Debug;

use kube::{
    Api, Client, Error,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind, Status},
};
use serde_json::{Value, json};

use fake_kubernetes::KUBEFLOW;

const NAMESPACE: &str = "default";

fn api(client: &Client, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), NAMESPACE, &resource)
}

fn pytorch_jobs(client: &Client) -> Api<DynamicObject> {
    api(client, KUBEFLOW, "v1", "PyTorchJob")
}

/// A job with a master and a worker.
fn pytorch_job(name: &str, run_policy: Value) -> DynamicObject {
    let template = json!({ "metadata": { "labels": { "mine": "yes" } }, "spec": { "containers": [{ "name": "pytorch", "image": "x" }] } });
    let replicas = json!({ "replicas": 1, "restartPolicy": "Never", "template": template });
    let spec = json!({ "runPolicy": run_policy, "pytorchReplicaSpecs": { "Master": replicas, "Worker": replicas } });
    let job = json!({ "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": { "name": name }, "spec": spec });
    serde_json::from_value(job).expect("an object")
}

fn status_of<T: Debug>(result: Result<T, Error>) -> Box<Status> {
    match result.expect_err("the server refuses") {
        Error::Api(status) => status,
        other => panic!("{other:?}"),
    }
}
