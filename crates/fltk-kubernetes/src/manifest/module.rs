//! The TorchScript modules of jobs, which travel as immutable config maps: one, or several with a part each. Pods see them in the folder of the experiment.

use fltk_plan::JobSpec;
use k8s_openapi::ByteString;
use serde_json::{Value as Json, json};

use super::{RunContext, names::labels};

/// The most bytes of a module in one config map, of which the API server takes 1 MiB.
const PART_BYTES: usize = 896 << 10;

/// The largest module that travels, in bytes: what the API server and its store should hold for a job.
pub const MODULE_BYTES_MAX: usize = 16 << 20;

/// Returns the name of the module of the job's net, with its bytes, if it travels.
fn of<'a>(context: &'a RunContext, spec: &JobSpec) -> Option<(&'a str, &'a [u8])> {
    let path = context.experiment.tasks.get(spec.arrival.task)?.training()?.network.torchscript()?;
    context.modules.get(path).map(|bytes| (path, &**bytes))
}

fn name(spec: &JobSpec, part: usize) -> String {
    format!("module-{part}-{}-{}", spec.id, spec.replication)
}

/// Returns the names of the config maps with the job's module; none if it has none that travels.
pub fn names(context: &RunContext, spec: &JobSpec) -> Vec<String> {
    let num_parts = of(context, spec).map_or(0, |(_, bytes)| bytes.len().div_ceil(PART_BYTES).max(1));
    (0..num_parts).map(|part| name(spec, part)).collect()
}

/// Returns these config maps. The file of a module in several has `.0`, `.1` and so on at the end of its name.
pub fn manifests(context: &RunContext, spec: &JobSpec) -> Vec<Json> {
    let Some((file, bytes)) = of(context, spec) else { return Vec::new() };
    let is_whole = bytes.len() <= PART_BYTES;
    let manifest = |(part, bytes): (usize, &[u8])| {
        let key = if is_whole { file.to_owned() } else { format!("{file}.{part}") };
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name(spec, part), "namespace": context.namespace, "labels": labels(context, spec) },
            "immutable": true,
            "binaryData": { key: ByteString(bytes.to_vec()) },
        })
    };
    bytes.chunks(PART_BYTES).enumerate().map(manifest).collect()
}
