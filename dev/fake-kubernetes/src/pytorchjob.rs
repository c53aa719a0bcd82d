//! Kubeflow's training operator, version 1.9.3, as far as a PyTorchJob sees it.
//!
//! The code follows `pkg/controller.v1/common/job.go`, `common/pod.go` and `pytorch/pytorchjob_controller.go` there, including their traps:
//! a job with `restartPolicy: Never` fails if it is resumed while pods of it are still being deleted.
//!
//! Services, environment variables and init containers of pods, elastic jobs and gang scheduling are not modeled.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    deletion,
    jobs::{self, condition, is_going, is_true, phase},
    kinds::{Kind, named},
    store::{Key, Store},
};

/// The order in which this scenario looks at roles. The real operator's order is random.
const ROLES: [&str; 2] = ["Master", "Worker"];

/// The limit on rounds of reconciliation. A job reacts to its own changes, and settles in fewer rounds.
const ROUNDS_MAX: usize = 10;

/// Reconciles all jobs until they settle.
pub fn reconcile(store: &mut Store) {
    let kind = named("pytorchjobs");
    for key in store.keys(kind, None) {
        for _ in 0..ROUNDS_MAX {
            let version = store.version();
            reconcile_job(store, kind, &key);
            if store.version() == version {
                break;
            }
        }
    }
}

fn reconcile_job(store: &mut Store, kind: &'static Kind, key: &Key) {
    let Some(job) = store.get(key).cloned().filter(|job| !is_going(job)) else { return };
    let policy = &job["spec"]["runPolicy"];
    let mut status = if job["status"].is_object() { job["status"].clone() } else { json!({}) };
    let pods = jobs::pods(store, &job);
    let now = store.now();
    if is_true(&status, "Succeeded") || is_true(&status, "Failed") {
        clean_up(store, &job, &pods);
        if is_true(&status, "Succeeded") {
            for counts in replica_statuses(&mut status) {
                let active = counts.shift_remove("active").and_then(|active| active.as_u64()).unwrap_or_default();
                let succeeded = active + counts.get("succeeded").and_then(Value::as_u64).unwrap_or_default();
                if succeeded > 0 {
                    counts.insert("succeeded".to_owned(), succeeded.into());
                }
            }
        }
        store.set_status(kind, key, status);
        expire(store, kind, key, &job);
        return;
    }
    set(&mut status, "Created", "True", "Created", "is created.", &job, now);
    if policy["suspend"] == true {
        jobs::delete_pods(store, &pods);
        for counts in replica_statuses(&mut status) {
            counts.shift_remove("active");
        }
        if is_true(&status, "Running") {
            set(&mut status, "Running", "False", "Suspended", "is suspended.", &job, now);
        }
        if !is_true(&status, "Suspended") {
            set(&mut status, "Suspended", "True", "Suspended", "is suspended.", &job, now);
        }
        store.set_status(kind, key, status);
        return;
    }
    if is_true(&status, "Suspended") {
        set(&mut status, "Suspended", "False", "Resumed", "is resumed.", &job, now);
        status["startTime"] = now.to_string().into();
    }
    if let Some(why) = limit_passed(&job, &status, &pods, now) {
        complete(&mut status, now);
        jobs::delete_pods(store, &pods);
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        set_message(&mut status, "Failed", "True", "Failed", format!("Job {name} has failed because {why}"), now);
        store.set_status(kind, key, status);
        return;
    }
    for role in roles(&job) {
        reconcile_pods(store, kind, &job, &mut status, role, &pods, now);
    }
    conclude(&job, &mut status, now);
    store.set_status(kind, key, status);
}

/// The roles of a job.
fn roles(job: &Value) -> impl Iterator<Item = &'static str> {
    ROLES.into_iter().filter(|role| job["spec"]["pytorchReplicaSpecs"][*role].is_object())
}

fn num_replicas(job: &Value, role: &str) -> u64 {
    job["spec"]["pytorchReplicaSpecs"][role]["replicas"].as_u64().unwrap_or(1)
}

fn restart_policy<'a>(job: &'a Value, role: &str) -> &'a str {
    job["spec"]["pytorchReplicaSpecs"][role]["restartPolicy"].as_str().unwrap_or("OnFailure")
}

