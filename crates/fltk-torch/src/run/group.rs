//! All jobs of one invocation: a group. Its runs name the group in `run.json`, so that resuming one of them can go on with the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fltk::{
    exit::{Exit, OrExit as _, failure},
    inputs::make_paths_absolute,
    output,
    split::split,
};
use fltk_core::experiment::{self, DatasetConfig, Experiment, Setting};
use fltk_data::Dataset;
use fltk_records::{Hyperparameters, RunDescription, RunFolder, history::Status, named};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    Context, Datasets, RunResult, Stopped, Talk, distributed, execute,
    host::host,
    job::{Job, job_hex, jobs},
    launch,
    provenance::provenance,
};

/// Runs every job of `experiment`, each in a new folder below `runs`, and calls `done` with each result. With a `name` that was used before for the same
/// experiment, it goes on where that left off.
///
/// # Errors
/// The first job that fails ends the group; those before it stay as they are.
pub fn start(
    context: &Context<'_>,
    experiment: Experiment,
    runs: &Path,
    name: Option<&str>,
    done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut group = Group::new(context, experiment, runs.to_path_buf(), name)?;
    let begun = group.all_begun_before()?;
    wait_for_others(context, &begun);
    group.run(begun, done)
}

/// Waits until nobody writes the runs in `begun`: whoever did may just have been killed, and be about to end.
fn wait_for_others(context: &Context<'_>, begun: &BTreeMap<usize, RunFolder>) {
    /// Longer than a killed process takes to give back what it had.
    const LIMIT: Duration = Duration::from_secs(10);
    const POLL: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + LIMIT;
    let is_written = || begun.values().any(|folder| folder.clone().read().is_ok_and(|run| run.status == Status::Running));
    while is_written() && Instant::now() < deadline && !context.stop.load(Ordering::Relaxed) {
        thread::sleep(POLL);
    }
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
    let (group, _) = Group::of_run(context, named, runs)?;
    let begun = group.all_begun()?;
    group.run(begun, done)
}

/// The jobs of an experiment that belong together.
pub struct Group<'a> {
    /// What all of them share.
    pub context: &'a Context<'a>,
    /// Where its runs' folders are.
    runs: PathBuf,
    /// Lower-case hex.
    id: String,
    /// What it was begun as, where it was given a name.
    name: Option<String>,
    /// Paths in it are absolute.
    pub experiment: Experiment,
}

impl<'a> Group<'a> {
    /// A new group. One that was begun before as `name` it becomes when that is looked for: [`begun`](Self::begun).
    ///
    /// # Errors
    /// If a path isn't UTF-8.
    pub fn new(context: &'a Context<'a>, mut experiment: Experiment, runs: PathBuf, name: Option<&str>) -> anyhow::Result<Self> {
        make_paths_absolute(&mut experiment, context.base)?;
        let id = match name {
            Some(name) => named::new_id(name, &experiment),
            None => {
                let yaml = experiment::to_yaml(&experiment);
                let unique = format!("{}/{}/{yaml}", Timestamp::now().as_nanosecond(), std::process::id());
                hex::encode(&Sha256::digest(unique)[..8])
            }
        };
        Ok(Self { context, runs, id, name: name.map(str::to_owned), experiment })
    }

    /// The group of the run `named`, and the run's folder.
    ///
    /// # Errors
    /// If the folder is missing or damaged.
    pub fn of_run(context: &'a Context<'a>, named: &Path, runs: &Path) -> anyhow::Result<(Self, RunFolder)> {
        // Where it really lies: it may have been named as `.` or through a link, and the rest of its group lies beside it.
        let found = RunFolder::find(runs, named).or_exit(Exit::Records)?;
        let path = found.path().canonicalize().with_context(|| format!("can't find `{}`", named.display())).or_exit(Exit::Records)?;
        let folder = RunFolder::open(path).or_exit(Exit::Records)?;
        let experiment = folder.experiment().or_exit(Exit::Records)?;
        let (id, name) = (folder.description().group.clone(), folder.description().group_name.clone());
        let runs = folder.path().parent().unwrap_or(Path::new("/")).to_path_buf();
        Ok((Self { context, runs, id, name, experiment }, folder))
    }

    /// The folders that the group's jobs have, by job.
    fn all_begun(&self) -> anyhow::Result<BTreeMap<usize, RunFolder>> {
        let mut begun = BTreeMap::new();
        for path in RunFolder::list(&self.runs).or_exit(Exit::Records)? {
            // Damaged folders of other groups are none of our business.
            if let Ok(other) = RunFolder::open(path)
                && other.description().group == self.id
            {
                begun.insert(other.description().job_index as usize, other);
            }
        }
        Ok(begun)
    }

    /// The folders that its jobs have if it was begun before under its name; then it's that group from now on, by whatever version that was begun.
    fn all_begun_before(&mut self) -> anyhow::Result<BTreeMap<usize, RunFolder>> {
        let Some(name) = &self.name else { return Ok(BTreeMap::new()) };
        let runs = named::runs(&self.runs, name, &self.experiment).or_exit(Exit::Records)?;
        if let Some(run) = runs.first() {
            self.id.clone_from(&run.description().group);
            self.take_over(run)?;
        }
        Ok(runs.into_iter().map(|run| (run.description().job_index as usize, run)).collect())
    }

