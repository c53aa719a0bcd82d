//! The group of all jobs of one invocation. Its runs name the group in `run.json`, so that resuming one of them can resume the others.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use fltk::{
    exit::{Exit, OrExit as _, failure},
    inputs::make_paths_absolute,
    output,
    run_group::{job_hex, one_each, wait_for_others},
    split::{given_cohorts, train_and_test},
    work::Work,
};
use fltk_core::experiment::{Experiment, FederatedConfig, Setting, Training};
use fltk_data::{DataError, Dataset, Division, Provenance, SAMPLES_MADE_MAX};
use fltk_fed::{round::SetupError, strategy};
use fltk_records::{Hyperparameters, RunDescription, RunFolder, history::End, named};
use fltk_train::nets::{InputShape, check_takes};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    Context, Datasets, RunResult, Stopped, distributed, execute,
    host::host,
    job::{Job, jobs},
    launch,
    provenance::{self, provenance},
};

/// Runs every job of `experiment`, each in a new folder below `runs`, and calls `done` with each result. If `name` was used before for the same
/// experiment, that group resumes.
///
/// # Errors
/// If a job fails; the others run all the same, unless the first failure ends the group.
pub fn start(
    context: &Context<'_>,
    experiment: Experiment,
    runs: &Path,
    name: Option<&str>,
    done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut group = Group::new(context, experiment, runs.to_path_buf(), name)?;
    let begun = one_each(group.all_begun_before()?, None)?;
    wait_for_others(&begun, &context.stop);
    group.run(begun, done)
}

/// Resumes the run `named`, and the other jobs of its group that haven't finished.
///
/// # Errors
/// The errors of [`start`]; also if the folder is damaged or in use.
pub fn resume(
    context: &Context<'_>,
    named: &Path,
    runs: &Path,
    done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (group, folder) = Group::of_run(context, named, runs)?;
    let begun = group.all_begun(folder)?;
    group.run(begun, done)
}

/// A run that failed, now or earlier.
struct FailedRun {
    title: String,
    path: PathBuf,
    /// The first line of the error.
    reason: String,
    error: anyhow::Error,
}

/// The result of a group in which `failures` of `num_jobs` runs failed.
fn verdict(context: &Context<'_>, mut failures: Vec<FailedRun>, num_jobs: usize) -> anyhow::Result<()> {
    const HINT: &str = "hint: `--retry-failed` with `--resume` or the same `--id` retries runs that have failed for good";
    let Some(first) = failures.first() else { return Ok(()) };
    // A run that lost ranks resumes when it is started again.
    let exit = if failures.iter().all(|failed| fltk::exit::code(&failed.error) == Exit::Ranks) { Exit::Ranks } else { Exit::Run };
    let resume = context.resume(&first.path);
    if num_jobs == 1 {
        let FailedRun { error, .. } = failures.remove(0);
        return Err(if exit == Exit::Ranks {
            error
        } else {
            failure(exit, format!("{error:#}\nhint: `{resume} --retry-failed` retries it"))
        });
    }
    let lines = failures.iter().map(|failed| format!("  {}: {}\n    run: {}\n", failed.title, failed.reason, failed.path.display()));
    let list: String = lines.collect();
    Err(failure(exit, format!("{} of {num_jobs} runs failed\n{list}{HINT}", failures.len())))
}

/// The jobs of an experiment that belong together.
pub struct Group<'a> {
    /// The state that all jobs share.
    pub context: &'a Context<'a>,
    /// The folder that contains the runs' folders.
    runs: PathBuf,
    /// The group's ID in lower-case hex.
    id: String,
    /// The name under which it was begun, if it has one.
    name: Option<String>,
    /// The experiment, with absolute paths.
    pub experiment: Experiment,
}

