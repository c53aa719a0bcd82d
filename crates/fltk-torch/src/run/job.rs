//! The jobs of an experiment: every task, once per seed.

use fltk_core::{
    experiment::{Experiment, Task},
    seed::Seed,
};
use sha2::{Digest as _, Sha256};

/// A task with a seed; each job becomes one run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The position among the experiment's jobs.
    pub index: usize,
    /// The position of the task in the experiment.
    pub task_index: usize,
    /// The task.
    pub task: Task,
    /// The position of the seed in the experiment.
    pub replication: usize,
    /// The seed.
    pub seed: Seed,
}

impl Job {
    /// The job's title for people.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.task.name, self.seed.0)
    }
}

/// All jobs of `experiment`, replication by replication, with the tasks in the order of the file.
#[must_use]
pub fn jobs(experiment: &Experiment) -> Vec<Job> {
    let mut jobs = Vec::with_capacity(experiment.seeds.len() * experiment.tasks.len());
    for (replication, &seed) in experiment.seeds.iter().enumerate() {
        for (task_index, task) in experiment.tasks.iter().enumerate() {
            jobs.push(Job { index: jobs.len(), task_index, task: task.clone(), replication, seed });
        }
    }
    jobs
}

/// The ID of a job within the runs folder: eight hex digits of a digest of the group, the job's position, task and seed.
#[must_use]
pub fn job_hex(group: &str, index: usize, task: &str, seed: Seed) -> String {
    let digest = Sha256::digest(format!("{group}/{index}/{task}/{}", seed.0));
    hex::encode(&digest[..4])
}
