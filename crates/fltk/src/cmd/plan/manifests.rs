//! `fltk plan --manifests DIR`: the Kubernetes objects of every job, for reading and for `kubectl apply --dry-run=server`.

use std::{fs, path::Path};

use anyhow::Context as _;
use fltk_cluster::{
    JobSpec,
    kubernetes::manifest::{Manifests, RunContext, job_name},
};
use serde_json::Value as Json;

use crate::{
    exit::{Exit, OrExit as _, failure},
    output,
};

/// Jobs whose objects are written, at most: one file each.
const JOBS_MAX: usize = 10_000;

/// Writes one file a job into `folder`, and one with what they share, if there is any. Returns how many.
///
/// # Errors
/// If a file can't be written, or there are too many.
pub fn write<'a>(folder: &Path, context: &RunContext, jobs: impl Iterator<Item = &'a JobSpec>) -> anyhow::Result<usize> {
    fs::create_dir_all(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    let runtimes = context.runtimes();
    if !runtimes.is_empty() {
        output::write_file(&folder.join("runtime.yaml"), documents(&runtimes)?.as_bytes())?;
    }
    let mut count = 0;
    for spec in jobs {
        count += 1;
        if count > JOBS_MAX {
            return Err(failure(
                Exit::General,
                format!("only the manifests of {JOBS_MAX} jobs are written\nhint: `--set stream.max_jobs=N`"),
            ));
        }
        let Manifests { job, config_maps } = context.manifests(&context.with_requests(spec.clone()), 1);
        // The policy before the pods that it is for.
        let objects: Vec<Json> = std::iter::once(context.network_policy(spec)).chain([job]).chain(config_maps).collect();
        output::write_file(&folder.join(format!("{}.yaml", job_name(&spec.id))), documents(&objects)?.as_bytes())?;
    }
    Ok(count)
}

/// Several documents of YAML.
fn documents(objects: &[Json]) -> anyhow::Result<String> {
    let text = |object| serde_saphyr::to_string(object).or_exit(Exit::General);
    Ok(objects.iter().map(text).collect::<anyhow::Result<Vec<_>>>()?.join("---\n"))
}
