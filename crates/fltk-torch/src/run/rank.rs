//! One rank of a distributed job: this process, in the place that its launcher sets in the environment. Rank 0 records.
//!
//! A federated job is a single process with all of its clients, or a federator as rank 0 and nodes, and otherwise the same.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use fltk::{
    exit::{Exit, OrExit as _, code, failure},
    log,
};
use fltk_core::experiment::{self, Experiment, Setting, Task};
use fltk_data::Dataset;
use fltk_records::{RunFolder, history::Status};
use torch_dist::Groups;

use super::{
    Context, RunResult, Stopped, agreement,
    distributed::Training,
    execute,
    federated::{Listen, check_data_is_here},
    federated_rank,
    group::{Group, check_fits},
    job::{Job, jobs},
    place::{Network, Place},
    provenance, span,
};

/// The time that rank 0, which serves the store, waits for the others to leave.
const LINGER: Duration = Duration::from_secs(5);

/// The source of a rank's job.
pub enum Source {
    /// The folder of an existing run, which may have been created by `fltk run` for its ranks.
    Folder(PathBuf),
    /// A task of an experiment with its first seed, recorded below a folder.
    Task {
        /// The experiment with that task alone.
        experiment: Box<Experiment>,
        /// The folder in which the run's folder is created.
        runs: PathBuf,
        /// The name of the job: ranks that are restarted with the same name resume their run.
        id: Option<String>,
    },
}

impl Source {
    /// A task of `experiment`, by its name or position, with the first seed.
    ///
    /// # Errors
    /// If there is no such task, or there are several and none is named.
    pub fn task(experiment: Experiment, task: Option<&str>, runs: PathBuf, id: Option<String>) -> anyhow::Result<Self> {
        Ok(Self::Task { experiment: Box::new(only(experiment, task)?), runs, id })
    }

    /// The place at which nodes call, if this process is to be a federator.
    ///
    /// # Errors
    /// If it has no credentials, or the port is taken.
    pub fn listen(&self, place: &Place, credentials: Option<&Path>) -> anyhow::Result<Option<Listen>> {
        match self {
            Self::Task { experiment, .. }
                if place.size > 1 && place.rank == 0 && experiment.tasks.iter().filter_map(Task::training).any(is_federated) =>
            {
                for task in experiment.tasks.iter().filter_map(Task::training) {
                    if let Setting::Federated(config) = &task.setting {
                        // Ranks know of no client whose data they would have.
                        check_data_is_here(config, false)?;
                    }
                }
                federated_rank::listen(place, credentials).map(Some)
            }
            Self::Task { .. } | Self::Folder(_) => Ok(None),
        }
    }
}

fn is_federated(task: &experiment::Training) -> bool {
    matches!(task.setting, Setting::Federated(_))
}

/// Trains as one rank, or runs a federated task as a whole, or is one of its nodes, which has these `credentials`. Rank 0 returns the run's result; for a run that had finished earlier, its recorded result.
///
/// # Errors
/// If the job can't be run, another rank is lost, or the process was asked to stop.
pub fn client(
    context: &Context<'_>,
    source: Source,
    place: &Place,
    network: Network,
    credentials: Option<&Path>,
) -> anyhow::Result<Option<RunResult>> {
    let (mut group, job, begun) = open(context, source)?;
    check_size(place, &job)?;
    if is_federated(&job.task) && place.rank > 0 {
        let mut is_complete = || begun.launcher == Launcher::Named && finished(&mut group, &job).is_some();
        let took_part = federated_rank::take_part(context, &job.task, place, credentials, &mut is_complete);
        return took_part.map(|()| None).map_err(|error| named(or_stopped(error, context), place));
    }
    let dataset = group.dataset(&mut super::Datasets::new(), &job.task, None)?;
    check_fits(&job, &dataset, context.base)?;
    tracing::debug!("data set `{}`: {} samples to train on, {} to test", job.task.dataset.name(), dataset.train.len(), dataset.test.len());
    let finished = match begun.launcher {
        Launcher::Named => finished(&mut group, &job),
        Launcher::Run | Launcher::Person => None,
    };
    if finished.is_some() && place.rank > 0 {
        return Ok(None);
    }
    let joined = match &job.task.setting {
        Setting::Federated(_) => None,
        Setting::Distributed(config) => {
            let timeout = Duration::from_millis(config.timeout.as_millis());
            let timeout = if finished.is_some() { timeout.min(LINGER) } else { timeout };
            match (place.join(timeout, network, context.device, &context.stop).map_err(|error| or_stopped(error, context)), finished) {
                (Err(error), Some(folder)) if code(&error) == Exit::Ranks => {
                    context.termination.has_folder(&folder);
                    return RunResult::read(folder).map(Some);
                }
                (joined, _) => joined?,
            }
        }
    };
    if let Some(groups) = &joined {
        tracing::debug!("rank {} of {} has joined the others", groups.rank(), groups.size());
    }
    let trained = train(&mut group, &job, &dataset, joined.as_ref(), begun).map_err(|error| name_lost_ranks(or_stopped(error, context)));
    let folder = trained.map_err(|error| named(error, place))?;
    // The work is done and recorded: a rank that is lost now harms no other.
    if let Some(Err(error)) = joined.map(|joined| joined.leave(LINGER)) {
        tracing::warn!("{error}");
    }
    folder.map(RunResult::read).transpose()
}

