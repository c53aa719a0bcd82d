//! `fltk run` of commands: every task once per seed, one run after another. A run that was interrupted goes on in its folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use fltk_core::{
    experiment::{CommandConfig, Experiment, Task},
    name::Name,
    seed::Seed,
};
use fltk_records::{Hyperparameters, RunDescription, RunFolder, history::End, named};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    ranks::{CommandFiles, Ranks},
    records::CommandRecords,
    result::{self, CommandResult},
};
use crate::{
    cli::{Cli, RunArgs},
    exit::{self, Exit, OrExit as _, failure},
    host, inputs, output,
    run_group::{check_settings, job_hex, one_each, wait_for_others},
    stop,
    termination::Termination,
    work::Work,
};

/// How often ranks are looked at.
const POLL: Duration = Duration::from_millis(20);

/// Returns true if `folder` is that of a run of a command.
#[must_use]
pub fn is_of_command(folder: &RunFolder) -> bool {
    folder.description().hyperparameters.text("kind") == "command"
}

/// Runs every task of `experiment`, all of which are commands. If the name was used before for the same experiment, its runs go on.
///
/// # Errors
/// If a task is no command, or a run fails; the others run all the same, unless the first failure ends the group.
pub fn start(cli: &Cli, args: &RunArgs, mut experiment: Experiment, termination: &Termination) -> anyhow::Result<()> {
    refuse_others(args, &experiment)?;
    inputs::make_paths_absolute(&mut experiment, &inputs::base_folder(&args.files))?;
    let mut id = match &args.id {
        Some(name) => named::new_id(name, &experiment),
        None => {
            let yaml = fltk_experiment::to_yaml(&experiment);
            let unique = format!("{}/{}/{yaml}", Timestamp::now().as_nanosecond(), std::process::id());
            hex::encode(&Sha256::digest(unique)[..8])
        }
    };
    let found = match &args.id {
        Some(name) => named::runs(&args.runs, name, &experiment, crate::catalogues()).or_exit(Exit::Records)?,
        None => Vec::new(),
    };
    if let Some(run) = found.first() {
        id.clone_from(&run.description().group);
        experiment = run.experiment(crate::catalogues()).or_exit(Exit::Records)?;
    }
    let begun = one_each(found, None)?;
    let stop = stop::on_signal()?;
    wait_for_others(&begun, &stop);
    Group { args, runs: args.runs.clone(), id, name: args.id.clone(), experiment, stop, termination }.run(cli, begun)
}

/// Resumes the run in `named`, and the rest of its group.
///
/// # Errors
/// If its folder is damaged or in use, or a run fails.
pub fn resume(cli: &Cli, args: &RunArgs, named: RunFolder, termination: &Termination) -> anyhow::Result<()> {
    // The real path is used: the rest of the group is in the same parent folder.
    let path = named.path().canonicalize().with_context(|| format!("can't find `{}`", named.path().display())).or_exit(Exit::Records)?;
    let folder = RunFolder::open(path).or_exit(Exit::Records)?;
    let experiment = folder.experiment(crate::catalogues()).or_exit(Exit::Records)?;
    refuse_others(args, &experiment)?;
    let (id, name) = (folder.description().group.clone(), folder.description().group_name.clone());
    let runs = folder.path().parent().unwrap_or(Path::new("/")).to_path_buf();
    // Damaged folders of other groups don't matter here.
    let all = RunFolder::list(&runs).or_exit(Exit::Records)?.into_iter().filter_map(|path| RunFolder::open(path).ok());
    let begun = one_each(all.filter(|run| run.description().group == id).collect(), Some(folder))?;
    Group { args, runs, id, name, experiment, stop: stop::on_signal()?, termination }.run(cli, begun)
}