impl<'a> Group<'a> {
    /// Creates a new group. If it was begun earlier as `name`, it becomes that group once its folders are searched: [`begun`](Self::begun).
    ///
    /// # Errors
    /// If a path isn't UTF-8.
    pub fn new(context: &'a Context<'a>, mut experiment: Experiment, runs: PathBuf, name: Option<&str>) -> anyhow::Result<Self> {
        make_paths_absolute(&mut experiment, context.base)?;
        let id = match name {
            Some(name) => named::new_id(name, &experiment),
            None => {
                let yaml = fltk_experiment::to_yaml(&experiment);
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
        // The real path is used: the folder may have been named as `.` or through a link, and the rest of its group is in the same parent folder.
        let found = RunFolder::find(runs, named).or_exit(Exit::Records)?;
        let path = found.path().canonicalize().with_context(|| format!("can't find `{}`", named.display())).or_exit(Exit::Records)?;
        let folder = RunFolder::open(path).or_exit(Exit::Records)?;
        let experiment = folder.experiment(fltk::catalogues()).or_exit(Exit::Records)?;
        let (id, name) = (folder.description().group.clone(), folder.description().group_name.clone());
        let runs = folder.path().parent().unwrap_or(Path::new("/")).to_path_buf();
        Ok((Self { context, runs, id, name, experiment }, folder))
    }

    /// The existing folders of the group's jobs, by job: `named` for its own job, even if there are others.
    fn all_begun(&self, named: RunFolder) -> anyhow::Result<BTreeMap<usize, RunFolder>> {
        let paths = RunFolder::list(&self.runs).or_exit(Exit::Records)?;
        // Damaged folders of other groups don't matter here.
        let all = paths.into_iter().filter_map(|path| RunFolder::open(path).ok());
        one_each(all.filter(|run| run.description().group == self.id).collect(), Some(named))
    }

    /// The folders of its jobs if it was begun earlier under its name; the group then takes that group's ID and experiment, whatever version began it.
    fn all_begun_before(&mut self) -> anyhow::Result<Vec<RunFolder>> {
        let Some(name) = &self.name else { return Ok(Vec::new()) };
        let runs = named::runs(&self.runs, name, &self.experiment, fltk::catalogues()).or_exit(Exit::Records)?;
        if let Some(run) = runs.first() {
            self.id.clone_from(&run.description().group);
            self.take_over(run)?;
        }
        Ok(runs)
    }

    /// Takes over the settings of `run`, an earlier run of the group, that this experiment leaves open.
    fn take_over(&mut self, run: &RunFolder) -> anyhow::Result<()> {
        let begun = run.experiment(fltk::catalogues()).or_exit(Exit::Records)?;
        if begun != self.experiment.clone().with_newest_defaults() {
            tracing::info!(
                "note: `{}` was started when partitions had no `version`: it continues with version 1\nhint: another `--id` starts a new run, with the newest version",
                run.name()
            );
        }
        self.experiment = begun;
        Ok(())
    }

    /// The folder of `job`, if it was begun earlier under the group's name; the group then becomes that earlier group.
    ///
    /// # Errors
    /// If the folder of runs can't be listed, or it can't be determined whether the earlier experiment of that name is the same.
    pub fn begun(&mut self, job: &Job) -> anyhow::Result<Option<RunFolder>> {
        Ok(one_each(self.all_begun_before()?, None)?.remove(&job.index))
    }

    /// Runs the jobs in order; `begun` has the folders of the jobs that have one. A failed job is reported, and the others run.
    fn run(&self, mut begun: BTreeMap<usize, RunFolder>, done: &mut dyn FnMut(RunResult) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let jobs = jobs(&self.experiment)?;
        let mut ended = BTreeMap::new();
        for (&index, folder) in &begun {
            let end = folder.clone().read().or_exit(Exit::Records)?.history.end().cloned();
            ended.extend(end.filter(|end| self.is_passed_over(end)).map(|end| (index, end)));
        }
        // Runs that are over are checked too: the remaining jobs use the current experiment, which must match what the finished ones ran.
        let some_remain = jobs.iter().any(|job| !ended.contains_key(&job.index));
        for (folder, job) in jobs.iter().filter_map(|job| begun.get(&job.index).map(|folder| (folder, job))) {
            provenance::check_settings(folder, job)?;
            if some_remain {
                provenance::check_files(folder, job, self.context.base)?;
            }
        }
        // The checks precede the first folder: a later job that is impossible is refused now, not after hours.
        let mut datasets = Datasets::new();
        for job in jobs.iter().filter(|job| !ended.contains_key(&job.index)) {
            provenance::check_network(self.context, begun.get(&job.index), job)?;
            check_fits(job, &*self.dataset(&mut datasets, &job.task, begun.get(&job.index))?, self.context.base)?;
        }
        let mut failures = Vec::new();
        for job in &jobs {
            let folder = begun.remove(&job.index);
            let folder = match (ended.remove(&job.index), folder) {
                (Some(End::Finished { .. }), Some(folder)) => {
                    self.context.termination.has_folder(&folder);
                    folder
                }
                (Some(End::Failed { reason, .. }), Some(folder)) => {
                    let path = folder.path().to_owned();
                    let error = failure(Exit::Run, format!("it failed before: {reason}\nrun: {}", path.display()));
                    failures.push(FailedRun { title: job.title(), path, reason, error });
                    continue;
                }
                (_, folder) => {
                    let dataset = self.dataset(&mut datasets, &job.task, folder.as_ref())?;
                    let folder = folder.map_or_else(|| self.new_folder(job, jobs.len(), &dataset), Ok)?;
                    let path = folder.path().to_path_buf();
                    self.context.termination.has_folder(&folder);
                    match self.execute(job, &dataset, folder) {
                        Ok(folder) => folder,
                        Err(error) => {
                            let reason = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                            let error = self.explain(error, &path);
                            // The other jobs would meet the same interruption, full disk or missing file.
                            let goes_on = matches!(fltk::exit::code(&error), Exit::Run | Exit::Ranks) && !self.context.failures.fail_fast;
                            if !goes_on {
                                return Err(error);
                            }
                            if jobs.len() > 1 {
                                output::error(&error);
                            }
                            failures.push(FailedRun { title: job.title(), path, reason, error });
                            continue;
                        }
                    }
                }
            };
            done(RunResult::read(folder)?)?;
        }
        verdict(self.context, failures, jobs.len())
    }

    /// True if a run with this end isn't run again.
    fn is_passed_over(&self, end: &End) -> bool {
        match end {
            End::Finished { .. } => true,
            End::Failed { for_good, .. } => *for_good && !self.context.failures.retry,
        }
    }

    /// Runs the job in this process, or in one process per rank.
    fn execute(&self, job: &Job, dataset: &Arc<Dataset>, folder: RunFolder) -> anyhow::Result<RunFolder> {
        match &job.task.setting {
            Setting::Distributed(config) if config.data_parallelism > 1 => {
                launch::run(self.context, config, folder.path())?;
                Ok(folder)
            }
            Setting::Distributed(_) | Setting::Federated(_) => execute(self.context, job, dataset, folder, None),
        }
    }

    /// An error of the run in `path`, with a hint on how to resume it.
    pub fn explain(&self, error: anyhow::Error, path: &Path) -> anyhow::Error {
        let hint = format!("\nhint: `{}` resumes from its last checkpoint", self.context.resume(path));
        Self::explained(error, path, &hint)
    }

    /// The same without the hint, for a launcher that starts the run again by its name and may not be able to read `path`, such as a cluster.
    pub fn explain_briefly(error: anyhow::Error, path: &Path) -> anyhow::Error {
        Self::explained(error, path, "")
    }

    fn explained(error: anyhow::Error, path: &Path, hint: &str) -> anyhow::Error {
        if error.is::<Stopped>() {
            return failure(Exit::Interrupted, format!("interrupted{hint}"));
        }
        if fltk::exit::code(&error) == Exit::Ranks {
            return failure(Exit::Ranks, format!("{error:#}{hint}"));
        }
        if fltk::exit::code(&error) == Exit::General {
            failure(Exit::Run, format!("the run failed: {error:#}\nrun: {}", path.display()))
        } else {
            error
        }
    }

    /// The data set of `task`, which is read only once. If its clients have data of their own and it isn't on this machine, it is one without samples; so it stays for a run that `begun` without.
    ///
    /// # Errors
    /// If the data set is missing or damaged.
    pub fn dataset(&self, datasets: &mut Datasets, task: &Training, begun: Option<&RunFolder>) -> anyhow::Result<Arc<Dataset>> {
        let config = &task.dataset;
        let has_own_data = matches!(&task.setting, Setting::Federated(federated) if federated.has_own_data());
        let begun_without = has_own_data
            && begun.and_then(|begun| begun.description().provenance.get("source")).is_some_and(|source| source == Provenance::OF_CLIENTS);
        let key = format!("{begun_without} {has_own_data} {config:?}");
        if let Some(dataset) = datasets.get(&key) {
            return Ok(Arc::clone(dataset));
        }
        let is_free = has_own_data && (begun.is_none() || begun_without);
        let of_clients = || if is_free && config.path.is_none() { fltk_data::of_clients(config.name()) } else { Ok(None) };
        let known = if begun_without { of_clients().or_exit(Exit::Data)? } else { None };
        let _work = Work::wait(format!("reading `{}`", config.name()));
        let loaded = known.map_or_else(|| fltk_data::load(config, self.context.base, self.context.locations), Ok);
        let dataset = match loaded {
            Err(missing @ (DataError::Missing { .. } | DataError::NoCache { .. })) => {
                of_clients().or_exit(Exit::Data)?.ok_or(missing).or_exit(Exit::Data)?
            }
            loaded => loaded.or_exit(Exit::Data)?,
        };
        let dataset = Arc::new(dataset);
        datasets.insert(key, Arc::clone(&dataset));
        Ok(dataset)
    }

    /// Creates the folder for the run of `job`, one of `num_jobs` in the group.
    ///
    /// # Errors
    /// If the folder can't be created.
    pub fn new_folder(&self, job: &Job, num_jobs: usize, dataset: &Dataset) -> anyhow::Result<RunFolder> {
        let index = |index: usize| u32::try_from(index).context("there are more jobs than an experiment may have");
        let now = Timestamp::now();
        let description = RunDescription {
            fltk_version: env!("CARGO_PKG_VERSION").to_owned(),
            experiment: self.experiment.name.clone(),
            task: job.name.clone(),
            task_index: index(job.task_index)?,
            seed: job.seed,
            replication: index(job.replication)?,
            group: self.id.clone(),
            group_name: self.name.clone(),
            job_index: index(job.index)?,
            num_jobs: index(num_jobs)?,
            provenance: provenance(dataset),
            network_sha256: provenance::network_sha256(self.context.base, job)?,
            files_sha256: provenance::files_sha256(self.context.base, job)?,
            hyperparameters: Hyperparameters::of_training(&job.task),
            host: host(),
            started_at: now,
        };
        let yaml = fltk_experiment::to_yaml(&self.experiment);
        RunFolder::create(&self.runs, &self.experiment.name, now, &job_hex(&self.id, job.index, &job.name, job.seed), &yaml, &description)
            .or_exit(Exit::Records)
    }
}

/// Refuses a task in which no client trains a step, since `drop_last` drops the only batch of each.
fn check_some_train(job: &Job, parts: &Division) -> anyhow::Result<()> {
    let batch_size = job.task.train.batch_size;
    let num_idle = parts.sizes().filter(|size| *size < batch_size as usize).count();
    if !job.task.train.drop_last || num_idle < parts.num_clients() {
        return Ok(());
    }
    let largest = parts.sizes().max().unwrap_or(0);
    let message = format!(
        "task `{}`: no client can take a step: the largest has {largest} samples, fewer than a batch of {batch_size}, and `drop_last` leaves them out\nhint: use a smaller `batch_size`, fewer `clients`, or `drop_last: false`",
        job.name
    );
    Err(failure(Exit::Experiment, message))
}

/// Refuses a server that should hold more samples than there are.
fn check_root(job: &Job, config: &FederatedConfig, parts: &Division) -> anyhow::Result<()> {
    let num_samples: usize = parts.sizes().sum();
    let root = strategy::by_name(config.strategy.name()).and_then(|strategy| strategy.root).map(|root| root(&config.strategy));
    match root {
        Some(root) if root as usize > num_samples => {
            let message = format!(
                "task `{}`: `root_samples` is {root}, and the clients train on {num_samples} samples, among which the server's are\nhint: use at most {num_samples}",
                job.name
            );
            Err(failure(Exit::Experiment, message))
        }
        _ => Ok(()),
    }
}

/// Refuses a job that can't train with its data, or with the files that it names, whose paths are relative to `base`.
///
/// # Errors
/// If the net doesn't take data of one's own, none of its clients or ranks could take a step, or a rank would have no samples for a synchronized batch norm.
pub fn check_fits(job: &Job, dataset: &Dataset, base: &Path) -> anyhow::Result<()> {
    check_own(job, dataset)?;
    match &job.task.setting {
        // Nobody here knows how much clients have of their own.
        Setting::Federated(config) if config.has_own_data() => {
            match strategy::by_name(config.strategy.name()).filter(|strategy| strategy.root.is_some()) {
                Some(strategy) => {
                    let problem = SetupError::NoRootData { strategy: strategy.name() };
                    Err(failure(Exit::Experiment, format!("task `{}`: {problem}", job.name)))
                }
                None => Ok(()),
            }
        }
        Setting::Federated(config) => {
            let parts = train_and_test(dataset, config, job.seed, base)?.train;
            given_cohorts(config, &parts, base)?;
            check_root(job, config, &parts)?;
            check_some_train(job, &parts)
        }
        Setting::Distributed(config) => {
            let samples = dataset.train.len();
            if dataset.is_too_large_to_make() {
                let message = format!(
                    "task `{}`: ranks train on {samples} samples that are made when they are used, and keep at most {SAMPLES_MADE_MAX}\nhint: use fewer `clients` of the data set, or a federated task",
                    job.name
                );
                return Err(failure(Exit::Experiment, message));
            }
            let sharding = distributed::sharding(&job.task, config);
            let last = sharding.step_sizes(samples).pop();
            let message = match &last {
                None => format!(
                    "task `{}` has no step: its {samples} training samples are fewer than a batch of {} over all ranks, and `drop_last` leaves them out\nhint: use a smaller `batch_size`, or `drop_last: false`",
                    job.name,
                    sharding.batch_sizes.iter().sum::<usize>()
                ),
                Some(sizes) if config.sync_batch_norm && sizes.contains(&0) => format!(
                    "task `{}`: the last step has {} samples for {} ranks, and synchronized batch norms need one on each\nhint: use `pad_last: true` or `drop_last: true`",
                    job.name,
                    sizes.iter().sum::<usize>(),
                    sizes.len()
                ),
                Some(_) => return Ok(()),
            };
            Err(failure(Exit::Experiment, message))
        }
    }
}

/// Refuses data of one's own, of which nothing is known before it is read, that its net or its setting can't train with.
fn check_own(job: &Job, dataset: &Dataset) -> anyhow::Result<()> {
    let task = &job.task;
    if !task.dataset.is_own() {
        return Ok(());
    }
    let refuse = |problem: &dyn std::fmt::Display| {
        let path = task.dataset.path.as_deref().unwrap_or_default();
        Err(failure(Exit::Experiment, format!("task `{}`, data `{path}`: {problem}", job.name)))
    };
    if let Some(net) = task.network.net()
        && let Err(problem) = check_takes(net.name(), InputShape::of(dataset))
    {
        return refuse(&problem);
    }
    let Setting::Federated(config) = &task.setting else { return Ok(()) };
    let is_text = dataset.image_shape().is_none();
    if config.feature_noise > 0.0 && is_text {
        return refuse(&"`feature_noise` is noise on images and vectors, and the data is text\nhint: leave it out");
    }
    let partitioner = fltk::catalogues().partitioners.get(config.partition.name());
    if partitioner.is_some_and(|partitioner| partitioner.needs_labels) && is_text {
        return refuse(
            &"the partition divides by class labels, and the data is text without any\nhint: choose another partition, such as `natural_id`",
        );
    }
    let attack =
        config.faults.as_ref().and_then(|faults| faults.attack.as_ref()).and_then(|attack| fltk::catalogues().attacks.get(attack.name()));
    if attack.is_some_and(|attack| attack.needs_labels) && is_text {
        return refuse(&"the attack changes class labels, and the data is text without any\nhint: choose another attack");
    }
    Ok(())
}
