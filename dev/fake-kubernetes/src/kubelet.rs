//! The scheduler and the kubelets: pods are bound to nodes, run and end, one step per tick.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    kinds::{Kind, named},
    script::{End, Fate, Run, Script, Start},
    store::{Key, Store},
};

/// The state of pods on the nodes.
pub struct Kubelet {
    pub script: Script,
    /// Plans by the pod's uid.
    pods: BTreeMap<String, Plan>,
    /// The number of runs by namespace, job, role and index.
    runs: BTreeMap<(String, String, String, u32), u32>,
    /// The number of pods bound so far: nodes take turns.
    num_bound: usize,
}

struct Plan {
    fate: Fate,
    /// The number of ticks in the current phase.
    ticks: u32,
}

impl Kubelet {
    pub fn new() -> Self {
        Self { script: Box::new(|_| Fate::succeeds("")), pods: BTreeMap::new(), runs: BTreeMap::new(), num_bound: 0 }
    }

    /// Advances every pod by one tick.
    pub fn step(&mut self, store: &mut Store) {
        let kind = named("pods");
        for key in store.keys(kind, None) {
            let Some(pod) = store.get(&key).cloned() else { continue };
            let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
            let node_is_gone = !node.is_empty() && store.get(&Key::new(named("nodes"), "", node)).is_none();
            if pod["metadata"]["deletionTimestamp"].is_string() || node_is_gone {
                self.pods.remove(uid(&pod));
                store.remove(&key);
                continue;
            }
            match pod["status"]["phase"].as_str() {
                Some("Pending") => self.pending(store, kind, &key, pod),
                Some("Running") => self.running(store, kind, &key, &pod),
                _ => {}
            }
        }
    }

