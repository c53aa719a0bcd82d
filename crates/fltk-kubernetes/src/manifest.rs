//! The objects of a job, as values: nothing here does I/O.
//!
//! | object | name | |
//! |---|---|---|
//! | `PyTorchJob` or `TrainJob` | `trainjob-<job>` | annotated with the attempt, so that a start is carried out once, and at creation with its stream's start time, which tells streams apart |
//! | `ConfigMap`, one per role | `<role>-<job>-<replication>` | the job's experiment; owned by the job, and gone with it |
//! | `Secret`, for federated jobs with nodes | `credentials-<job>-<tag>` | the credentials of its federator and nodes; owned by the job, and gone with it |
//! | `ConfigMap`s, for TorchScript modules | `fltk-<digest of run>-module-<digest>-<part>` | a module, or a part of it, for all jobs of the run |
//! | `TrainingRuntime`s, for `TrainJob`s | `fltk-<digest of run>-<pods>` | the common settings of the run's pods, one per number of pods of a job |
//! | the same, for commands | `fltk-<digest of run>-<pods>-command-<task>` | the settings of the pods of a program of the user's own |
//!
//! Jobs that run a program of the user's own have no `ConfigMap` and no `Secret`.

mod command;
mod config_map;
mod credentials;
mod legal;
mod limit;
mod module;
mod names;
mod network_policy;
mod pod;
mod pytorch_job;
mod train_job;

use std::collections::BTreeSet;

use fltk_core::{
    catalogue::{Catalogues, Choice},
    experiment::Experiment,
};
use fltk_plan::{Amounts, JobSpec, Role, job::num_pods};
use fltk_records::stream_folder::Modules;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value as Json;

/// The label that puts a job into one of Kueue's queues.
const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";

/// The name of our program's container: in pods of a `PyTorchJob`, and of a `TrainJob`.
pub const CONTAINERS: [&str; 2] = [pytorch_job::CONTAINER, train_job::NODE];

pub use self::{
    credentials::Credentials,
    module::MODULE_BYTES_MAX,
    names::{
        ANNOTATION_ATTEMPT, ANNOTATION_BEGAN, ANNOTATION_CREDENTIALS, COMMAND_LABEL, JOB_LABEL, RUN_LABEL, job_name, run_selector,
        runtime_name,
    },
};
use crate::config::{Backend, CleanPodPolicy, KubernetesConfig};

/// The common settings of all jobs of a run.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The run's name, unique within its namespace.
    pub run: String,
    /// The namespace of its objects.
    pub namespace: String,
    /// The image of its pods.
    pub image: String,
    /// The other settings of its pods.
    pub config: KubernetesConfig,
    /// The experiment that the run trains.
    pub experiment: Experiment,
    /// The catalogues with which the experiments of pods are read again.
    pub catalogues: &'static Catalogues,
    /// The TorchScript modules that travel with its jobs, by their paths in the experiment.
    pub modules: Modules,
    /// Issues the credentials of a federated job with nodes, by an authority of its own.
    pub issue: Issue,
}

/// A function that issues new credentials, or says why it can't.
pub type Issue = fn() -> Result<Credentials, String>;

/// The objects of one job. The job itself owns the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// The `PyTorchJob` or `TrainJob`.
    pub job: Json,
    /// The config maps that its pods read.
    pub config_maps: Vec<Json>,
    /// The Secret with the credentials of its pods, if they have some.
    pub secret: Option<Json>,
}

impl RunContext {
    /// The objects of `spec`, at its start number `attempt`. Jobs without nodes don't use the `credentials`.
    #[must_use]
    pub fn manifests(&self, spec: &JobSpec, attempt: u32, credentials: &Credentials) -> Manifests {
        let name = self.needs_credentials(spec).then(|| credentials.name(spec));
        let job = match self.config.backend {
            Backend::PyTorchJob => pytorch_job::manifest(self, spec, attempt, name.as_deref()),
            Backend::TrainJob => train_job::manifest(self, spec, attempt, name.as_deref()),
        };
        let secret = name.map(|name| credentials::manifest(self, spec, &name, credentials));
        Manifests { job, config_maps: config_map::manifests(self, spec), secret }
    }

    /// The config maps with the TorchScript modules of the run, which its jobs share.
    #[must_use]
    pub fn module_maps(&self) -> Vec<Json> {
        module::manifests(self)
    }

    /// The new credentials of `spec`; empty ones if it needs none.
    ///
    /// # Errors
    /// The reason, if they can't be made.
    pub fn credentials(&self, spec: &JobSpec) -> Result<Credentials, String> {
        if self.needs_credentials(spec) { (self.issue)() } else { Ok(Credentials::none()) }
    }

    /// True if `spec` is a federated job with nodes, whose pods need credentials.
    #[must_use]
    pub fn needs_credentials(&self, spec: &JobSpec) -> bool {
        credentials::are_needed(self, spec)
    }

    /// True if any of the run's jobs has nodes.
    #[must_use]
    pub fn has_nodes(&self) -> bool {
        self.experiment.tasks.iter().any(credentials::has_nodes)
    }

    /// The policy that lets only pods of `spec` connect to each other; the orchestrator doesn't create it.
    #[must_use]
    pub fn network_policy(&self, spec: &JobSpec) -> Json {
        network_policy::manifest(self, spec)
    }