    /// What our experiment leaves open is what it was when `run` of its group was begun.
    fn take_over(&mut self, run: &RunFolder) -> anyhow::Result<()> {
        let begun = run.experiment().or_exit(Exit::Records)?;
        if begun != self.experiment.clone().begun_now() && self.context.talk != Talk::Quiet {
            output::talk(format_args!(
                "note: `{}` was begun when partitions had no `version`: it goes on with version 1\nhint: another `--id` begins anew, with the newest",
                run.name()
            ));
        }
        self.experiment = begun;
        Ok(())
    }

    /// The folder of `job`, if it was begun before under the group's name; then it's that group from now on.
    ///
    /// # Errors
    /// If the folder of runs can't be listed, or nobody knows whether what was begun under that name is the same.
    pub fn begun(&mut self, job: &Job) -> anyhow::Result<Option<RunFolder>> {
        Ok(self.all_begun_before()?.remove(&job.index))
    }

    /// Runs the jobs in order; `begun` has the folders of those that have one.
    fn run(&self, mut begun: BTreeMap<usize, RunFolder>, done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let jobs = jobs(&self.experiment);
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
                Some(folder) if finished.contains(&job.index) => {
                    self.context.termination.has_folder(&folder);
                    folder
                }
                begun => {
                    let dataset = self.dataset(&mut datasets, &job.task.dataset)?;
                    let folder = begun.map_or_else(|| self.new_folder(job, jobs.len(), &dataset), Ok)?;
                    let path = folder.path().to_path_buf();
                    self.context.termination.has_folder(&folder);
                    self.execute(job, &dataset, folder).map_err(|error| self.explain(error, &path))?
                }
            };
            done(RunResult::read(folder)?)?;
        }
        Ok(())
    }

    /// In this process, or in one for each rank.
    fn execute(&self, job: &Job, dataset: &Arc<Dataset>, folder: RunFolder) -> anyhow::Result<RunFolder> {
        match &job.task.setting {
            Setting::Distributed(config) if config.data_parallelism > 1 => {
                launch::run(self.context, config, folder.path())?;
                Ok(folder)
            }
            Setting::Distributed(_) | Setting::Federated(_) => execute(self.context, job, dataset, folder, None),
        }
    }

    /// What a person should know of an error of the run in `path`.
    pub fn explain(&self, error: anyhow::Error, path: &Path) -> anyhow::Error {
        let hint = format!("hint: `fltk run --resume {}` goes on from its last checkpoint", path.display());
        if error.is::<Stopped>() {
            return failure(Exit::Interrupted, format!("interrupted\n{hint}"));
        }
        if fltk::exit::code(&error) == Exit::Ranks {
            return failure(Exit::Ranks, format!("{error:#}\n{hint}"));
        }
        if fltk::exit::code(&error) == Exit::General {
            failure(Exit::Run, format!("the run failed: {error:#}\nrun: {}", path.display()))
        } else {
            error
        }
    }

    /// The data set of `config`, read once.
    ///
    /// # Errors
    /// If it's missing or damaged.
    pub fn dataset(&self, datasets: &mut Datasets, config: &DatasetConfig) -> anyhow::Result<Arc<Dataset>> {
        let key = format!("{:?} {:?}", config.name, config.path);
        if let Some(dataset) = datasets.get(&key) {
            return Ok(Arc::clone(dataset));
        }
        let dataset = Arc::new(fltk_data::load(config, self.context.base, self.context.locations).or_exit(Exit::Data)?);
        datasets.insert(key, Arc::clone(&dataset));
        Ok(dataset)
    }

    /// A folder for the run of `job`, of `num_jobs` in the group.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn new_folder(&self, job: &Job, num_jobs: usize, dataset: &Dataset) -> anyhow::Result<RunFolder> {
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
            group_name: self.name.clone(),
            job_index: index(job.index)?,
            num_jobs: index(num_jobs)?,
            provenance: provenance(dataset),
            hyperparameters: Hyperparameters::of(&job.task),
            host: host(),
            started_at: now,
        };
        let yaml = experiment::to_yaml(&self.experiment);
        RunFolder::create(&self.runs, &self.experiment.name, now, &job_hex(&self.id, job), &yaml, &description).or_exit(Exit::Records)
    }
}

/// Refuses what `job` can't do with its data.
///
/// # Errors
/// If its clients or ranks would go without.
pub fn check_fits(job: &Job, dataset: &Dataset) -> anyhow::Result<()> {
    match &job.task.setting {
        Setting::Federated(config) => split(dataset, config, job.seed).map(drop),
        Setting::Distributed(config) => {
            let samples = dataset.train.len();
            let sharding = distributed::sharding(&job.task, config);
            let last = sharding.step_sizes(samples).pop();
            let message = match &last {
                None => format!(
                    "task `{}` has no step: its {samples} training samples are fewer than a batch of {} over all ranks, and `drop_last` leaves them out\nhint: use a smaller `batch_size`, or `drop_last: false`",
                    job.task.name,
                    sharding.batch_sizes.iter().sum::<usize>()
                ),
                Some(sizes) if config.sync_batch_norm && sizes.contains(&0) => format!(
                    "task `{}`: the last step has {} samples for {} ranks, and synchronized batch norms need one on each\nhint: use `pad_last: true` or `drop_last: true`",
                    job.task.name,
                    sizes.iter().sum::<usize>(),
                    sizes.len()
                ),
                Some(_) => return Ok(()),
            };
            Err(failure(Exit::Experiment, message))
        }
    }
}