/// The state in which a rank begins.
struct Begun {
    /// The run's folder, if it already exists; used only by rank 0.
    folder: Option<RunFolder>,
    /// The launcher, which decides what errors should advise.
    launcher: Launcher,
}

/// The launcher of this rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Launcher {
    /// `fltk run`, which gives its own advice.
    Run,
    /// A launcher that starts the rank again under the same name, such as a cluster.
    Named,
    /// A person.
    Person,
}

fn open<'a>(context: &'a Context<'a>, source: Source) -> anyhow::Result<(Group<'a>, Job, Begun)> {
    match source {
        Source::Folder(path) => {
            let (group, folder) = Group::of_run(context, &path, Path::new("."))?;
            let index = folder.description().job_index as usize;
            let job =
                jobs(&group.experiment)?.into_iter().nth(index).context("the run's job isn't in its experiment").or_exit(Exit::Records)?;
            provenance::check_settings(&folder, &job)?;
            Ok((group, job, Begun { folder: Some(folder), launcher: Launcher::Run }))
        }
        Source::Task { experiment, runs, id } => {
            let group = Group::new(context, *experiment, runs, id.as_deref())?;
            let job = jobs(&group.experiment)?.into_iter().next().context("an experiment without jobs")?;
            let launcher = if id.is_some() { Launcher::Named } else { Launcher::Person };
            Ok((group, job, Begun { folder: None, launcher }))
        }
    }
}

/// The folder of the job's run, if it was begun under its name and has finished. A rank that is restarted after the end may find no rank to join.
/// Rank 0 waits for the others only briefly, so that a rank that can't see the folder, and looks for rank 0, learns of the end.
fn finished(group: &mut Group<'_>, job: &Job) -> Option<RunFolder> {
    let folder = group.begun(job).ok()??;
    folder.clone().read().is_ok_and(|run| run.status == Status::Finished).then_some(folder)
}

