//! Kubeflow's trainer, version 2, with JobSet and the controller of jobs behind it, as far as a TrainJob sees it.
//!
//! The code follows `pkg/controller/trainjob_controller.go` and `pkg/runtime/framework/plugins/jobset` of the trainer. In a real cluster there are a
//! JobSet and a Job between a TrainJob and its pods; here the TrainJob itself owns the pods.
//!
//! Initializers, environment variables of plugins and restarts of a whole JobSet are not modeled; runtime patches are limited to labels and
//! annotations of pods.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    jobs::{self, condition, is_going, is_true, phase, set_in_place},
    kinds::{Kind, named},
    store::{Key, Store},
};

/// The backoff limit that Kubernetes gives jobs without a setting of their own.
const BACKOFF_LIMIT: u64 = 6;

/// The controller's state in addition to the stored objects.
#[derive(Default)]
pub struct TrainJobs {
    /// Tracked pods by the job's uid.
    tracked: BTreeMap<String, Tracked>,
}

/// The pods of a job as they were last seen.
#[derive(Default)]
struct Tracked {
    unfinished: BTreeSet<String>,
    /// The number of pods that were deleted by others before they finished, which count as failures.
    num_lost: u64,
}

/// A job combined with its runtime.
struct Plan {
    template: Value,
    num_nodes: u64,
    backoff_limit: u64,
}

impl TrainJobs {
    /// Reconciles all jobs once.
    pub fn reconcile(&mut self, store: &mut Store) {
        let kind = named("trainjobs");
        for key in store.keys(kind, None) {
            let Some(job) = store.get(&key).cloned().filter(|job| !is_going(job)) else { continue };
            let mut status = if job["status"].is_object() { job["status"].clone() } else { json!({}) };
            let is_finished = is_true(&status, "Complete") || is_true(&status, "Failed");
            let plan = plan(store, &job);
            if let Some(plan) = plan.filter(|_| !is_finished) {
                self.reconcile_job(store, kind, &job, &mut status, &plan);
                store.set_status(kind, &key, status);
            }
        }
    }

    fn reconcile_job(&mut self, store: &mut Store, kind: &'static Kind, job: &Value, status: &mut Value, plan: &Plan) {
        let now = store.now();
        let tracked = self.tracked.entry(job["metadata"]["uid"].as_str().unwrap_or_default().to_owned()).or_default();
        let pods = jobs::pods(store, job);
        if job["spec"]["suspend"] == true {
            set(status, "Suspended", "True", "Suspended", "TrainJob is suspended", now);
            let unfinished: Vec<_> = pods.into_iter().filter(|(_, pod)| !is_finished(pod)).collect();
            jobs::delete_pods(store, &unfinished);
            tracked.unfinished.clear();
            status["jobsStatus"] = counts(&Counts { suspended: true, ..Counts::default() });
            return;
        }
        if is_true(status, "Suspended") {
            set(status, "Suspended", "False", "Resumed", "TrainJob is resumed", now);
        }
        if past_deadline(job, status, now) {
            set(status, "Failed", "True", "DeadlineExceeded", "TrainJob exceeded its active deadline", now);
            jobs::delete_pods(store, &pods);
            return;
        }
        let is_there = |name: &String| pods.iter().any(|(key, _)| key.name == *name);
        tracked.num_lost += tracked.unfinished.iter().filter(|name| !is_there(name)).count() as u64;
        let num_failed = tracked.num_lost + pods.iter().filter(|(_, pod)| phase(pod) == "Failed").count() as u64;
        let of_index = |index: u64, is: fn(&Value) -> bool| {
            pods.iter().any(|(_, pod)| is(pod) && jobs::number(pod, "batch.kubernetes.io/job-completion-index") == index)
        };
        let mut found = Counts::default();
        let restarts =
            pods.iter().filter(|(_, pod)| ["Running", "Pending"].contains(&phase(pod)) && pod["spec"]["restartPolicy"] == "OnFailure");
        let containers = restarts.flat_map(|(_, pod)| pod["status"]["containerStatuses"].as_array()).flatten();
        let num_restarts: u64 = containers.filter_map(|container| container["restartCount"].as_u64()).sum();
        if num_failed > plan.backoff_limit || num_restarts > 0 && num_restarts >= plan.backoff_limit {
            let name = format!("{}-node-0", job["metadata"]["name"].as_str().unwrap_or_default());
            let message = format!("jobset failed due to one or more job failures (first failed job: {name})");
            set(status, "Failed", "True", "FailedJobs", &message, now);
            let unfinished: Vec<_> = pods.iter().filter(|(_, pod)| !is_finished(pod)).cloned().collect();
            jobs::delete_pods(store, &unfinished);
            found.failed = true;
        } else if (0..plan.num_nodes).all(|index| of_index(index, |pod| phase(pod) == "Succeeded")) {
            set(status, "Complete", "True", "AllJobsCompleted", "jobset completed successfully", now);
            found.succeeded = true;
        } else {
            let stays = |pod: &Value| phase(pod) == "Succeeded" || !is_finished(pod) && !is_going(pod);
            for index in (0..plan.num_nodes).filter(|index| !of_index(*index, stays)) {
                create_pod(store, kind, job, &plan.template, index);
            }
            found.active = true;
            found.ready = (0..plan.num_nodes).all(|index| of_index(index, |pod| ["Running", "Succeeded"].contains(&phase(pod))));
        }
        status["jobsStatus"] = counts(&found);
        let unfinished = jobs::pods(store, job).into_iter().filter(|(_, pod)| !is_finished(pod));
        tracked.unfinished = unfinished.map(|(key, _)| key.name).collect();
    }
}

