//! All jobs of one invocation: a group. Its runs name the group in `run.json`, so that resuming one of them can go on with the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use fltk_core::experiment::{self, DatasetConfig, Experiment, NetworkConfig, Setting, SourceFile};
use fltk_data::Dataset;
use fltk_records::{Hyperparameters, RunDescription, RunFolder, history::Status};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    Context, Datasets, RunResult, Stopped, check_supported, execute,
    host::host,
    job::{Job, job_hex, jobs},
    provenance::provenance,
};
use crate::{
    exit::{Exit, OrExit as _, failure},
    split::split,
};

/// Runs every job of `experiment`, each in a new folder below `runs`, and calls `done` with each result.
///
/// # Errors
/// The first job that fails ends the group; those before it stay as they are.
pub fn start(
    context: &Context<'_>,
    mut experiment: Experiment,
    runs: &Path,
    done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    make_paths_absolute(&mut experiment, context.base)?;
    let now = Timestamp::now();
    let id = Sha256::digest(format!("{}/{}/{}", now.as_nanosecond(), std::process::id(), experiment::to_yaml(&experiment)));
    let group = Group { context, runs, id: hex::encode(&id[..8]), experiment };
    group.run(BTreeMap::new(), done)
}

/// Goes on with the run `named`, and with the other jobs of its group that haven't finished.
///
/// # Errors
/// As [`start`]; also if the folder is damaged or in use.
pub fn resume(
    context: &Context<'_>,
    named: &Path,
    runs: &Path,
    done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Where it really lies: it may have been named as `.` or through a link, and the rest of its group lies beside it.
    let found = RunFolder::find(runs, named).or_exit(Exit::Records)?;
    let path = found.path().canonicalize().with_context(|| format!("can't find `{}`", named.display())).or_exit(Exit::Records)?;
    let folder = RunFolder::open(path).or_exit(Exit::Records)?;
    let text = folder.experiment_yaml().or_exit(Exit::Records)?;
    let source = SourceFile { name: folder.path().join("experiment.yaml").display().to_string(), text };
    let parsed = experiment::parse(&[source], &[]).map_err(|report| failure(Exit::Records, report.render(false)))?;
    let id = folder.description().group.clone();
    let root = folder.path().parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut begun = BTreeMap::new();
    for path in RunFolder::list(&root).or_exit(Exit::Records)? {
        // Damaged folders of other groups are none of our business.
        if let Ok(other) = RunFolder::open(path)
            && other.description().group == id
        {
            begun.insert(other.description().job_index as usize, other);
        }
    }
    Group { context, runs: &root, id, experiment: parsed.experiment }.run(begun, done)
}

struct Group<'a> {
    context: &'a Context<'a>,
    runs: &'a Path,
    /// Lower-case hex.
    id: String,
    experiment: Experiment,
}

impl Group<'_> {
    /// Runs the jobs in order; `begun` has the folders of those that have one.
    fn run(&self, mut begun: BTreeMap<usize, RunFolder>, done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let jobs = jobs(&self.experiment);
        jobs.iter().try_for_each(check_supported)?;
        let mut finished = BTreeSet::new();
        for (&index, folder) in &begun {
            if folder.clone().read().or_exit(Exit::Records)?.status == Status::Finished {
                finished.insert(index);
            }
        }
        // Before the first folder is made: what is impossible for a later job is refused now, not after hours.
        let mut datasets = Datasets::new();
        for job in jobs.iter().filter(|job| !finished.contains(&job.index)) {
            check_fits(job, &*self.dataset(&mut datasets, &job.task.dataset)?)?;
        }
        for job in &jobs {
            let folder = match begun.remove(&job.index) {
                Some(folder) if finished.contains(&job.index) => folder,
                begun => {
                    let dataset = self.dataset(&mut datasets, &job.task.dataset)?;
                    let folder = begun.map_or_else(|| self.new_folder(job, jobs.len(), &dataset), Ok)?;
                    let path = folder.path().to_path_buf();
                    execute(self.context, job, &dataset, folder).map_err(|error| self.explain(error, &path))?
                }
            };
            done(RunResult::read(folder)?)?;
        }
        Ok(())
    }

    fn explain(&self, error: anyhow::Error, path: &Path) -> anyhow::Error {
        let hint = format!("hint: `fltk run --resume {}` goes on from its last checkpoint", path.display());
        if error.is::<Stopped>() {
            return failure(Exit::Interrupted, format!("interrupted\n{hint}"));
        }
        if crate::exit::code(&error) == Exit::General {
            failure(Exit::Run, format!("the run failed: {error:#}\nrun: {}", path.display()))
        } else {
            error
        }
    }

    fn dataset(&self, datasets: &mut Datasets, config: &DatasetConfig) -> anyhow::Result<Arc<Dataset>> {
        let key = format!("{:?} {:?}", config.name, config.path);
        if let Some(dataset) = datasets.get(&key) {
            return Ok(Arc::clone(dataset));
        }
        let dataset = Arc::new(fltk_data::load(config, self.context.base, self.context.locations).or_exit(Exit::Data)?);
        datasets.insert(key, Arc::clone(&dataset));
        Ok(dataset)
    }

    fn new_folder(&self, job: &Job, num_jobs: usize, dataset: &Dataset) -> anyhow::Result<RunFolder> {
        let index = |index: usize| u32::try_from(index).context("there are more jobs than an experiment may have");
        let now = Timestamp::now();
        let description = RunDescription {
            fltk_version: env!("CARGO_PKG_VERSION").to_owned(),
            experiment: self.experiment.name.clone(),
            task: job.task.name.clone(),
            task_index: index(job.task_index)?,
            seed: job.seed,
            replication: index(job.replication)?,
            group: self.id.clone(),
            job_index: index(job.index)?,
            num_jobs: index(num_jobs)?,
            provenance: provenance(dataset),
            hyperparameters: Hyperparameters::of(&job.task),
            host: host(),
            started_at: now,
        };
        let yaml = experiment::to_yaml(&self.experiment);
        RunFolder::create(self.runs, &self.experiment.name, now, &job_hex(&self.id, job), &yaml, &description).or_exit(Exit::Records)
    }
}

/// Refuses what `job` can't do with its data.
fn check_fits(job: &Job, dataset: &Dataset) -> anyhow::Result<()> {
    match &job.task.setting {
        Setting::Federated(config) => split(dataset, config, job.seed).map(drop),
        Setting::Distributed(_) => {
            let (samples, batch_size) = (dataset.train.len(), job.task.train.batch_size as usize);
            if !job.task.train.drop_last || samples >= batch_size {
                return Ok(());
            }
            let message = format!(
                "task `{}` has no step: its {samples} training samples are fewer than a batch of {batch_size}, and `drop_last` leaves them out\nhint: use a smaller `batch_size`, or `drop_last: false`",
                job.task.name
            );
            Err(failure(Exit::Experiment, message))
        }
    }
}

/// So that a run can be resumed from anywhere.
fn make_paths_absolute(experiment: &mut Experiment, base: &Path) -> anyhow::Result<()> {
    let absolute = |path: &str| -> anyhow::Result<String> {
        let path: PathBuf = std::path::absolute(base.join(path))?;
        path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("the path `{}` is not UTF-8", path.display()))
    };
    for task in &mut experiment.tasks {
        if let NetworkConfig::TorchScript { torchscript } = &mut task.network {
            *torchscript = absolute(torchscript)?;
        }
        if let Some(path) = &mut task.dataset.path {
            *path = absolute(path)?;
        }
    }
    Ok(())
}