/// Creates missing pods of a role, restarts failed ones, and counts them.
fn reconcile_pods(
    store: &mut Store,
    kind: &'static Kind,
    job: &Value,
    status: &mut Value,
    role: &str,
    pods: &[(Key, Value)],
    now: Timestamp,
) {
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    let role_label = role.to_lowercase();
    let label = |name: &str| format!("training.kubeflow.org/{name}");
    let of_role: Vec<&(Key, Value)> =
        pods.iter().filter(|(_, pod)| pod["metadata"]["labels"][label("replica-type")] == role_label.as_str()).collect();
    let (mut active, mut succeeded, mut failed) = (0_u64, 0_u64, 0_u64);
    let policy = restart_policy(job, role);
    for index in 0..num_replicas(job, role) {
        let Some((key, pod)) = of_role.iter().find(|(_, pod)| jobs::number(pod, &label("replica-index")) == index) else {
            let mut labels = vec![
                ("training.kubeflow.org/operator-name", "pytorchjob-controller".to_owned()),
                ("training.kubeflow.org/job-name", name.to_owned()),
                ("training.kubeflow.org/replica-type", role_label.clone()),
                ("training.kubeflow.org/replica-index", index.to_string()),
            ];
            let has_master = roles(job).any(|role| role == "Master");
            if role == "Master" || !has_master && index == 0 {
                labels.push(("training.kubeflow.org/job-role", "master".to_owned()));
            }
            let mut template = job["spec"]["pytorchReplicaSpecs"][role]["template"].clone();
            template["spec"]["restartPolicy"] = if policy == "ExitCode" { "Never" } else { policy }.into();
            jobs::create_pod(store, kind, job, json!({ "name": format!("{name}-{role_label}-{index}") }), &template, &labels);
            continue;
        };
        if phase(pod) == "Failed" {
            let states = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
            let state = states.filter(|container| container["name"] == "pytorch").map(|container| &container["state"]["terminated"]).next();
            let exit_code = state.and_then(|state| state["exitCode"].as_i64()).unwrap_or(0xbeef);
            match policy {
                "OnFailure" | "Always" => restart(store, status, job, role, key, now),
                "ExitCode" if exit_code >= 128 => restart(store, status, job, role, key, now),
                "ExitCode" => {
                    let message = format!("job \"{name}\" is failing because \"{role}\" replica(s) failed.");
                    set_message(status, "Failed", "True", "Failed", message, now);
                }
                _ => {}
            }
        }
        match phase(pod) {
            "Running" if is_going(pod) => failed += 1,
            "Running" => active += 1,
            "Succeeded" => succeeded += 1,
            "Failed" => failed += 1,
            _ => {}
        }
    }
    let selector = format!(
        "training.kubeflow.org/job-name={name},training.kubeflow.org/operator-name=pytorchjob-controller,training.kubeflow.org/replica-type={role_label}"
    );
    let mut counts = json!({ "selector": selector });
    for (field, count) in [("active", active), ("succeeded", succeeded), ("failed", failed)] {
        if count > 0 {
            counts[field] = count.into();
        }
    }
    status["replicaStatuses"][role] = counts;
}

fn restart(store: &mut Store, status: &mut Value, job: &Value, role: &str, key: &Key, now: Timestamp) {
    store.delete(named("pods"), key, &deletion::Options::default()).expect("it was just listed");
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    let message = format!("job {name} is restarting because {role} replica(s) failed.");
    set_message(status, "Restarting", "True", "Restarting", message, now);
}

/// Derives the job's conditions from the counts of pods.
fn conclude(job: &Value, status: &mut Value, now: Timestamp) {
    if !status["startTime"].is_string() {
        status["startTime"] = now.to_string().into();
    }
    let has_master = roles(job).any(|role| role == "Master");
    for role in roles(job) {
        let count = |field: &str| status["replicaStatuses"][role][field].as_u64().unwrap_or_default();
        let (active, succeeded, failed, replicas) = (count("active"), count("succeeded"), count("failed"), num_replicas(job, role));
        if role == if has_master { "Master" } else { "Worker" } {
            let is_over = succeeded == replicas;
            if active > 0 && (has_master || !is_over) {
                set(status, "Running", "True", "Running", "is running.", job, now);
            }
            if is_over {
                complete(status, now);
                let what = if has_master { "is successfully completed." } else { "successfully completed." };
                set(status, "Succeeded", "True", "Succeeded", what, job, now);
                if has_master {
                    return;
                }
            }
        }
        if failed > 0 && replicas > succeeded + active {
            if restart_policy(job, role) == "Never" {
                complete(status, now);
                let what = format!("is failed because {failed} {role} replica(s) failed.");
                set(status, "Failed", "True", "Failed", &what, job, now);
            } else {
                let what = format!("is restarting because {failed} {role} replica(s) failed.");
                set(status, "Restarting", "True", "Restarting", &what, job, now);
            }
        }
    }
}