    fn pending(&mut self, store: &mut Store, kind: &'static Kind, key: &Key, mut pod: Value) {
        let now = store.now().to_string();
        if !self.pods.contains_key(uid(&pod)) {
            let fate = self.next_fate(key, &pod);
            self.pods.insert(uid(&pod).to_owned(), Plan { fate, ticks: 0 });
        }
        let plan = self.pods.get_mut(uid(&pod)).expect("it was just put there");
        if !pod["spec"]["nodeName"].is_string() {
            let nodes = nodes(store);
            if plan.fate.starts == Start::Unschedulable || nodes.is_empty() {
                let message = format!("0/{} nodes are available: {} Insufficient cpu.", nodes.len(), nodes.len());
                let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                    "lastTransitionTime": pod["metadata"]["creationTimestamp"] });
                store.set_status(kind, key, json!({ "phase": "Pending", "conditions": [condition] }));
                return;
            }
            pod["spec"]["nodeName"] = nodes[self.num_bound % nodes.len()].clone().into();
            pod["status"] = json!({ "phase": "Pending", "conditions": conditions(&["PodScheduled"], &now) });
            self.num_bound += 1;
            pod = store.commit(key.clone(), Some(pod)).expect("it was just stored");
        }
        match plan.fate.starts {
            Start::After(ticks) if plan.ticks >= ticks => {
                plan.ticks = 0;
                let running = json!({ "running": { "startedAt": now } });
                let status = json!({
                    "phase": "Running", "startTime": now, "hostIP": "10.0.0.1", "podIP": format!("10.1.0.{}", self.num_bound % 255),
                    "conditions": conditions(&["Initialized", "Ready", "ContainersReady", "PodScheduled"], &now),
                    "containerStatuses": containers(&pod, &running, true),
                });
                store.set_status(kind, key, status);
            }
            Start::After(_) | Start::Unschedulable => plan.ticks += 1,
            Start::NoImage => {
                let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } });
                pod["status"]["containerStatuses"] = containers(&pod, &waiting, false);
                store.set_status(kind, key, pod["status"].clone());
            }
        }
    }

    fn running(&mut self, store: &mut Store, kind: &'static Kind, key: &Key, pod: &Value) {
        // A test may have set the pod running itself, and then has to end it.
        let Some(plan) = self.pods.get_mut(uid(pod)) else { return };
        plan.ticks += 1;
        if plan.fate.runs.is_none_or(|ticks| plan.ticks < ticks) {
            return;
        }
        let now = store.now().to_string();
        let (exit_code, reason, message) = match &plan.fate.ends {
            End::Succeeded { message } => (0, "Completed", message.as_str()),
            End::Failed { exit_code, message } => (*exit_code, "Error", message.as_str()),
            End::OutOfMemory => (137, "OOMKilled", ""),
            End::Evicted => (137, "Error", ""),
        };
        let started = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
        let mut terminated = json!({ "exitCode": exit_code, "reason": reason, "startedAt": started, "finishedAt": now });
        if !message.is_empty() {
            terminated["message"] = message.into();
        }
        let mut status = pod["status"].clone();
        let policy = pod["spec"]["restartPolicy"].as_str().unwrap_or("Always");
        let restarts = plan.fate.ends != End::Evicted && (policy == "Always" || policy == "OnFailure" && exit_code != 0);
        if restarts {
            let fate = self.next_fate(key, pod);
            self.pods.insert(uid(pod).to_owned(), Plan { fate, ticks: 0 });
            for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
                container["lastState"] = json!({ "terminated": terminated });
                container["state"] = json!({ "running": { "startedAt": now } });
                container["restartCount"] = (container["restartCount"].as_u64().unwrap_or_default() + 1).into();
            }
        } else {
            if plan.fate.ends == End::Evicted {
                status["reason"] = "Evicted".into();
                status["message"] = "The node was low on resource: memory.".into();
            }
            status["phase"] = if exit_code == 0 { "Succeeded" } else { "Failed" }.into();
            status["conditions"] = conditions(&["Initialized", "PodScheduled"], &now);
            status["containerStatuses"] = containers(pod, &json!({ "terminated": terminated }), false);
        }
        store.set_status(kind, key, status);
    }

    fn next_fate(&mut self, key: &Key, pod: &Value) -> Fate {
        let labels = pod["metadata"]["labels"].as_object().into_iter().flatten();
        let labels: BTreeMap<String, String> = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let label = |names: [&str; 2]| names.iter().find_map(|name| labels.get(*name)).cloned();
        let job = label(["training.kubeflow.org/job-name", "jobset.sigs.k8s.io/jobset-name"]).unwrap_or_else(|| key.name.clone());
        let role = label(["training.kubeflow.org/replica-type", "jobset.sigs.k8s.io/replicatedjob-name"]).unwrap_or_default();
        let index = label(["training.kubeflow.org/replica-index", "batch.kubernetes.io/job-completion-index"]);
        let index = index.and_then(|index| index.parse().ok()).unwrap_or_default();
        let num_runs = self.runs.entry((key.namespace.clone(), job.clone(), role.clone(), index)).or_default();
        let run = Run { job, role, index, attempt: *num_runs };
        *num_runs += 1;
        (self.script)(&run)
    }
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().expect("whatever is stored has one")
}

/// Names of the nodes that accept pods.
fn nodes(store: &Store) -> Vec<String> {
    let nodes = store.keys(named("nodes"), None).into_iter();
    nodes.filter(|key| store.get(key).is_some_and(|node| node["spec"]["unschedulable"] != true)).map(|key| key.name).collect()
}

fn conditions(types: &[&str], now: &str) -> Value {
    types.iter().map(|name| json!({ "type": name, "status": "True", "lastProbeTime": null, "lastTransitionTime": now })).collect()
}

/// The statuses of all containers of `pod`, which are in the same state.
fn containers(pod: &Value, state: &Value, is_ready: bool) -> Value {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten().enumerate();
    let statuses = containers.map(|(index, container)| {
        let before = &pod["status"]["containerStatuses"][index];
        let num_restarts = before["restartCount"].as_u64().unwrap_or_default();
        let last_state = if before["lastState"].is_object() { before["lastState"].clone() } else { json!({}) };
        json!({
            "name": container["name"], "image": container["image"], "imageID": "", "ready": is_ready, "started": is_ready,
            "restartCount": num_restarts, "state": state, "lastState": last_state,
        })
    });
    statuses.collect()
}
