//! `trainer.kubeflow.org/v1alpha1` `TrainJob`, run by Kubeflow Trainer v2 and JobSet, with our own `TrainingRuntime`s for each run.
//!
//! A runtime has the common settings of the run's pods; a job adds its arguments, resources, labels and experiment.

use std::collections::BTreeMap;

use fltk_core::experiment::CommandConfig;
use fltk_plan::{JobSpec, Role};
use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use serde_json::{Value as Json, json};

use super::{
    RunContext, command, credentials,
    limit::object_limit,
    module,
    names::{
        ANNOTATION_ATTEMPT, ANNOTATION_CREDENTIALS, annotations, command_label, command_runtime_name, config_map_name, job_name, labels,
        run_labels, runtime_name,
    },
    pod,
    pytorch_job::whole_seconds,
};

/// The name by which the trainer finds the replicated job and its container.
pub const NODE: &str = "node";
/// The manager of the runtime patch.
const MANAGER: &str = "fltk.node/orchestrator";

pub fn manifest(context: &RunContext, spec: &JobSpec, attempt: u32, secret: Option<&str>) -> Json {
    let mut job_annotations = annotations(context, spec);
    job_annotations.insert(ANNOTATION_ATTEMPT.to_owned(), attempt.to_string());
    job_annotations.extend(secret.map(|name| (ANNOTATION_CREDENTIALS.to_owned(), name.to_owned())));
    let requests = spec.pods.first().map(|pod| pod::resources(&pod.requests)).unwrap_or_default();
    let mut fields = match command::of(context, spec) {
        Some(config) => fields_of_command(context, config, spec, &requests),
        None => fields_of_training(context, spec, secret, &requests),
    };
    if let Some(deadline) = context.config.run_policy.active_deadline {
        fields["activeDeadlineSeconds"] = json!(whole_seconds(deadline));
    }
    if let Some(manager) = &context.config.run_policy.managed_by {
        fields["managedBy"] = json!(manager);
    }
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {
            "name": job_name(&spec.id),
            "namespace": context.namespace,
            "labels": labels(context, spec),
            "annotations": job_annotations,
        },
        "spec": fields,
    })
}

/// The fields of a job that runs a program of the user's own.
fn fields_of_command(context: &RunContext, config: &CommandConfig, spec: &JobSpec, requests: &ResourceRequirements) -> Json {
    let nodes = spec.num_pods();
    let mut variables = command::variables(context, config, spec);
    variables.extend(command::place_in_train_job(spec));
    json!({
        "runtimeRef": { "apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": command_runtime_name(&context.run, nodes, spec.arrival.task) },
        "suspend": false,
        "trainer": {
            "command": command::words(config),
            "env": variables,
            "image": command::image(context, config),
            "numNodes": nodes,
            "numProcPerNode": 1,
            "resourcesPerNode": requests,
        },
        "runtimePatches": [{
            "manager": MANAGER,
            "trainingRuntimeSpec": { "template": { "spec": { "replicatedJobs": [{
                "name": NODE,
                "template": { "spec": { "template": { "metadata": { "labels": labels(context, spec), "annotations": annotations(context, spec) } } } },
            }]}}},
        }],
    })
}

/// The fields of a job that trains.
fn fields_of_training(context: &RunContext, spec: &JobSpec, secret: Option<&str>, requests: &ResourceRequirements) -> Json {
    let nodes = spec.num_pods();
    let mut mounted = vec![pod::experiment_volume(config_map_name(spec, Role::Master), module::names(context, spec))];
    mounted.extend(secret.map(|name| credentials::shared_volume(name, nodes)));
    let (volumes, mounts): (Vec<_>, Vec<_>) = mounted.into_iter().unzip();
    json!({
        "runtimeRef": { "apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime_name(&context.run, nodes) },
        "suspend": false,
        "trainer": {
            "args": pod::arguments(context, spec),
            "numNodes": nodes,
            "numProcPerNode": 1,
            "resourcesPerNode": requests,
        },
        "runtimePatches": [{
            "manager": MANAGER,
            "trainingRuntimeSpec": { "template": { "spec": { "replicatedJobs": [{
                "name": NODE,
                "template": { "spec": { "template": {
                    "metadata": { "labels": labels(context, spec), "annotations": annotations(context, spec) },
                    "spec": { "volumes": volumes, "containers": [{ "name": NODE, "volumeMounts": mounts }] },
                }}},
            }]}}},
        }],
    })
}

/// The runtime of jobs with `num_pods` pods.
pub fn runtime(context: &RunContext, num_pods: u32) -> Json {
    runtime_of(context, &runtime_name(&context.run, num_pods), num_pods, &pod::spec(context, NODE), run_labels(context))
}

/// The runtime of jobs of the task with this index, which run a program of the user's own.
pub fn runtime_of_command(context: &RunContext, task: usize, num_pods: u32, config: &CommandConfig) -> Json {
    let mut labels = run_labels(context);
    labels.extend(command_label());
    runtime_of(context, &command_runtime_name(&context.run, num_pods, task), num_pods, &command::spec(context, config, NODE), labels)
}

fn runtime_of(context: &RunContext, name: &str, num_pods: u32, pod: &PodSpec, pod_labels: BTreeMap<String, String>) -> Json {
    let policy = &context.config.run_policy;
    let mut labels = pod_labels.clone();
    labels.insert("trainer.kubeflow.org/framework".to_owned(), "torch".to_owned());
    let mut jobs = json!({ "replicatedJobs": [{
        "name": NODE,
        "template": {
            "metadata": { "labels": { "trainer.kubeflow.org/trainjob-ancestor-step": "trainer" } },
            "spec": {
                "backoffLimit": object_limit(&context.config, num_pods),
                "template": { "metadata": { "labels": pod_labels }, "spec": pod },
            },
        },
    }]});
    if let Some(ttl) = policy.ttl {
        jobs["ttlSecondsAfterFinished"] = json!(whole_seconds(ttl));
    }
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": { "name": name, "namespace": context.namespace, "labels": labels },
        "spec": { "mlPolicy": { "numNodes": 1, "torch": {} }, "template": { "spec": jobs } },
    })
}
