//! The jobs of an experiment: every task, once per seed.

use fltk::exit::{Exit, failure};
use fltk_core::{
    experiment::{Experiment, Task, Training},
    name::Name,
    seed::Seed,
};

/// A task with a seed; each job becomes one run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The position among the experiment's jobs.
    pub index: usize,
    /// The position of the task in the experiment.
    pub task_index: usize,
    /// The name of the task.
    pub name: Name,
    /// The training that the task is.
    pub task: Training,
    /// The position of the seed in the experiment.
    pub replication: usize,
    /// The seed.
    pub seed: Seed,
}

impl Job {
    /// The job's title for people.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.name, self.seed.0)
    }
}

/// All jobs of `experiment`, replication by replication, with the tasks in the order of the file.
///
/// # Errors
/// If a task trains nothing.
pub fn jobs(experiment: &Experiment) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::with_capacity(experiment.seeds.len() * experiment.tasks.len());
    for (replication, &seed) in experiment.seeds.iter().enumerate() {
        for (task_index, task) in experiment.tasks.iter().enumerate() {
            let (index, name, task) = (jobs.len(), task.name.clone(), training(task)?.clone());
            jobs.push(Job { index, task_index, name, task, replication, seed });
        }
    }
    Ok(jobs)
}

/// The training that `task` is.
///
/// # Errors
/// If it trains nothing.
pub fn training(task: &Task) -> anyhow::Result<&Training> {
    let message = || format!("task `{}` is a command, and trains nothing itself\nhint: `fltk run` runs it", task.name);
    task.training().ok_or_else(|| failure(Exit::Experiment, message()))
}
