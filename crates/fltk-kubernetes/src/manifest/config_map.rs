//! The config maps that pods read: they contain the job's experiment.

use fltk_core::{catalogue::Catalogues, experiment::Experiment};
use fltk_experiment::{SourceFile, parse, to_yaml};
use fltk_plan::{JobSpec, Role};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value as Json, json};

use super::{
    RunContext, command,
    names::{config_map_name, labels},
    pod::EXPERIMENT_FILE,
};
use crate::config::Backend;

/// The config maps, one per role as in KFLTK; all pods of a `TrainJob` read the first. A program of the user's own reads none.
pub fn manifests(context: &RunContext, spec: &JobSpec) -> Vec<Json> {
    if command::of(context, spec).is_some() {
        return Vec::new();
    }
    let experiment = to_yaml(&spec.experiment(&context.experiment));
    let roles = spec.pods.iter().map(|pod| pod.role).filter(|role| *role == Role::Master || context.config.backend == Backend::PyTorchJob);
    let manifest = |role| {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": config_map_name(spec, role), "namespace": context.namespace, "labels": labels(context, spec) },
            "immutable": true,
            "data": { EXPERIMENT_FILE: experiment },
        })
    };
    roles.map(manifest).collect()
}

/// The experiment in a config map, as this version reads it: newer settings get the values that match the earlier behavior.
pub fn experiment(config_map: &ConfigMap, catalogues: &Catalogues) -> Option<Experiment> {
    let text = config_map.data.as_ref()?.get(EXPERIMENT_FILE)?.clone();
    let source = SourceFile { name: EXPERIMENT_FILE.to_owned(), text };
    parse(&[source], &[], catalogues).ok().map(|parsed| parsed.experiment.with_earliest_defaults())
}
