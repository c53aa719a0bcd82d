//! A job of a stream: an arrival together with the pods that it requests.

use std::fmt;

use fltk_core::{
    arrivals::{Arrival, ArrivalsError, TraceEntry, arrivals},
    experiment::{Experiment, PodResources, Task},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Amounts;

/// The name of a job: sixteen hex digits, the same whenever the same stream is planned again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JobId {
    /// The name of the job of `arrival` in replication `replication` of the run `run`.
    #[must_use]
    pub fn of(run: &str, replication: usize, arrival: &Arrival) -> Self {
        let digest = Sha256::digest(format!("{run}/{replication}/{}/{}", arrival.group, arrival.position));
        Self(hex::encode(&digest[..8]))
    }
}

/// The role of a pod in its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Rank 0, or the federator.
    Master,
    /// Any other rank, or a node.
    Worker,
}

/// The pods of one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// The role.
    pub role: Role,
    /// The number of pods.
    pub count: u32,
    /// The resources that each pod requests.
    pub requests: Amounts,
}

/// A job, as it is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobSpec {
    /// Its name.
    pub id: JobId,
    /// The position of its seed in the experiment.
    pub replication: usize,
    /// The arrival: its time, task, priority and seed.
    pub arrival: Arrival,
    /// The name of its task.
    pub class: String,
    /// The pods of the job; the job starts when all of them fit.
    pub pods: Vec<Pod>,
}

impl JobSpec {
    /// Each pod separately: its role and its requests.
    pub fn each_pod(&self) -> impl Iterator<Item = (Role, &Amounts)> {
        self.pods.iter().flat_map(|pod| (0..pod.count).map(|_| (pod.role, &pod.requests)))
    }

    /// The experiment of this job alone: its task from `all`, with its seed.
    #[must_use]
    pub fn experiment(&self, all: &Experiment) -> Experiment {
        let tasks = all.tasks.get(self.arrival.task).cloned().into_iter().collect();
        Experiment { name: all.name.clone(), seeds: vec![self.arrival.seed], tasks, stream: None }
    }

    /// The number of pods.
    #[must_use]
    pub fn num_pods(&self) -> u32 {
        self.pods.iter().map(|pod| pod.count).sum()
    }

    /// The sum of the requests of all pods.
    #[must_use]
    pub fn requests(&self) -> Amounts {
        let mut sum = Amounts::none();
        self.each_pod().for_each(|(_, requests)| sum.add(requests));
        sum
    }
}

/// The jobs of one replication, in order of arrival. Their names are derived from `run`.
///
/// # Errors
/// [`ArrivalsError`].
pub fn jobs(experiment: &Experiment, run: &str, replication: usize, trace: &[TraceEntry]) -> Result<Vec<JobSpec>, ArrivalsError> {
    let spec = |arrival: Arrival| {
        let task = &experiment.tasks[arrival.task];
        JobSpec { id: JobId::of(run, replication, &arrival), replication, arrival, class: task.name.to_string(), pods: pods(task) }
    };
    Ok(arrivals(experiment, replication, trace)?.into_iter().map(spec).collect())
}

/// The number of pods of a job of `task`: a pod for each rank, or for the federator and each of its nodes.
#[must_use]
pub fn num_pods(task: &Task) -> u32 {
    1 + task.num_workers()
}

fn pods(task: &Task) -> Vec<Pod> {
    let amounts = |pod: &PodResources| Amounts::none().with("cpu", pod.cores.nanos()).with("memory", pod.memory.nanos());
    let (master, worker) = match &task.resources {
        Some(resources) => (amounts(&resources.master), resources.worker.as_ref().map(amounts).unwrap_or_default()),
        None => <_>::default(),
    };
    let workers = task.num_workers();
    let mut pods = vec![Pod { role: Role::Master, count: 1, requests: master }];
    if workers > 0 {
        pods.push(Pod { role: Role::Worker, count: workers, requests: worker });
    }
    pods
}
