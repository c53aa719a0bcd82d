//! Running jobs on this machine: each leaves a folder, and an interrupted one goes on from its last checkpoint.

mod agreement;
mod distributed;
mod federated;
mod group;
mod host;
mod job;
mod launch;
mod master;
mod place;
mod progress;
mod provenance;
mod rank;
mod recorder;
mod result;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use fltk::{
    exit::{Exit, OrExit as _, failure},
    output,
    termination::Termination,
};
use fltk_core::{experiment::Setting, milestone::Milestone};
use fltk_data::{Dataset, Locations};
use fltk_records::{RunFolder, RunRecorder, checkpoint::Checkpoint, history::Unit};
use fltk_train::checkpoint::Position;
use torch_dist::ProcessGroup;

use self::{distributed::Training, job::Job, progress::Progress, recorder::Recorder};
pub use self::{
    group::{resume, start},
    launch::inherited_listener,
    place::{Network, Place},
    progress::Talk,
    rank::{Source, client},
    result::RunResult,
};

/// What all jobs of an invocation share.
pub struct Context<'a> {
    /// Where paths in the experiment are relative to.
    pub base: &'a Path,
    /// Where data sets are.
    pub locations: &'a Locations,
    /// Clients trained, or test batches evaluated, at once.
    pub workers: NonZeroUsize,
    /// How much is said.
    pub talk: Talk,
    /// Raised when the process is asked to stop.
    pub stop: Arc<AtomicBool>,
    /// Notes what there will be to report of this process.
    pub termination: &'a Termination,
}

/// The process was asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Stopped;

/// Data sets of an invocation, so that jobs on the same one read it once.
type Datasets = BTreeMap<String, Arc<Dataset>>;

/// Runs `job` in `folder`, new or interrupted, to its end; a distributed one as rank 0 of `group`, or alone.
///
/// # Errors
/// If the run fails or is interrupted; its folder says so too.
fn execute(
    context: &Context<'_>,
    job: &Job,
    dataset: &Arc<Dataset>,
    folder: RunFolder,
    group: Option<&ProcessGroup>,
) -> anyhow::Result<RunFolder> {
    provenance::check(folder.description(), dataset)?;
    let (unit, steps) = match &job.task.setting {
        Setting::Federated(config) => (Unit::Round, config.rounds),
        Setting::Distributed(config) => (Unit::Epoch, config.epochs),
    };
    let (records, _torn) = RunRecorder::open(folder, &fltk::host::who()).or_exit(Exit::Records)?;
    let resumed = latest_checkpoint(records.folder(), unit)?;
    let from = resumed.as_ref().map_or(Milestone::START, |checkpoint| checkpoint.at);
    let title = format!("{}, seed {}", job.task.name, job.seed.0);
    let progress = Progress::new(context.talk, &title, unit.name(), steps, from);
    let mut recorder = Recorder::start(records, progress, unit, from)?;
    let outcome = match &job.task.setting {
        Setting::Federated(config) => federated::run(context, job, config, dataset, resumed.as_ref(), &mut recorder),
        Setting::Distributed(config) => Training { context, job, config, dataset, group }.run(resumed.as_ref(), Some(&mut recorder)),
    };
    match outcome {
        Ok(parameters_sha256) => recorder.finish(parameters_sha256),
        // An interrupted run has no end: it can be taken up again.
        Err(error) if error.is::<Stopped>() => Err(error),
        Err(error) => {
            recorder.fail(&format!("{error:#}"), rank::is_loss(&error));
            Err(error)
        }
    }
}

/// The checkpoint to go on from: the newest that is whole.
fn latest_checkpoint(folder: &RunFolder, unit: Unit) -> anyhow::Result<Option<Checkpoint>> {
    let latest = folder.checkpoints(unit).latest().or_exit(Exit::Records)?;
    for problem in &latest.skipped {
        output::talk(format_args!("warning: a checkpoint is skipped: {problem}"));
    }
    Ok(latest.checkpoint)
}

/// That a checkpoint's own position is where it lies (`at`, where that is known), of this job, and not beyond the job's end: in an epoch at most before its
/// last step, as `end` has it for the last one.
fn check_position(position: &Position, job: &Job, at: Option<Milestone>, end: Milestone) -> anyhow::Result<()> {
    let is = position.milestone();
    let fits = at.is_none_or(|at| at == is)
        && position.seed == job.seed
        && is <= Milestone::from(end.completed + 1)
        && (position.part.is_none() || (1..end.steps).contains(&is.steps));
    if fits {
        return Ok(());
    }
    let message = format!(
        "the checkpoint is of seed {}, after {}: not of this run, or not of this place",
        position.seed.0,
        is.text("round or epoch")
    );
    Err(failure(Exit::Records, message))
}

/// The result of `work` and the wall clock it took, in seconds.
fn seconds_of<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}
