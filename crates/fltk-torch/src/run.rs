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
use fltk_core::{experiment::Setting, milestone::Milestone, model_state::ModelState};
use fltk_data::{Dataset, Locations};
use fltk_records::{RunFolder, RunRecorder, checkpoint::Checkpoint, history::Unit};
use fltk_train::{TrainError, checkpoint::Position, parameters_sha256};
use torch_dist::ProcessGroup;

use self::{
    distributed::Training,
    job::Job,
    progress::Progress,
    recorder::{Prospect, Recorder},
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
/// If the run fails or is interrupted; its folder says so too.
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
    let resumed = latest_checkpoint(&records, unit)?;
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

/// A checkpoint to go on from.
struct Resumed {
    checkpoint: Checkpoint,
    /// What the journal says of the model's parameters and buffers in it.
    parameters_sha256: String,
}

impl Resumed {
    /// That what was loaded of it is what the journal says was saved: its manifest alone would fit another run's as well.
    fn check(&self, loaded: &ModelState) -> anyhow::Result<()> {
        let loaded = parameters_sha256(loaded);
        if loaded == self.parameters_sha256 {
            return Ok(());
        }
        let message = format!(
            "the parameters of the checkpoint after {} have SHA-256 {loaded}, and the journal says {}\nhint: put back the run's own checkpoint, or remove this one: the run goes on from the one before",
            self.checkpoint.at.text("round or epoch"),
            self.parameters_sha256
        );
        Err(failure(Exit::Records, message))
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

fn prospect(error: &anyhow::Error) -> Prospect {
    let is_same =
        |cause: &(dyn std::error::Error + 'static)| cause.is::<SettingsAtFault>() || cause.downcast_ref().is_some_and(is_of_settings);
    if rank::is_loss(error) {
        Prospect::Restart
    } else if error.chain().any(is_same) {
        Prospect::Same
    } else {
        Prospect::Unknown
    }
}

/// The checkpoint to go on from: the newest that is whole, of those that the journal knows. One that it doesn't was saved just before the process ended, or
/// came from elsewhere.
fn latest_checkpoint(records: &RunRecorder, unit: Unit) -> anyhow::Result<Option<Resumed>> {
    let known = records.history().checkpoints();
    let latest = records.folder().checkpoints(unit).latest(|at| known.contains_key(&at)).or_exit(Exit::Records)?;
    for problem in &latest.skipped {
        output::talk(format_args!("warning: a checkpoint is skipped: {problem}"));
    }
    Ok(latest.checkpoint.and_then(|checkpoint| {
        let parameters_sha256 = known.get(&checkpoint.at)?.clone();
        Some(Resumed { checkpoint, parameters_sha256 })
    }))
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
