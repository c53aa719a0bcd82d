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
mod resumed;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use fltk::{
    exit::{Exit, OrExit as _},
    termination::Termination,
};
use fltk_core::{experiment::Setting, milestone::Milestone};
use fltk_data::{Dataset, Locations};
use fltk_records::{RunFolder, RunRecorder, history::Unit};
use fltk_train::TrainError;
use torch_dist::ProcessGroup;

use self::{
    distributed::Training,
    job::Job,
    progress::Progress,
    recorder::{Prospect, Recorder},
    resumed::Resumed,
};
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
    /// What becomes of others when one fails, and of what failed before.
    pub failures: Failures,
    /// Whether a TorchScript module may lie within a folder of records.
    pub trust_module: bool,
    /// Notes what there will be to report of this process.
    pub termination: &'a Termination,
}

/// What becomes of the other runs of a group when one fails, and of what failed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The first failure ends the group.
    pub fail_fast: bool,
    /// What has failed for good is tried again.
    pub retry: bool,
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
/// If the run fails or is interrupted; its folder says so too. If it can't go on as what it began as, its folder is as it was.
fn execute(
    context: &Context<'_>,
    job: &Job,
    dataset: &Arc<Dataset>,
    folder: RunFolder,
    group: Option<&ProcessGroup>,
) -> anyhow::Result<RunFolder> {
    provenance::check(folder.description(), dataset)?;
    provenance::check_settings(&folder, job)?;
    provenance::check_network(context, Some(&folder), job)?;
    let (unit, steps) = match &job.task.setting {
        Setting::Federated(config) => (Unit::Round, config.rounds),
        Setting::Distributed(config) => (Unit::Epoch, config.epochs),
    };
    let (records, _torn) = RunRecorder::open(folder, &fltk::host::who()).or_exit(Exit::Records)?;
    let resumed = Resumed::latest(&records, unit)?;
    resumed.as_ref().map_or(Ok(()), |resumed| resumed.check(context, job, dataset))?;
    let from = resumed.as_ref().map_or(Milestone::START, |resumed| resumed.checkpoint.at);
    let title = job.title();
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
            recorder.fail(&format!("{error:#}"), prospect(&error));
            Err(error)
        }
    }
}

/// A failure that its settings are to blame for, where the error itself can't say so.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct SettingsAtFault(anyhow::Error);

/// Whether the settings are to blame for `error`.
fn is_of_settings(error: &TrainError) -> bool {
    use TrainError::{Batch, Classes, Diverged, InputKind};
    matches!(error, Diverged { .. } | Classes { .. } | InputKind { .. } | Batch(_))
}

/// What is to be expected of the run that failed with `error`.
fn prospect(error: &anyhow::Error) -> Prospect {
    let blames_settings =
        |cause: &(dyn std::error::Error + 'static)| cause.is::<SettingsAtFault>() || cause.downcast_ref().is_some_and(is_of_settings);
    if rank::is_loss(error) {
        Prospect::Restart
    } else if error.chain().any(blames_settings) {
        Prospect::SameFailure
    } else {
        Prospect::Unknown
    }
}

/// The result of `work` and the wall clock it took, in seconds.
fn seconds_of<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}
