//! The policy for connections to the pods of a job: only its own pods may connect. Ranks don't authenticate their peers, and connect to each other at
//! any port.

use fltk_plan::JobSpec;
use serde_json::{Value as Json, json};

use super::{
    RunContext,
    names::{JOB_LABEL, RUN_LABEL, job_name, labels},
};

/// The policy of one job. The orchestrator doesn't create it, since it would need rights for that: it's for users who apply the output of
/// `fltk plan --manifests`.
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