    /// True if the experiment in `config_map`, which may be from another version, is the one that pods of `spec` should train, with whatever number of
    /// nodes.
    #[must_use]
    pub fn is_said_by(&self, config_map: &ConfigMap, spec: &JobSpec) -> bool {
        config_map::experiment(config_map, self.catalogues)
            .is_some_and(|there| there.without_nodes() == spec.experiment(&self.experiment).with_newest_defaults().without_nodes())
    }

    /// The runtimes with the common settings of the run's pods, if its jobs are `TrainJob`s. There is one per number of pods, since the restart limit
    /// depends on it; and one for each task that runs a program of the user's own.
    #[must_use]
    pub fn runtimes(&self) -> Vec<Json> {
        if self.config.backend == Backend::PyTorchJob {
            return Vec::new();
        }
        let nums: BTreeSet<u32> = self.experiment.tasks.iter().filter(|task| task.training().is_some()).map(num_pods).collect();
        let commands = self.experiment.tasks.iter().enumerate().filter_map(|(index, task)| Some((index, num_pods(task), task.command()?)));
        let of_commands = commands.map(|(index, num_pods, config)| train_job::runtime_of_command(self, index, num_pods, config));
        nums.into_iter().map(|num_pods| train_job::runtime(self, num_pods)).chain(of_commands).collect()
    }

    /// `spec` with all requests of its pods on Kubernetes, including extended resources. All pods of a `TrainJob` must be equal, so each requests the
    /// maximum over all of them.
    #[must_use]
    pub fn with_requests(&self, mut spec: JobSpec) -> JobSpec {
        for pod in &mut spec.pods {
            let extended = match pod.role {
                Role::Master => &self.config.resources.master,
                Role::Worker => &self.config.resources.worker,
            };
            for (name, quantity) in extended {
                pod.requests = std::mem::take(&mut pod.requests).with(name, quantity.nanos());
            }
        }
        if self.config.backend == Backend::TrainJob {
            let most = spec.pods.iter().fold(Amounts::none(), |most, pod| most.max(&pod.requests));
            spec.pods.iter_mut().for_each(|pod| pod.requests = most.clone());
        }
        spec
    }

    /// The parts of the run that can't work on Kubernetes, with advice; each is a sentence.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        for task in &self.experiment.tasks {
            if task.has_own_data() {
                refusals.push(format!(
                    "task `{}`: its clients have data of their own (`data: here`), which its pods don't: run it with `fltk federate`, where their nodes can call",
                    task.name
                ));
            }
            if task.training().is_some_and(|training| training.network.python().is_some()) {
                refusals.push(format!(
                    "task `{}`: its net is a module in Python, and its image has no Python: run it with `fltk federate`, where nodes in Python can call",
                    task.name
                ));
            }
            let own_strategy = task.strategy().and_then(Choice::code).map(|(file, _)| file);
            if own_strategy.is_some() {
                refusals.push(format!(
                    "task `{}`: its strategy is in Python, and its image has no Python: run it with `fltk federate`, or `fltk run`, where there is one",
                    task.name
                ));
            }
            let net = task.training().and_then(|training| training.network.torchscript());
            let data = task.training().and_then(|training| training.dataset.path.as_deref());
            let named = task.files().into_iter().map(|(_, path)| path);
            let paths = net.filter(|path| !self.modules.contains_key(*path)).into_iter().chain(data).chain(named);
            for path in paths.filter(|path| !path.starts_with('/') && Some(*path) != own_strategy) {
                refusals.push(format!(
                    "task `{}`: `{path}` is relative to the experiment file, whose folder pods don't have: name a path in the image, or on a volume",
                    task.name
                ));
            }
        }
        refusals.extend(legal::refusals(self));
        refusals.extend(self.policy_refusals());
        refusals.extend(self.queue_refusal());
        refusals
    }

    /// Refuses preemption together with Kueue: each would undo the suspensions of the other.
    fn queue_refusal(&self) -> Option<String> {
        let queue = self.config.labels.get(QUEUE_LABEL)?;
        let group = self.experiment.stream.as_ref()?.groups.iter().find(|group| group.preempt)?;
        Some(format!(
            "group `{}` has `preempt`, and the label `{QUEUE_LABEL}: {queue}` lets Kueue decide which jobs are suspended, which would undo a preemption at once: leave out one \
             of them; with Kueue, its own workload priorities preempt other jobs",
            group.name
        ))
    }

    /// Refuses the settings of the run policy that a `TrainJob` can't have.
    fn policy_refusals(&self) -> Vec<String> {
        let policy = &self.config.run_policy;
        let mut refusals = Vec::new();
        if self.config.backend == Backend::PyTorchJob {
            return refusals;
        }
        if policy.scheduling_policy.is_some() {
            refusals.push("`scheduling_policy` is the training operator's: leave it out, or use `backend: pytorchjob`".to_owned());
        }
        let asked = match policy.clean_pod_policy {
            // JobSet does this by itself.
            CleanPodPolicy::Running => return refusals,
            CleanPodPolicy::None => "None",
            CleanPodPolicy::All => "All",
        };
        refusals.push(format!(
            "`clean_pod_policy: {asked}` is the training operator's, and a `TrainJob` always removes the pods that still run: leave it out, or use `backend: pytorchjob`"
        ));
        refusals
    }
}

#[cfg(test)]
pub mod tests;