/// Refuses tasks that train beside commands, and options that have no effect.
fn refuse_others(args: &RunArgs, experiment: &Experiment) -> anyhow::Result<()> {
    if let Some(task) = experiment.tasks.iter().find(|task| task.command().is_none()) {
        let message = format!(
            "task `{}` trains, and others are commands: without a stream, `fltk run` runs one or the other\nhint: add `stream: {{ parallel: false }}`, which runs them one after another",
            task.name
        );
        return Err(failure(Exit::Experiment, message));
    }
    if args.metrics.is_some() {
        return Err(failure(Exit::Experiment, "`--metrics` is for federated runs over nodes\nhint: leave it out"));
    }
    Ok(())
}

/// The jobs of one invocation.
struct Group<'a> {
    args: &'a RunArgs,
    /// The folder of the runs' folders.
    runs: PathBuf,
    /// The group's id, in lower-case hex.
    id: String,
    /// The name under which it was begun, if it has one.
    name: Option<String>,
    experiment: Experiment,
    stop: Arc<AtomicBool>,
    termination: &'a Termination,
}

/// A task with a seed.
struct Job<'a> {
    index: usize,
    task_index: usize,
    task: &'a Task,
    config: &'a CommandConfig,
    replication: usize,
    seed: Seed,
}

impl Job<'_> {
    fn title(&self) -> String {
        format!("{}, seed {}", self.task.name, self.seed.0)
    }

    fn name(&self) -> &Name {
        &self.task.name
    }
}

/// The way a run ended, other than by an error of ours.
enum Outcome {
    Finished(Box<RunFolder>),
    Stopped,
    Failed { exit: Exit, reason: String },
}

