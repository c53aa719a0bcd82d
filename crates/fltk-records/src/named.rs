//! Runs that were begun by a name (`--id`), and are gone on with by it: which of those in a folder they are.
//!
//! A group of runs is the same as one that is to be begun when both have the same name and the same [`Experiment`]. Experiments are compared as values, as
//! this version reads them, never as texts: a setting that a later version adds means in an earlier file what was done then, so that both are still the same.
//!
//! ```text
//! run.json          group_name: the name; group: the id that all runs of the group share
//! experiment.yaml   what was begun, parsed and compared
//! ```
//!
//! Folders from before `group_name` was recorded say their name by their id, which is a digest over the name and `experiment.yaml` as it lies there.

use std::path::Path;

use fltk_core::experiment::{self, Experiment};
use sha2::{Digest as _, Sha256};

use crate::{RunDescription, RunError, RunFolder};

/// Bytes of a digest that make an id.
const ID_BYTES: usize = 8;

/// The id of a new group that is begun as `name`, lower-case hex: the same for all processes that begin it in the same moment. Whether a group is there
/// already is for [`runs`] to say: another version may give another id.
#[must_use]
pub fn new_id(name: &str, experiment: &Experiment) -> String {
    id_of(name, &experiment::to_yaml(experiment))
}

fn id_of(name: &str, yaml: &str) -> String {
    hex::encode(&Sha256::digest(format!("named/{name}/{yaml}"))[..ID_BYTES])
}

/// The runs in `root` of the group that was begun as `name` with `experiment`, whatever version did so, sorted by the names of their folders; none if there
/// is no such group. Where there are several, as of two versions that began it in the same moment, the last begun.
///
/// Damaged folders are left out: they may be anybody's.
///
/// # Errors
/// If `root` can't be listed; or if a run of that name can't be read, as one of a later version, so that nobody knows whether it's the same.
pub fn runs(root: &Path, name: &str, experiment: &Experiment) -> Result<Vec<RunFolder>, RunError> {
    let mut runs = Vec::new();
    for path in RunFolder::list(root)? {
        match RunFolder::open(path) {
            // By what `run.json` says most are out: there may be thousands.
            Ok(run) if may_be_of(run.description(), experiment) => runs.push(run),
            Err(error) if matches!(&error, RunError::Newer { group_name: Some(recorded), .. } if recorded == name) => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    let Some(group) = group_of(&runs, name, experiment)? else { return Ok(Vec::new()) };
    runs.retain(|run| run.description().group == group);
    Ok(runs)
}

/// The id of the group among `runs`, if it's there.
fn group_of(runs: &[RunFolder], name: &str, experiment: &Experiment) -> Result<Option<String>, RunError> {
    let id = new_id(name, experiment);
    // To the last letter the same: there's nothing to read.
    if runs.iter().any(|run| run.description().group == id) {
        return Ok(Some(id));
    }
    for run in runs.iter().rev() {
        if is_named(run, name) && is_of(run, experiment)? {
            return Ok(Some(run.description().group.clone()));
        }
    }
    Ok(None)
}

/// Whether `run` is one of `experiment`, which may leave open what an earlier version did too.
fn is_of(run: &RunFolder, experiment: &Experiment) -> Result<bool, RunError> {
    let written = run.written_experiment()?;
    Ok(experiment.clone().with_defaults_of(&written) == written.with_earliest_defaults())
}

/// Whether `run` was begun as `name`.
fn is_named(run: &RunFolder, name: &str) -> bool {
    let RunDescription { group, group_name, .. } = run.description();
    match group_name {
        Some(recorded) => recorded == name,
        None => run.experiment_yaml().is_ok_and(|yaml| id_of(name, &yaml) == *group),
    }
}

/// Whether `run` can be one of the jobs of `experiment`: a run of the same experiment is.
fn may_be_of(run: &RunDescription, experiment: &Experiment) -> bool {
    run.experiment == experiment.name
        && run.num_jobs as usize == experiment.seeds.len() * experiment.tasks.len()
        && experiment.seeds.get(run.replication as usize) == Some(&run.seed)
        && experiment.tasks.get(run.task_index as usize).is_some_and(|task| task.name == run.task)
}
