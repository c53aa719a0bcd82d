//! Runs that are started by a name (`--id`), and resumed by it: finds those in a folder that belong to a name.
//!
//! A group of runs in the folder is the one to be started if both have the same name and the same [`Experiment`]. Experiments are compared
//! as values, as this version parses them, never as text: a setting that a later version adds is read from an older file as what was done
//! then, so both are still the same.
//!
//! ```text
//! run.json          group_name: the name; group: the id that all runs of the group share
//! experiment.yaml   the experiment that was started, parsed and compared
//! ```
//!
//! Folders from before `group_name` was recorded reveal their name by their id, which is a digest over the name and the text of
//! `experiment.yaml`.

use std::path::Path;

use fltk_core::{catalogue::Catalogues, experiment::Experiment};
use sha2::{Digest as _, Sha256};

use crate::{RunDescription, RunError, RunFolder};

/// The number of bytes of a digest that form an id.
const ID_BYTES: usize = 8;

/// Returns the id of a new group that is started as `name`, in lower-case hex: the same for all processes that start it at the same moment.
/// To find out whether the group already exists use [`runs`]: another version may compute another id.
#[must_use]
pub fn new_id(name: &str, experiment: &Experiment) -> String {
    id_of(name, &fltk_experiment::to_yaml(experiment))
}

fn id_of(name: &str, yaml: &str) -> String {
    hex::encode(&Sha256::digest(format!("named/{name}/{yaml}"))[..ID_BYTES])
}

/// Returns the runs in `root` of the group that was started as `name` with `experiment`, by any version, sorted by the names of their
/// folders; none if there is no such group. If there are several groups, because two versions started it at the same moment, the one
/// started last is returned.
///
/// Damaged folders are left out: it can't be known whose they are.
///
/// # Errors
/// If `root` can't be listed; or if a run of that name can't be read, for example because a later version wrote it, so that it is unknown
/// whether it is the same.
pub fn runs(root: &Path, name: &str, experiment: &Experiment, catalogues: &Catalogues) -> Result<Vec<RunFolder>, RunError> {
    let mut runs = Vec::new();
    for path in RunFolder::list(root)? {
        match RunFolder::open(path) {
            // `run.json` rules out most runs without reading more: there may be thousands.
            Ok(run) if may_be_of(run.description(), experiment) => runs.push(run),
            Err(error) if matches!(&error, RunError::Newer { group_name: Some(recorded), .. } if recorded == name) => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    let Some(group) = group_of(&runs, name, experiment, catalogues)? else { return Ok(Vec::new()) };
    runs.retain(|run| run.description().group == group);
    Ok(runs)
}

/// Returns the runs in `root` that were started as `name`, whatever their experiment, sorted by the names of their folders. Damaged folders are left
/// out: it can't be known whose they are.
///
/// # Errors
/// If `root` can't be listed.
pub fn started_as(root: &Path, name: &str) -> Result<Vec<RunFolder>, RunError> {
    let runs = RunFolder::list(root)?.into_iter().filter_map(|path| RunFolder::open(path).ok());
    Ok(runs.filter(|run| is_named(run, name)).collect())
}

/// Returns the id of the group among `runs`, if it is there.
fn group_of(runs: &[RunFolder], name: &str, experiment: &Experiment, catalogues: &Catalogues) -> Result<Option<String>, RunError> {
    let id = new_id(name, experiment);
    // The text is the same to the last byte, so the experiment needn't be read.
    if runs.iter().any(|run| run.description().group == id) {
        return Ok(Some(id));
    }
    for run in runs.iter().rev() {
        if is_named(run, name) && is_of(run, experiment, catalogues)? {
            return Ok(Some(run.description().group.clone()));
        }
    }
    Ok(None)
}

/// Returns true if `run` belongs to `experiment`. Settings that `experiment` leaves open may be those that an earlier version left open
/// too.
fn is_of(run: &RunFolder, experiment: &Experiment, catalogues: &Catalogues) -> Result<bool, RunError> {
    let written = run.written_experiment(catalogues)?;
    // Nodes change no result.
    Ok(experiment.clone().with_defaults_of(&written).without_nodes() == written.with_earliest_defaults().without_nodes())
}

/// Returns true if `run` was started as `name`.
fn is_named(run: &RunFolder, name: &str) -> bool {
    let RunDescription { group, group_name, .. } = run.description();
    match group_name {
        Some(recorded) => recorded == name,
        None => run.experiment_yaml().is_ok_and(|yaml| id_of(name, &yaml) == *group),
    }
}

/// Returns true if `run` can be one of the jobs of `experiment`, which holds for every run of the same experiment.
fn may_be_of(run: &RunDescription, experiment: &Experiment) -> bool {
    run.experiment == experiment.name
        && run.num_jobs as usize == experiment.seeds.len() * experiment.tasks.len()
        && experiment.seeds.get(run.replication as usize) == Some(&run.seed)
        && experiment.tasks.get(run.task_index as usize).is_some_and(|task| task.name == run.task)
}
