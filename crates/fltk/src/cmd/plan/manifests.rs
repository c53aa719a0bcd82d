//! `fltk plan --manifests DIR`: writes the Kubernetes objects of every job, for reading and for `kubectl apply --server-side --dry-run=server`.

use std::{fs, path::Path};

use anyhow::Context as _;
use fltk_kubernetes::manifest::{Manifests, RunContext, job_name};
use fltk_plan::JobSpec;
use serde_json::Value as Json;

use crate::{
    exit::{Exit, OrExit as _, failure},
    output,
    pace::Unit,
    work::Work,
};

/// The maximum number of jobs whose objects are written, one file each.
const JOBS_MAX: usize = 10_000;

/// Writes one file for each job into `folder`, and one each with the runtimes and the TorchScript modules that they share, if any. Returns the number of jobs.
///
/// # Errors
/// If a file can't be written, or there are too many jobs.
pub fn write<'a>(folder: &Path, context: &RunContext, jobs: impl Iterator<Item = &'a JobSpec>) -> anyhow::Result<usize> {
    fs::create_dir_all(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    let runtimes = context.runtimes();
    if !runtimes.is_empty() {
        output::write_file(&folder.join("runtime.yaml"), documents(&runtimes)?.as_bytes())?;
    }
    let modules = context.module_maps();
    if !modules.is_empty() {
        output::write_file(&folder.join("modules.yaml"), documents(&modules)?.as_bytes())?;
    }
    let mut count = 0;
    let work = Work::begin("writing the objects", Unit::Named("job"), None);
    for spec in jobs {
        work.add(1);
        count += 1;
        if count > JOBS_MAX {
            return Err(failure(
                Exit::General,
                format!("only the manifests of {JOBS_MAX} jobs are written\nhint: `--set stream.max_jobs=N`"),
            ));
        }
        let credentials =
            context.credentials(spec).map_err(|reason| failure(Exit::General, format!("credentials can't be made: {reason}")))?;
        let Manifests { job, config_maps, secret } = context.manifests(&context.with_requests(spec.clone()), 1, &credentials);
        // The network policy comes before the pods that it applies to.
        let objects: Vec<Json> = std::iter::once(context.network_policy(spec)).chain([job]).chain(config_maps).chain(secret).collect();
        let path = folder.join(format!("{}.yaml", job_name(&spec.id)));
        // Credentials are for their owner alone.
        let write = if context.needs_credentials(spec) { output::write_private_file } else { output::write_file };
        write(&path, documents(&objects)?.as_bytes())?;
    }
    Ok(count)
}

/// Returns `objects` as YAML documents in one text.
fn documents(objects: &[Json]) -> anyhow::Result<String> {
    let text = |object| serde_saphyr::to_string(object).or_exit(Exit::General);
    Ok(objects.iter().map(text).collect::<anyhow::Result<Vec<_>>>()?.join("---\n"))
}