/// The reason for which the job has to fail, if it is past one of its limits.
fn limit_passed(job: &Value, status: &Value, pods: &[(Key, Value)], now: Timestamp) -> Option<&'static str> {
    let policy = &job["spec"]["runPolicy"];
    if let Some(limit) = policy["backoffLimit"].as_u64() {
        let num_failed = pods.iter().filter(|(_, pod)| phase(pod) == "Failed").count() as u64;
        let known = roles(job).filter_map(|role| status["replicaStatuses"][role]["failed"].as_u64()).sum();
        let num_active = pods.iter().filter(|(_, pod)| !is_going(pod) && ["Pending", "Running"].contains(&phase(pod))).count() as u64;
        let num_replicas: u64 = roles(job).map(|role| num_replicas(job, role)).sum();
        let has_new_failure = num_failed > known && num_active != num_replicas && limit == 0;
        let is_counted = |pod: &Value| phase(pod) == "Running" && pod["spec"]["restartPolicy"] != "Never";
        let restarts = pods.iter().filter(|(_, pod)| is_counted(pod)).flat_map(|(_, pod)| pod["status"]["containerStatuses"].as_array());
        let num_restarts: u64 = restarts.flatten().filter_map(|container| container["restartCount"].as_u64()).sum();
        if has_new_failure || num_restarts > 0 && num_restarts >= limit {
            return Some("it has reached the specified backoff limit");
        }
    }
    let deadline = policy["activeDeadlineSeconds"].as_i64()?;
    let started: Timestamp = status["startTime"].as_str()?.parse().ok()?;
    (now.as_second() - started.as_second() >= deadline).then_some("it was active longer than specified deadline")
}

/// Deletes the pods of a finished job that its policy doesn't keep.
fn clean_up(store: &mut Store, job: &Value, pods: &[(Key, Value)]) {
    let is_deleted = |pod: &Value| match job["spec"]["runPolicy"]["cleanPodPolicy"].as_str() {
        Some("All") => true,
        Some("Running") => ["Running", "Pending"].contains(&phase(pod)),
        _ => false,
    };
    let doomed: Vec<(Key, Value)> = pods.iter().filter(|(_, pod)| is_deleted(pod) && !is_going(pod)).cloned().collect();
    jobs::delete_pods(store, &doomed);
}

/// Deletes a finished job whose TTL has expired.
fn expire(store: &mut Store, kind: &'static Kind, key: &Key, job: &Value) {
    let ttl = job["spec"]["runPolicy"]["ttlSecondsAfterFinished"].as_i64();
    let completed = job["status"]["completionTime"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if let (Some(ttl), Some(completed)) = (ttl, completed)
        && store.now().as_second() > completed.as_second() + ttl
    {
        store.delete(kind, key, &deletion::Options::default()).expect("it was just seen");
    }
}

fn complete(status: &mut Value, now: Timestamp) {
    if !status["completionTime"].is_string() {
        status["completionTime"] = now.to_string().into();
    }
}

/// Sets a condition. Without a master, messages about running and success name the namespace as well.
fn set(status: &mut Value, name: &str, value: &str, reason: &str, what: &str, job: &Value, now: Timestamp) {
    let text = |field: &str| job["metadata"][field].as_str().unwrap_or_default().to_owned();
    let is_qualified = ["Running", "Succeeded"].contains(&reason) && roles(job).all(|role| role != "Master");
    let job = if is_qualified { format!("{}/{}", text("namespace"), text("name")) } else { text("name") };
    set_message(status, name, value, reason, format!("PyTorchJob {job} {what}"), now);
}

/// The operator's `setCondition`: a failure is final, an equal condition isn't repeated, and the latest comes last.
fn set_message(status: &mut Value, name: &str, value: &str, reason: &str, message: String, now: Timestamp) {
    let reason = format!("PyTorchJob{reason}");
    let old = condition(status, name).cloned();
    let says_the_same = old.as_ref().is_some_and(|old| old["status"] == value && old["reason"] == reason.as_str());
    if is_true(status, "Failed") || says_the_same {
        return;
    }
    let now = json!(now.to_string());
    let transition = old.filter(|old| old["status"] == value).map_or(now.clone(), |old| old["lastTransitionTime"].clone());
    let all = jobs::conditions(status);
    all.retain(|other| {
        let replaces = |one: &str, another: &str| name == one && other["type"] == another;
        other["type"] != name && !replaces("Restarting", "Running") && !replaces("Running", "Restarting")
    });
    if ["Failed", "Succeeded"].contains(&name) {
        for running in all.iter_mut().filter(|other| other["type"] == "Running") {
            running["status"] = "False".into();
        }
    }
    all.push(json!({
        "type": name, "status": value, "reason": reason, "message": message, "lastUpdateTime": now, "lastTransitionTime": transition,
    }));
}

fn replica_statuses(status: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let roles = status.get_mut("replicaStatuses").and_then(Value::as_object_mut).into_iter();
    roles.flat_map(|roles| roles.values_mut()).filter_map(Value::as_object_mut)
}