/// The plan of `job`; `None` if its runtime is gone or has no trainer.
fn plan(store: &Store, job: &Value) -> Option<Plan> {
    let reference = &job["spec"]["runtimeRef"];
    let kind = if reference["kind"] == "TrainingRuntime" { named("trainingruntimes") } else { named("clustertrainingruntimes") };
    let namespace = job["metadata"]["namespace"].as_str()?;
    let runtime = store.get(&Key::new(kind, namespace, reference["name"].as_str()?))?;
    let replicated = runtime["spec"]["template"]["spec"]["replicatedJobs"].as_array()?;
    let node = &replicated.iter().find(|replicated| replicated["name"] == "node")?["template"]["spec"];
    let trainer = &job["spec"]["trainer"];
    let mut template = node["template"].clone();
    if template["spec"]["restartPolicy"].is_null() {
        template["spec"]["restartPolicy"] = "OnFailure".into();
    }
    let containers = template["spec"]["containers"].as_array_mut().into_iter().flatten();
    for container in containers.filter(|container| container["name"] == "node") {
        for field in ["image", "command", "args"].into_iter().filter(|field| !trainer[field].is_null()) {
            container[field] = trainer[field].clone();
        }
        if let Some(variables) = trainer["env"].as_array() {
            let own = container["env"].as_array().cloned().unwrap_or_default();
            container["env"] = own.into_iter().chain(variables.iter().cloned()).collect();
        }
        if !trainer["resourcesPerNode"].is_null() {
            container["resources"] = trainer["resourcesPerNode"].clone();
        }
    }
    for patch in job["spec"]["runtimePatches"].as_array().into_iter().flatten() {
        let replicated = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"].as_array().into_iter().flatten();
        for patched in replicated.filter(|replicated| replicated["name"] == "node") {
            let metadata = &patched["template"]["spec"]["template"]["metadata"];
            for field in ["labels", "annotations"] {
                for (name, value) in metadata[field].as_object().into_iter().flatten() {
                    template["metadata"][field][name] = value.clone();
                }
            }
        }
    }
    let num_nodes = trainer["numNodes"].as_u64().or(runtime["spec"]["mlPolicy"]["numNodes"].as_u64()).unwrap_or(1);
    Some(Plan { num_nodes, backoff_limit: node["backoffLimit"].as_u64().unwrap_or(BACKOFF_LIMIT), template })
}

fn create_pod(store: &mut Store, kind: &'static Kind, job: &Value, template: &Value, index: u64) {
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    let base = format!("{name}-node-0-{index}-");
    let metadata = json!({ "name": store.generate_name(&base), "generateName": base });
    let labels = [
        ("batch.kubernetes.io/job-completion-index", index.to_string()),
        ("batch.kubernetes.io/job-name", format!("{name}-node-0")),
        ("job-name", format!("{name}-node-0")),
        ("jobset.sigs.k8s.io/job-index", "0".to_owned()),
        ("jobset.sigs.k8s.io/jobset-name", name.to_owned()),
        ("jobset.sigs.k8s.io/replicatedjob-name", "node".to_owned()),
        ("jobset.sigs.k8s.io/restart-attempt", "0".to_owned()),
    ];
    jobs::create_pod(store, kind, job, metadata, template, &labels);
}

fn is_finished(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&phase(pod))
}

/// True if the job is past its deadline, counted from its creation or from when it was last resumed.
fn past_deadline(job: &Value, status: &Value, now: Timestamp) -> bool {
    let resumed = condition(status, "Suspended").map(|condition| &condition["lastTransitionTime"]);
    let started = resumed.unwrap_or(&job["metadata"]["creationTimestamp"]).as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let deadline = job["spec"]["activeDeadlineSeconds"].as_i64().filter(|deadline| *deadline > 0);
    deadline.zip(started).is_some_and(|(deadline, started)| now.as_second() > started.as_second() + deadline)
}

/// The counts of the JobSet's only Job.
#[derive(Default)]
struct Counts {
    active: bool,
    failed: bool,
    ready: bool,
    succeeded: bool,
    suspended: bool,
}

fn counts(counts: &Counts) -> Value {
    let Counts { active, failed, ready, succeeded, suspended } = counts;
    let number = |is: &bool| u8::from(*is);
    json!([{
        "name": "node", "active": number(active), "failed": number(failed), "ready": number(ready), "succeeded": number(succeeded),
        "suspended": number(suspended),
    }])
}

fn set(status: &mut Value, name: &str, value: &str, reason: &str, message: &str, now: Timestamp) {
    let now = now.to_string();
    set_in_place(status, json!({ "type": name, "status": value, "reason": reason, "message": message, "lastTransitionTime": now }));
}
