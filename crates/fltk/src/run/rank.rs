//! One rank of a distributed job: this process, by what its launcher says in the environment. Rank 0 records.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use fltk_core::experiment::{DistributedConfig, Experiment, Setting};
use fltk_records::history::Status;
use torch_dist::ProcessGroup;

use super::{
    Context, RunResult, Stopped, distributed, execute,
    group::{Group, check_fits},
    job::{Job, jobs},
    place::Place,
};
use crate::exit::{Exit, OrExit as _, code, failure};

/// How long rank 0, which serves the store, waits for the others to have left.
const LINGER: Duration = Duration::from_secs(5);

/// Where a rank's job comes from.
pub enum Source {
    /// The folder of a run that was begun, or made by `fltk run` for its ranks.
    Folder(PathBuf),
    /// A task of an experiment with its first seed, recorded below a folder.
    Task {
        /// The experiment.
        experiment: Box<Experiment>,
        /// The task's name or its position from 0; the only one when `None`.
        task: Option<String>,
        /// Where the run's folder goes.
        runs: PathBuf,
        /// Names the job: ranks that are started again with it go on with the run that they began.
        id: Option<String>,
    },
}

/// Trains as one rank. Rank 0 returns the run's result.
///
/// # Errors
/// If the job can't be run, another rank is lost, or the process was asked to stop.
pub fn client(context: &Context<'_>, source: Source, place: &Place, socket_ifname: Option<&str>) -> anyhow::Result<Option<RunResult>> {
    let (group, job, mut folder) = match source {
        Source::Folder(path) => {
            let (group, folder) = Group::of_run(context, &path, Path::new("."))?;
            let index = folder.description().job_index as usize;
            let job =
                jobs(&group.experiment).into_iter().nth(index).context("the run's job isn't in its experiment").or_exit(Exit::Records)?;
            (group, job, Some(folder))
        }
        Source::Task { experiment, task, runs, id } => {
            let group = Group::new(context, only(*experiment, task.as_deref())?, runs, id.as_deref())?;
            let job = jobs(&group.experiment).into_iter().next().context("an experiment without jobs")?;
            (group, job, None)
        }
    };
    let Setting::Distributed(config) = &job.task.setting else {
        let message = format!("task `{}` is federated, and has no ranks\nhint: `fltk run` trains it on this machine", job.task.name);
        return Err(failure(Exit::Experiment, message));
    };
    check_size(place, &job, config)?;
    let dataset = group.dataset(&mut super::Datasets::new(), &job.task.dataset)?;
    check_fits(&job, &dataset)?;
    let timeout = Duration::from_millis(config.timeout.as_millis());
    let joined = place.join(timeout, socket_ifname, &context.stop).map_err(|error| or_stopped(error, context))?;
    let outcome = if place.rank == 0 {
        if folder.is_none() {
            folder = Some(group.begun(&job)?.map_or_else(|| group.new_folder(&job, 1, &dataset), Ok)?);
        }
        let folder = folder.take().context("rank 0 has no folder")?;
        let path = folder.path().to_path_buf();
        if folder.clone().read().or_exit(Exit::Records)?.status == Status::Finished {
            Err(failure(Exit::Records, format!("`{}` has finished already", path.display())))
        } else {
            execute(context, &job, &dataset, folder, joined.as_ref())
                .map_err(|error| group.explain(name_lost_ranks(error), &path))
                .map(Some)
        }
    } else {
        follow(context, &job, config, &dataset, joined.as_ref()).map(|()| None)
    };
    let folder = outcome.map_err(name_lost_ranks)?;
    // What was to be done is done, and recorded: a rank that is lost now is lost to nobody.
    if let Some(Err(error)) = joined.map(|joined| joined.leave(LINGER)) {
        anstream::eprintln!("warning: {error}");
    }
    folder.map(RunResult::read).transpose()
}

/// A rank above 0: trains, and records nothing.
fn follow(
    context: &Context<'_>,
    job: &Job,
    config: &DistributedConfig,
    dataset: &Arc<fltk_data::Dataset>,
    group: Option<&ProcessGroup>,
) -> anyhow::Result<()> {
    match distributed::run(context, job, config, dataset, group, None, None) {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = name_lost_ranks(or_stopped(error, context));
            Err(if code(&error) == Exit::General { failure(Exit::Run, format!("{error:#}")) } else { error })
        }
    }
}

/// Once a rank is asked to stop, whatever it ends with is that: others that stopped before it are lost to it.
fn or_stopped(error: anyhow::Error, context: &Context<'_>) -> anyhow::Error {
    let stopped = error.is::<Stopped>() || context.stop.load(Ordering::Relaxed);
    if stopped { failure(Exit::Interrupted, "interrupted") } else { error }
}

/// The experiment with nothing but the task of that name or position, and the first seed: a rank trains one job, and so does who resumes it.
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
    // It may name the other tasks.
    experiment.stream = None;
    Ok(experiment)
}

fn check_size(place: &Place, job: &Job, config: &DistributedConfig) -> anyhow::Result<()> {
    if place.size == config.data_parallelism {
        return Ok(());
    }
    let message = format!(
        "task `{}` has {} ranks (`data_parallelism`), and the environment says {}\nhint: start as many as it has, or let the task have {}",
        job.task.name, config.data_parallelism, place.size, place.size
    );
    Err(failure(Exit::Experiment, message))
}

/// Gives errors of communication an exit code of their own, so that a launcher can tell who failed from who lost them.
fn name_lost_ranks(error: anyhow::Error) -> anyhow::Error {
    let lost = error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(fltk_train::TrainError::Ranks(_))) || cause.downcast_ref::<torch_dist::Error>().is_some()
    });
    if lost { failure(Exit::Ranks, format!("{error:#}")) } else { error }
}
