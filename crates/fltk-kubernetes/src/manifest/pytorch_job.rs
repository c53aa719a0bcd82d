//! `kubeflow.org/v1` `PyTorchJob`, run by Kubeflow's training operator.

use fltk_core::experiment::CommandConfig;
use fltk_plan::{JobSpec, Pod, Role};
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value as Json, json};

use super::{
    RunContext, command, credentials,
    limit::object_limit,
    module,
    names::{ANNOTATION_ATTEMPT, ANNOTATION_CREDENTIALS, annotations, config_map_name, job_name, labels},
    pod,
};
use crate::config::{KubernetesConfig, SchedulingPolicy};

/// The name by which the operator finds the container.
pub const CONTAINER: &str = "pytorch";

pub fn manifest(context: &RunContext, spec: &JobSpec, attempt: u32, secret: Option<&str>) -> Json {
    let mut annotations = annotations(context, spec);
    annotations.insert(ANNOTATION_ATTEMPT.to_owned(), attempt.to_string());
    annotations.extend(secret.map(|name| (ANNOTATION_CREDENTIALS.to_owned(), name.to_owned())));
    let replica = |pods: &Pod| (format!("{:?}", pods.role), replica(context, spec, pods, secret));
    let replicas: Map<String, Json> = spec.pods.iter().map(replica).collect();
    json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {
            "name": job_name(&spec.id),
            "namespace": context.namespace,
            "labels": labels(context, spec),
            "annotations": annotations,
        },
        "spec": { "runPolicy": run_policy(&context.config, spec.num_pods()), "pytorchReplicaSpecs": replicas },
    })
}

fn replica(context: &RunContext, spec: &JobSpec, pods: &Pod, secret: Option<&str>) -> Json {
    let mut pod = match command::of(context, spec) {
        Some(config) => pod_of_command(context, config, spec, pods),
        None => pod_of_training(context, spec, pods, secret),
    };
    // The operator has its own restart policy for all pods of a role.
    pod.restart_policy = None;
    let mut labels = labels(context, spec);
    // KFLTK's label, for users who select by it.
    labels.insert("app".to_owned(), "fltk-worker".to_owned());
    json!({
        "replicas": if pods.role == Role::Master { 1 } else { pods.count },
        "restartPolicy": pod::restart_policy(context.config.restart_policy),
        "template": { "metadata": { "labels": labels, "annotations": annotations(context, spec) }, "spec": pod },
    })
}

fn pod_of_command(context: &RunContext, config: &CommandConfig, spec: &JobSpec, pods: &Pod) -> PodSpec {
    let mut pod = command::spec(context, config, CONTAINER);
    for container in &mut pod.containers {
        container.env = Some(command::variables(context, config, spec));
        container.resources = Some(pod::resources(&pods.requests));
    }
    pod
}

fn pod_of_training(context: &RunContext, spec: &JobSpec, pods: &Pod, secret: Option<&str>) -> PodSpec {
    let mut pod = pod::spec(context, CONTAINER);
    let mut mounted = vec![pod::experiment_volume(config_map_name(spec, pods.role), module::names(context, spec))];
    mounted.extend(secret.map(|name| credentials::volume(name, pods.role)));
    let (volumes, mounts): (Vec<_>, Vec<_>) = mounted.into_iter().unzip();
    pod.volumes.get_or_insert_default().extend(volumes);
    for container in &mut pod.containers {
        container.args = Some(pod::arguments(context, spec));
        container.resources = Some(pod::resources(&pods.requests));
        container.volume_mounts.get_or_insert_default().extend(mounts.iter().cloned());
    }
    pod
}

fn run_policy(config: &KubernetesConfig, num_pods: u32) -> Json {
    let policy = &config.run_policy;
    let mut fields = Map::new();
    fields.insert("cleanPodPolicy".to_owned(), json!(policy.clean_pod_policy));
    fields.insert("backoffLimit".to_owned(), json!(object_limit(config, num_pods)));
    fields.insert("suspend".to_owned(), json!(false));
    let seconds = [("ttlSecondsAfterFinished", policy.ttl), ("activeDeadlineSeconds", policy.active_deadline)];
    for (name, duration) in seconds.into_iter().filter_map(|(name, duration)| Some((name, duration?))) {
        fields.insert(name.to_owned(), json!(whole_seconds(duration)));
    }
    if let Some(manager) = &policy.managed_by {
        fields.insert("managedBy".to_owned(), json!(manager));
    }
    if let Some(scheduling) = &policy.scheduling_policy {
        fields.insert("schedulingPolicy".to_owned(), scheduling_policy(scheduling));
    }
    Json::Object(fields)
}

fn scheduling_policy(policy: &SchedulingPolicy) -> Json {
    let fields = [
        ("minAvailable", policy.min_available.map(Json::from)),
        ("queue", policy.queue.clone().map(Json::from)),
        ("priorityClass", policy.priority_class.clone().map(Json::from)),
        ("scheduleTimeoutSeconds", policy.schedule_timeout.map(|timeout| json!(whole_seconds(timeout)))),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The duration in seconds, rounded up, so that no duration becomes zero.
pub fn whole_seconds(duration: fltk_core::experiment::Duration) -> u64 {
    duration.as_millis().div_ceil(1000)
}
