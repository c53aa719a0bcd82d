//! The common part of both operators: conditions, and the pods of a job.

use serde_json::{Value, json};

use crate::{
    kinds::{Kind, named},
    store::{Key, Store},
};

pub fn condition<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == name)
}

pub fn is_true(status: &Value, name: &str) -> bool {
    condition(status, name).is_some_and(|condition| condition["status"] == "True")
}

/// Replaces the condition of the same type by `new`, or appends it. An equal condition is left as it is.
pub fn set_in_place(status: &mut Value, new: Value) {
    let all = conditions(status);
    match all.iter_mut().find(|old| old["type"] == new["type"]) {
        Some(old) if old["status"] == new["status"] && old["reason"] == new["reason"] => {}
        Some(old) => *old = new,
        None => all.push(new),
    }
}

pub fn conditions(status: &mut Value) -> &mut Vec<Value> {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    status["conditions"].as_array_mut().expect("it was just made one")
}

/// The pods that a job controls, including those being deleted.
pub fn pods(store: &Store, job: &Value) -> Vec<(Key, Value)> {
    let is_owned = |pod: &Value| {
        let owners = pod["metadata"]["ownerReferences"].as_array();
        owners.into_iter().flatten().any(|owner| owner["uid"] == job["metadata"]["uid"] && owner["controller"] == true)
    };
    let namespace = job["metadata"]["namespace"].as_str();
    let pods = store.keys(named("pods"), namespace).into_iter();
    let pods = pods.filter_map(|key| store.get(&key).cloned().map(|pod| (key, pod)));
    pods.filter(|(_, pod)| is_owned(pod)).collect()
}

/// Creates a pod of a job.
pub fn create_pod(store: &mut Store, kind: &'static Kind, job: &Value, mut metadata: Value, template: &Value, labels: &[(&str, String)]) {
    metadata["labels"] = template["metadata"]["labels"].clone();
    metadata["annotations"] = template["metadata"]["annotations"].clone();
    for (name, value) in labels {
        metadata["labels"][*name] = value.clone().into();
    }
    metadata["ownerReferences"] = json!([{
        "apiVersion": kind.api_version(), "kind": kind.kind, "name": job["metadata"]["name"], "uid": job["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }]);
    let namespace = job["metadata"]["namespace"].as_str().unwrap_or_default();
    let pod = json!({ "metadata": metadata, "spec": template["spec"] });
    if let Some(why) = store.pods_refused.clone() {
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        let note = format!("Error creating: pods \"{pod}\" is forbidden: {why}");
        let event = json!({ "metadata": { "generateName": "failed-" }, "regarding": { "name": job["metadata"]["name"] }, "type": "Warning",
            "reason": "FailedCreatePod", "note": note, "eventTime": format!("{:.6}", store.now()) });
        store.create(named("events.events.k8s.io"), namespace, event, false).expect("an event is taken");
        return;
    }
    store.create(named("pods"), namespace, pod, false).expect("its name is new, as no pod of the job has it");
}

pub fn delete_pods(store: &mut Store, pods: &[(Key, Value)]) {
    for (key, _) in pods {
        store.delete(named("pods"), key, &crate::deletion::Options::default()).expect("it was just listed");
    }
}

pub fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

pub fn is_going(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

/// The numeric value of a label.
pub fn number(pod: &Value, label: &str) -> u64 {
    pod["metadata"]["labels"][label].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}