/// Trains, once all ranks are known to have the same job. Rank 0 records, and returns the folder.
fn train(
    group: &mut Group<'_>,
    job: &Job,
    dataset: &Arc<Dataset>,
    joined: Option<&Groups>,
    begun: Begun,
) -> anyhow::Result<Option<RunFolder>> {
    let context = group.context;
    if let Some(joined) = joined {
        agreement::check(joined.control(), job, dataset, context.base)?;
    }
    let records = joined.is_none_or(|joined| joined.rank() == 0);
    let folder = match begun.folder {
        _ if !records => None,
        Some(folder) => Some(folder),
        None => group.begun(job)?,
    };
    // Settings that the experiment leaves open have the values with which the run was begun.
    let begun_before = match &folder {
        Some(_) => jobs(&group.experiment)?.into_iter().nth(job.index),
        None => None,
    };
    let job = begun_before.as_ref().unwrap_or(job);
    let is_finished = match &folder {
        Some(folder) => folder.clone().read().or_exit(Exit::Records)?.status == Status::Finished,
        None => false,
    };
    if joined.map_or(Ok(is_finished), |joined| agreement::tell(joined.control(), is_finished))? {
        return Ok(folder.inspect(|folder| context.termination.has_folder(folder)));
    }
    let folder = match (folder, &job.task.setting) {
        (_, Setting::Distributed(config)) if !records => {
            return Training { context, job, config, dataset, groups: joined }.run(None, None).map(|_| None);
        }
        (Some(folder), _) => folder,
        (None, _) => group.new_folder(job, 1, dataset)?,
    };
    context.termination.has_folder(&folder);
    log::stay_in(span(&folder, job));
    let path = folder.path().to_path_buf();
    let trained = execute(context, job, dataset, folder, joined).map(Some);
    trained.map_err(|error| match begun.launcher {
        Launcher::Run => error,
        Launcher::Named => Group::explain_briefly(name_lost_ranks(error), &path),
        Launcher::Person => group.explain(name_lost_ranks(error), &path),
    })
}

/// An error of training, prefixed with the rank on which it occurred.
fn named(error: anyhow::Error, place: &Place) -> anyhow::Error {
    let exit = match code(&error) {
        Exit::General => Exit::Run,
        exit => exit,
    };
    let text = format!("{error:#}");
    let is_named = place.size == 1 || text.starts_with("rank ") || exit == Exit::Interrupted;
    failure(exit, if is_named { text } else { format!("rank {}: {text}", place.rank) })
}

/// Once a rank is asked to stop, every error counts as the interruption: ranks that stopped earlier are lost to it.
fn or_stopped(error: anyhow::Error, context: &Context<'_>) -> anyhow::Error {
    let stopped = error.is::<Stopped>() || context.stop.load(Ordering::Relaxed);
    if stopped && code(&error) != Exit::Interrupted { failure(Exit::Interrupted, "interrupted") } else { error }
}

/// The experiment reduced to the task of that name or position, and to the first seed: a rank trains one job, and so does a person who resumes it.
fn only(mut experiment: Experiment, task: Option<&str>) -> anyhow::Result<Experiment> {
    let names = || experiment.tasks.iter().map(|task| format!("`{}`", task.name)).collect::<Vec<_>>().join(", ");
    let index = match task {
        None if experiment.tasks.len() == 1 => Some(0),
        None => return Err(failure(Exit::Experiment, format!("there are several tasks\nhint: name one of {}, or its position", names()))),
        Some(task) => experiment.tasks.iter().position(|known| known.name == task).or_else(|| task.parse().ok()),
    };
    let Some(index) = index.filter(|index| *index < experiment.tasks.len()) else {
        return Err(failure(Exit::Experiment, format!("there is no task `{}`\nhint: there are {}", task.unwrap_or_default(), names())));
    };
    experiment.tasks = vec![experiment.tasks.swap_remove(index)];
    experiment.seeds.truncate(1);
    // The stream may name the other tasks.
    experiment.stream = None;
    Ok(experiment)
}

/// Checks that there are as many processes as the job has. Any number of nodes will do.
fn check_size(place: &Place, job: &Job) -> anyhow::Result<()> {
    let (name, size) = (&job.name, place.size);
    let message = match &job.task.setting {
        Setting::Distributed(config) if size != config.data_parallelism => format!(
            "task `{name}` has {} ranks (`data_parallelism`), but the environment has {size}\nhint: start as many as it has, or set `data_parallelism: {size}`",
            config.data_parallelism
        ),
        Setting::Federated(_) | Setting::Distributed(_) => return Ok(()),
    };
    Err(failure(Exit::Experiment, message))
}

/// Gives communication errors their own exit code, so that a launcher can distinguish a failed rank from ranks that lost it.
fn name_lost_ranks(error: anyhow::Error) -> anyhow::Error {
    if is_loss(&error) { failure(Exit::Ranks, format!("{error:#}")) } else { error }
}

/// True if `error` is a communication error: another rank is lost.
pub fn is_loss(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(fltk_train::TrainError::Ranks(_))) || cause.downcast_ref::<torch_dist::Error>().is_some()
    })
}
