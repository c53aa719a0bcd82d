//! The TorchScript modules of a run, which travel as immutable config maps that its jobs share: one for each module, or several with a part each. Pods see them in the folder of the
//! experiment.

use fltk_plan::JobSpec;
use k8s_openapi::ByteString;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{
    RunContext,
    names::{run_labels, run_prefix},
};

/// The most bytes of a module in one config map, of which the API server takes 1 MiB.
const PART_BYTES: usize = 896 << 10;

/// The largest module that travels, and the most that the modules of a run have together, in bytes: what the API server and its store should hold for a run.
pub const MODULE_BYTES_MAX: usize = 16 << 20;

fn name(context: &RunContext, path: &str, part: usize) -> String {
    format!("{}-module-{}-{part}", run_prefix(&context.run), hex::encode(&Sha256::digest(path)[..6]))
}

/// Returns the names of the config maps with the module of the job's net; none if it has none that travels.
pub fn names(context: &RunContext, spec: &JobSpec) -> Vec<String> {
    let training = context.experiment.tasks.get(spec.arrival.task).and_then(|task| task.training());
    let Some(path) = training.and_then(|training| training.network.torchscript()) else { return Vec::new() };
    let parts = context.modules.get(path).map(|bytes| bytes.chunks(PART_BYTES)).into_iter().flatten();
    (0..parts.count()).map(|part| name(context, path, part)).collect()
}

/// Returns the config maps of all modules. The file of a module in several has `.0`, `.1` and so on at the end of its name.
pub fn manifests(context: &RunContext) -> Vec<Json> {
    let of_module = |path: &str, bytes: &[u8]| -> Vec<Json> {
        let is_whole = bytes.len() <= PART_BYTES;
        let manifest = |(part, bytes): (usize, &[u8])| {
            let key = if is_whole { path.to_owned() } else { format!("{path}.{part}") };
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": name(context, path, part), "namespace": context.namespace, "labels": run_labels(context) },
                "immutable": true,
                "binaryData": { key: ByteString(bytes.to_vec()) },
            })
        };
        bytes.chunks(PART_BYTES).enumerate().map(manifest).collect()
    };
    context.modules.iter().flat_map(|(path, bytes)| of_module(path, bytes)).collect()
}
