//! Who may connect to the pods of a job: its own, and nobody else. Ranks ask nobody who they are, and connect to each other at any port.

use serde_json::{Value as Json, json};

use super::{
    RunContext,
    names::{JOB_LABEL, RUN_LABEL, job_name, labels},
};
use crate::JobSpec;

/// The policy of one job. It isn't made by the orchestrator, which would need rights for it: it's for whoever applies what `fltk plan --manifests` writes.
pub fn manifest(context: &RunContext, spec: &JobSpec) -> Json {
    let pods = json!({ "matchLabels": { RUN_LABEL: context.run, JOB_LABEL: spec.id.to_string() } });
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": job_name(&spec.id), "namespace": context.namespace, "labels": labels(context, spec) },
        "spec": {
            "podSelector": pods,
            "policyTypes": ["Ingress"],
            "ingress": [{ "from": [{ "podSelector": pods }] }],
        },
    })
}
