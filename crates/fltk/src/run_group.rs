//! The folders of the runs of one invocation, which name their group in `run.json`: finding them again, and checking that they belong to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fltk_core::{name::Name, seed::Seed};
use fltk_records::{Hyperparameters, RunDescription, RunFolder, history::Status};
use sha2::{Digest as _, Sha256};

use crate::exit::{Exit, OrExit as _, failure};

/// The ID of a job within the runs folder: eight hex digits of a digest of the group, the job's position, task and seed.
#[must_use]
pub fn job_hex(group: &str, index: usize, task: &str, seed: Seed) -> String {
    let digest = Sha256::digest(format!("{group}/{index}/{task}/{}", seed.0));
    hex::encode(&digest[..4])
}

/// Waits until no process writes the runs in `begun`: their process may just have been killed, and be about to end.
pub fn wait_for_others(begun: &BTreeMap<usize, RunFolder>, stop: &AtomicBool) {
    /// A time longer than a killed process takes to release its resources.
    const LIMIT: Duration = Duration::from_secs(10);
    const POLL: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + LIMIT;
    let is_written = || begun.values().any(|folder| folder.clone().read().is_ok_and(|run| run.status == Status::Running));
    while is_written() && Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
        thread::sleep(POLL);
    }
}

/// Chooses one folder for each job from the folders of a group: `named` for its job, and for each other job the only one there is. If there are
/// several, the original is the one that still has the name it was created with; the others are copies of it.
///
/// # Errors
/// If there are several originals, or a folder can't be found.
pub fn one_each(found: Vec<RunFolder>, named: Option<RunFolder>) -> anyhow::Result<BTreeMap<usize, RunFolder>> {
    let mut each: BTreeMap<usize, Vec<RunFolder>> = BTreeMap::new();
    let mut real_paths = BTreeSet::new();
    // Links come last: a link to a folder in the list isn't a second folder.
    let (links, folders): (Vec<_>, Vec<_>) = found.into_iter().partition(|folder| folder.path().is_symlink());
    for folder in folders.into_iter().chain(links) {
        let real =
            folder.path().canonicalize().with_context(|| format!("can't find `{}`", folder.path().display())).or_exit(Exit::Records)?;
        if real_paths.insert(real) {
            each.entry(folder.description().job_index as usize).or_default().push(folder);
        }
    }
    let named_index = named.as_ref().map(|named| named.description().job_index as usize);
    each.extend(named_index.zip(named.map(|named| vec![named])));
    let choose = |(index, mut folders): (usize, Vec<RunFolder>)| {
        if folders.len() > 1 {
            let (originals, copies): (Vec<_>, Vec<_>) = folders.into_iter().partition(has_first_name);
            if originals.len() != 1 {
                let paths = originals.iter().chain(&copies).map(|folder| format!("`{}`", folder.path().display())).collect::<Vec<_>>();
                let message = format!("{} are all the run of job {index} of the group\nhint: move all but one elsewhere", paths.join(", "));
                return Err(failure(Exit::Records, message));
            }
            folders = originals;
        }
        Ok(folders.pop().map(|folder| (index, folder)))
    };
    each.into_iter().filter_map(|job| choose(job).transpose()).collect()
}

/// True if the run's folder has the name that it was created with.
fn has_first_name(folder: &RunFolder) -> bool {
    let RunDescription { experiment, started_at, group, job_index, task, seed, .. } = folder.description();
    folder.name() == format!("{experiment}-{}-{}", started_at.strftime("%Y%m%d-%H%M%S"), job_hex(group, *job_index as usize, task, *seed))
}

/// Checks that the name, seed and settings of a job, which come from the folder's experiment, are those that the run began with, except settings that change no
/// result.
///
/// # Errors
/// If one differs.
pub fn check_settings(folder: &RunFolder, name: &Name, seed: Seed, now: &Hyperparameters) -> anyhow::Result<()> {
    let begun = folder.description();
    let refuse = |name: &str, then: &str, now: &str| {
        let (task, path) = (&begun.task, folder.path().display());
        let message = format!(
            "`{path}`: the run of task `{task}` began with `{name}` {then}, and its `experiment.yaml` now says {now}\nhint: restore the old value, or run the changed experiment as a new run"
        );
        Err(failure(Exit::Records, message))
    };
    if begun.task != *name {
        return refuse("name", &begun.task, name);
    }
    if begun.seed != seed {
        return refuse("seeds", &begun.seed.0.to_string(), &seed.0.to_string());
    }
    match begun.hyperparameters.difference(now) {
        Some((name, then, now)) => refuse(&name, &then, &now),
        None => Ok(()),
    }
}
