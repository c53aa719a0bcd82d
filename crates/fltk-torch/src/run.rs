//! Execution of jobs on this machine: each job has a folder, and an interrupted job resumes from its last checkpoint.

mod agreement;
mod client_states;
mod distributed;
mod evaluations;
mod federated;
mod federated_rank;
mod group;
mod host;
mod job;
mod launch;
mod master;
mod node;
mod place;
mod progress;
mod provenance;
mod rank;
mod recorder;
mod result;
mod resumed;
mod settings;

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
use fltk_network::metrics::Metrics;
use fltk_records::{RunFolder, RunRecorder, history::Unit};
use fltk_train::{Device, TrainError};
use torch_dist::Groups;
use tracing::Span;

use self::{
    distributed::Training,
    job::Job,
    progress::Progress,
    recorder::{Prospect, Recorder},
    resumed::Resumed,
};
pub use self::{
    federated::{Listen, Security, check_data_is_here},
    group::{resume, start},
    launch::inherited_listener,
    node::{NodeOptions, OwnData, explained, node},
    place::{Network, Place},
    rank::{Source, client},
    result::RunResult,
};

/// The state that all jobs of an invocation share.
#[derive(Clone)]
pub struct Context<'a> {
    /// The folder to which paths in the experiment are relative.
    pub base: &'a Path,
    /// The locations of data sets.
    pub locations: &'a Locations,
    /// The number of clients trained, or test batches evaluated, in parallel.
    pub workers: NonZeroUsize,
    /// The device that computes.
    pub device: Device,
    /// True once the process is asked to stop.
    pub stop: Arc<AtomicBool>,
    /// The handling of failures, new and earlier ones.
    pub failures: Failures,
    /// True if a TorchScript module may be within a folder of records.
    pub trust_module: bool,
    /// The place at which nodes call; `None` if federated jobs have nodes of their own or none.
    pub listen: Option<Listen>,
    /// The metrics of federated jobs over nodes.
    pub metrics: Arc<Metrics>,
    /// The collector of the termination report of this process.
    pub termination: &'a Termination,
}

impl Context<'_> {
    /// Returns the command that goes on with the run in `path`.
    #[must_use]
    pub fn resume(&self, path: &Path) -> String {
        let command = self.listen.as_ref().map_or("run", |listen| &listen.command);
        format!("fltk {command} --resume {}", path.display())
    }
}

/// The effect of a failure on the other runs of a group, and the handling of earlier failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// True if the first failure ends the group.
    pub fail_fast: bool,
    /// True if runs that have failed for good are tried again.
    pub retry: bool,
}

/// The error when the process was asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Stopped;

/// The data sets of an invocation, so that jobs with the same data set read it once.
type Datasets = BTreeMap<String, Arc<Dataset>>;

/// Runs `job` in `folder`, new or interrupted, to its end; a distributed job runs as rank 0 of `groups`, or alone.
///
/// # Errors
/// If the run fails or is interrupted; its folder records that too. If the run can't resume with the settings that it began with, its folder is unchanged.
fn execute(
    context: &Context<'_>,
    job: &Job,
    dataset: &Arc<Dataset>,
    folder: RunFolder,
    groups: Option<&Groups>,
) -> anyhow::Result<RunFolder> {
    let _span = span(&folder, job).entered();
    provenance::check(folder.description(), dataset)?;
    provenance::check_settings(&folder, job)?;
    provenance::check_network(context, Some(&folder), job)?;
    provenance::check_files(&folder, job, context.base)?;
    let (unit, steps, parts) = match &job.task.setting {
        Setting::Federated(config) => (Unit::Round, config.rounds, u64::from(config.clients_per_round)),
        Setting::Distributed(config) => {
            let batches = distributed::sharding(&job.task, config).num_steps(dataset.train.len());
            (Unit::Epoch, config.epochs, batches as u64)
        }
    };
    let (records, _torn) = RunRecorder::open(folder, &fltk::host::who()).or_exit(Exit::Records)?;
    let resumed = Resumed::latest(&records, unit)?;
    resumed.as_ref().map_or(Ok(()), |resumed| resumed.check(context, job, dataset))?;
    let from = resumed.as_ref().map_or(Milestone::START, |resumed| resumed.checkpoint.at);
    let title = job.title();
    let progress = Progress::new(&title, unit, steps, parts, from);
    let mut recorder = Recorder::start(records, progress, unit, from)?;
    let outcome = match &job.task.setting {
        Setting::Federated(config) => federated::run(context, job, config, dataset, resumed.as_ref(), &mut recorder),
        Setting::Distributed(config) => Training { context, job, config, dataset, groups }.run(resumed.as_ref(), Some(&mut recorder)),
    };
    match outcome {
        Ok(parameters_sha256) => recorder.finish(parameters_sha256),
        // An interrupted run has no end, so it can be resumed.
        Err(error) if error.is::<Stopped>() => Err(error),
        Err(error) => {
            recorder.fail(&format!("{error:#}"), prospect(&error));
            Err(error)
        }
    }
}

/// The span of the run of `job` in `folder`.
fn span(folder: &RunFolder, job: &Job) -> Span {
    // At this level it is there whichever messages are written.
    tracing::error_span!("run", run = folder.name(), task = job.name.as_str(), seed = job.seed.0)
}

/// A failure caused by the settings, for errors that can't say so themselves.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct SettingsAtFault(anyhow::Error);

/// True if the settings are the cause of `error`.
fn is_of_settings(error: &TrainError) -> bool {
    use TrainError::{Batch, Classes, Diverged, InputKind};
    matches!(error, Diverged { .. } | Classes { .. } | InputKind { .. } | Batch(_))
}

/// The prospect of the run that failed with `error`.
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

/// The result of `work` and its wall-clock time in seconds.
fn seconds_of<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}