impl Group<'_> {
    fn jobs(&self) -> Vec<Job<'_>> {
        let mut jobs = Vec::new();
        for (replication, &seed) in self.experiment.seeds.iter().enumerate() {
            for (task_index, task) in self.experiment.tasks.iter().enumerate() {
                if let Some(config) = task.command() {
                    jobs.push(Job { index: jobs.len(), task_index, task, config, replication, seed });
                }
            }
        }
        jobs
    }

    /// Runs the jobs in order; `begun` has the folders of those that have one.
    fn run(&self, cli: &Cli, mut begun: BTreeMap<usize, RunFolder>) -> anyhow::Result<()> {
        let jobs = self.jobs();
        for (job, folder) in jobs.iter().filter_map(|job| Some((job, begun.get(&job.index)?))) {
            check_settings(folder, job.name(), job.seed, &Hyperparameters::of(job.task))?;
        }
        let (mut results, mut failures) = (Vec::new(), Vec::new());
        for job in &jobs {
            let folder = begun.remove(&job.index);
            let end = folder
                .as_ref()
                .map(|folder| folder.clone().read().or_exit(Exit::Records))
                .transpose()?
                .and_then(|run| run.history.end().cloned());
            let folder = match (folder, end) {
                (Some(folder), Some(End::Finished { .. })) => folder,
                (folder, _) => {
                    let folder = folder.map_or_else(|| self.new_folder(job, jobs.len()), Ok)?;
                    let path = folder.path().to_owned();
                    self.termination.has_folder(&folder);
                    match self.execute(job, folder)? {
                        Outcome::Finished(folder) => *folder,
                        Outcome::Stopped => {
                            result::print_all(cli, &results)?;
                            let message = format!("interrupted\nhint: `fltk run --resume {}` starts the program again", path.display());
                            return Err(failure(Exit::Interrupted, message));
                        }
                        Outcome::Failed { exit, reason } => {
                            let message = format!(
                                "{}: {reason}\nrun: {}\nhint: `fltk run --resume {}` starts the program again",
                                job.title(),
                                path.display(),
                                path.display()
                            );
                            let error = failure(exit, message);
                            if self.args.fail_fast || jobs.len() == 1 {
                                return Err(error);
                            }
                            output::error(&error);
                            failures.push(error);
                            continue;
                        }
                    }
                }
            };
            self.termination.has_folder(&folder);
            let result = CommandResult::read(folder)?;
            result::print_one(cli, &result)?;
            results.push(result);
        }
        result::print_all(cli, &results)?;
        if failures.is_empty() {
            return Ok(());
        }
        let exit = if failures.iter().all(|error| exit::code(error) == Exit::Ranks) { Exit::Ranks } else { Exit::Run };
        Err(failure(exit, format!("{} of {} runs failed", failures.len(), jobs.len())))
    }

    /// Runs the program of `job`, and starts it again after a failure as often as the task allows.
    fn execute(&self, job: &Job<'_>, folder: RunFolder) -> anyhow::Result<Outcome> {
        let files = CommandFiles::make(folder.path())?;
        let mut records = CommandRecords::open(folder, job.title())?;
        tracing::info!("{}: the output is in {}", job.title(), files.output().display());
        let mut restarts = 0;
        loop {
            records.started()?;
            let ranks = match Ranks::start(job.config, job.seed, &files) {
                Ok(ranks) => ranks,
                Err(error) => {
                    let reason = format!("{error:#}");
                    records.fail(&reason);
                    return Ok(Outcome::Failed { exit: exit::code(&error), reason });
                }
            };
            let failed = self.watch(ranks, &mut records)?;
            let is_stopped = self.stop.load(Ordering::Relaxed);
            records.record_rest(is_stopped || failed.is_some() && restarts < job.config.restarts)?;
            if is_stopped {
                return Ok(Outcome::Stopped);
            }
            let Some(failed) = failed else { return records.finish().map(|folder| Outcome::Finished(Box::new(folder))) };
            let reason = failed.text(&files);
            if restarts >= job.config.restarts {
                records.fail(&reason);
                return Ok(Outcome::Failed { exit: if failed.is_killed() { Exit::Ranks } else { Exit::Run }, reason });
            }
            restarts += 1;
            tracing::warn!("{reason}; all ranks are started again (restart {restarts} of {})", job.config.restarts);
        }
    }

    /// Watches the ranks until all have ended; returns the one that failed first, if one did.
    fn watch(&self, mut ranks: Ranks, records: &mut CommandRecords) -> anyhow::Result<Option<super::ranks::FailedRank>> {
        let _work = Work::wait(records.title());
        while !ranks.have_ended().context("can't wait for the ranks")? {
            if self.stop.load(Ordering::Relaxed) {
                ranks.ask_to_stop();
            }
            ranks.lines().iter().for_each(|line| records.take(line));
            records.record()?;
            if records.has_figures() {
                self.termination.stepped();
            }
            thread::sleep(POLL);
        }
        let failed = ranks.end(&mut |line| records.take(&line));
        if records.has_figures() {
            self.termination.stepped();
        }
        Ok(failed)
    }

    fn new_folder(&self, job: &Job<'_>, num_jobs: usize) -> anyhow::Result<RunFolder> {
        let index = |index: usize| u32::try_from(index).context("there are more jobs than an experiment may have");
        let now = Timestamp::now();
        let description = RunDescription {
            fltk_version: env!("CARGO_PKG_VERSION").to_owned(),
            experiment: self.experiment.name.clone(),
            task: job.name().clone(),
            task_index: index(job.task_index)?,
            seed: job.seed,
            replication: index(job.replication)?,
            group: self.id.clone(),
            group_name: self.name.clone(),
            job_index: index(job.index)?,
            num_jobs: index(num_jobs)?,
            provenance: BTreeMap::new(),
            network_sha256: None,
            files_sha256: BTreeMap::new(),
            hyperparameters: Hyperparameters::of(job.task),
            host: host::machine(),
            started_at: now,
        };
        let id = job_hex(&self.id, job.index, job.name(), job.seed);
        let yaml = fltk_experiment::to_yaml(&self.experiment);
        RunFolder::create(&self.runs, &self.experiment.name, now, &id, &yaml, &description).or_exit(Exit::Records)
    }
}
