//! Checks that refuse an object before it is stored: the namespace, and the web hooks of the operators.

use serde_json::Value;

use crate::{
    answer::Failure,
    faults::Faults,
    kinds::{Kind, named},
    store::{Key, Store},
};

/// The operation that the object is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
}

/// Runs the checks before storage. Only those rules of the web hooks are included that an object of the right form can break.
pub fn check(
    store: &Store,
    faults: &Faults,
    kind: &'static Kind,
    namespace: &str,
    object: &Value,
    operation: Operation,
) -> Result<(), Failure> {
    let has_namespace = || store.get(&Key::new(named("namespaces"), "", namespace)).is_some();
    if operation == Operation::Create && kind.namespaced && !has_namespace() {
        return Err(Failure::not_found(named("namespaces"), namespace));
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match faults.refuses(kind, name).filter(|_| operation == Operation::Create) {
        Some(422) => return Err(Failure::invalid(kind, name, "spec: Invalid value: the test says so")),
        Some(code) => {
            return Err(Failure::new(code, "Forbidden", "admission webhook \"test.example\" denied the request: the test says so"));
        }
        None => {}
    }
    let (hook, service, path, problem) = match kind.plural {
        "pytorchjobs" => {
            let problem = pytorch_problem(object);
            ("validator.pytorchjob.training-operator.kubeflow.org", "training-operator.kubeflow", "kubeflow-org-v1-pytorchjob", problem)
        }
        "trainjobs" => {
            let problem = train_job_problem(store, namespace, object);
            let service = "kubeflow-trainer-controller-manager.kubeflow-system";
            ("validator.trainjob.trainer.kubeflow.org", service, "trainer-kubeflow-org-v1alpha1-trainjob", problem)
        }
        _ => return Ok(()),
    };
    if faults.webhook_down {
        let url = format!("https://{service}.svc:443/validate-{path}?timeout=10s");
        let why = format!("failed to call webhook: Post \"{url}\": dial tcp 10.96.0.10:443: connect: connection refused");
        return Err(Failure::new(500, "InternalError", format!("Internal error occurred: failed calling webhook \"{hook}\": {why}")));
    }
    match problem {
        Some(problem) => Err(Failure::new(403, "Forbidden", format!("admission webhook \"{hook}\" denied the request: {problem}"))),
        None => Ok(()),
    }
}

fn pytorch_problem(job: &Value) -> Option<String> {
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    if !is_dns_label(name) {
        return Some(format!("metadata.name: Invalid value: \"{name}\": should match: a DNS-1035 label"));
    }
    let Some(replicas) = job["spec"]["pytorchReplicaSpecs"].as_object() else {
        return Some("spec.pytorchReplicaSpecs: Required value: must be required".to_owned());
    };
    replicas.iter().find_map(|(role, spec)| {
        let path = format!("spec.pytorchReplicaSpecs[{role}]");
        let containers = spec["template"]["spec"]["containers"].as_array();
        if !containers.into_iter().flatten().any(|container| container["name"] == "pytorch") {
            return Some(format!("{path}.template.spec.containers: Required value: must have at least one container with name pytorch"));
        }
        match (role.as_str(), spec["replicas"].as_u64()) {
            ("Master", replicas) if replicas != Some(1) => Some(format!("{path}.replicas: Forbidden: must be 1")),
            ("Worker", Some(0)) => Some(format!("{path}.replicas: Forbidden: must be at least 1")),
            ("Master" | "Worker", _) => None,
            _ => Some(format!("{path}: Unsupported value: \"{role}\": supported values: \"Master\", \"Worker\"")),
        }
    })
}

fn train_job_problem(store: &Store, namespace: &str, job: &Value) -> Option<String> {
    let runtime = &job["spec"]["runtimeRef"];
    let name = runtime["name"].as_str().unwrap_or_default();
    let kind = if runtime["kind"] == "TrainingRuntime" { named("trainingruntimes") } else { named("clustertrainingruntimes") };
    let is_there = store.get(&Key::new(kind, namespace, name)).is_some();
    let missing = format!("{}.{} \"{name}\" not found", kind.kind, kind.group);
    let advice = "specified trainingRuntime must be created before the TrainJob is created";
    (!is_there).then(|| format!("spec.runtimeRef: Invalid value: {runtime}: {missing}: {advice}"))
}

/// True if `name` is valid as the name of a service.
fn is_dns_label(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_inner) && !name.ends_with('-')
}
