//! Checks before a stream begins: the API server answers, the operator is installed, the rights exist, the objects are accepted.
//!
//! Problems are reported before anything starts, with all missing rights together, and each error says what to do.

use std::fmt;

use fltk_plan::{JobId, JobSpec};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, Error, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use thiserror::Error as ThisError;

use crate::{
    api::{self, FIELD_MANAGER, Failure, Waits, failure, in_time, words},
    config::Backend,
    manifest::{Credentials, Manifests, RunContext, run_selector},
};

/// The number of tries of a request that the API server refuses or doesn't accept: half a minute in all, more if the server is slow to answer.
const TRIES: u32 = 8;

/// The reason why a stream can't begin.
#[derive(Debug, ThisError)]
pub enum PreflightError {
    /// The API server doesn't answer, or its answer is not as expected.
    #[error("the API server doesn't answer: {0}\nhint: check it with `kubectl version` and the same kubeconfig and context")]
    Away(String),
    /// The cluster doesn't know the kind of job objects.
    #[error(
        "the cluster knows no {kind} ({group}/{version}): its operator isn't installed\nhint: {hint}, or use the other `backend` of the `kubernetes` block"
    )]
    NoOperator {
        /// The kind of the job objects.
        kind: String,
        /// The kind's group.
        group: String,
        /// The kind's version.
        version: String,
        /// Advice on what to install.
        hint: &'static str,
    },
    /// The namespace doesn't exist.
    #[error("there is no namespace `{0}`\nhint: `kubectl create namespace {0}`, or name another one")]
    NoNamespace(String),
    /// Some rights are missing.
    #[error(
        "rights are missing in namespace `{namespace}`:\n{}\nhint: a Role, or a ClusterRole for all namespaces, with these rules, bound to the orchestrator's account{}",
        list(missing),
        without_secrets(missing)
    )]
    Forbidden {
        /// The namespace.
        namespace: String,
        /// The missing rights.
        missing: Vec<String>,
    },
    /// A new stream would take another stream's jobs for its own.
    #[error(
        "namespace `{namespace}` has jobs of another stream named `{run}`, such as `{job}`\nhint: choose another `--id`; or, if that stream is no longer needed, remove its jobs first: `fltk cluster --down {run} --namespace {namespace}`"
    )]
    Taken {
        /// The name that both streams have.
        run: String,
        /// The namespace.
        namespace: String,
        /// A job of the other stream.
        job: String,
    },
    /// The API server refuses the objects.
    #[error("the API server refuses the objects of job {job} (task `{class}`): {problem}")]
    Refused {
        /// The first job of its task.
        job: String,
        /// The task.
        class: String,
        /// The problem, in the server's words.
        problem: String,
    },
}

/// The resource for the credentials of federated jobs with nodes.
const SECRETS: &str = "secrets";

/// The advice for an account that may create no secrets.
fn without_secrets(missing: &[String]) -> &'static str {
    if missing.iter().any(|right| right.ends_with(SECRETS)) {
        "; secrets have the certificates of federated jobs with nodes: with `federated.nodes: 0`, such a job is one pod and needs none"
    } else {
        ""
    }
}

fn list(missing: &[String]) -> String {
    missing.iter().map(|right| format!("  {right}")).collect::<Vec<_>>().join("\n")
}

/// Checks all that can be checked before anything is created.
///
/// `samples` is one job of each task.
///
/// # Errors
/// The first kind of trouble, in the order of [`PreflightError`].
pub async fn check(client: &Client, context: &RunContext, samples: &[JobSpec], needs_nodes: bool) -> Result<(), PreflightError> {
    operator(client, context.config.backend).await?;
    rights(client, context, needs_nodes).await?;
    modules(client, context, true).await.map_err(|error| refused(error, context, samples.first()))?;
    if context.config.backend == Backend::TrainJob {
        // The API server accepts a job only once its runtime exists, so jobs are checked after the runtime is created.
        return runtimes(client, context, true).await.map_err(|error| refused(error, context, samples.first()));
    }
    dry_runs(client, context, samples).await
}

/// Checks that no jobs exist of another run with this new run's name: their ends would be taken for those of its own jobs.
///
/// # Errors
/// If there are some, or the API server doesn't answer.
pub async fn is_new(client: &Client, context: &RunContext) -> Result<(), PreflightError> {
    let jobs = api::jobs(client, &context.namespace, context.config.backend);
    let one = ListParams::default().labels(&run_selector(&context.run)).limit(1);
    let found = retried(async || jobs.list_metadata(&one).await).await.map_err(|error| PreflightError::Away(words(&error)))?;
    let Some(job) = found.items.first() else { return Ok(()) };
    Err(PreflightError::Taken { run: context.run.clone(), namespace: context.namespace.clone(), job: job.name_any() })
}

/// Creates the objects that all jobs of the run share, if there are any; after that the jobs can be checked too.
///
/// # Errors
/// The errors of [`check`].
pub async fn share(client: &Client, context: &RunContext, samples: &[JobSpec]) -> Result<(), PreflightError> {
    modules(client, context, false).await.map_err(|error| refused(error, context, samples.first()))?;
    if context.config.backend == Backend::PyTorchJob {
        return Ok(());
    }
    runtimes(client, context, false).await.map_err(|error| refused(error, context, samples.first()))?;
    dry_runs(client, context, samples).await
}

/// Creates the config maps with the run's TorchScript modules.
async fn modules(client: &Client, context: &RunContext, dry_run: bool) -> Result<(), Error> {
    let maps: Api<ConfigMap> = api::config_maps(client, &context.namespace);
    let parameters = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force().validation_strict() };
    for map in context.module_maps() {
        let name = map["metadata"]["name"].as_str().unwrap_or_default();
        retried(async || maps.patch(name, &parameters, &Patch::Apply(&map)).await).await?;
    }
    Ok(())
}

async fn runtimes(client: &Client, context: &RunContext, dry_run: bool) -> Result<(), Error> {
    let runtimes: Api<DynamicObject> = Api::namespaced_with(client.clone(), &context.namespace, &api::runtime_resource());
    let parameters = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force().validation_strict() };
    for runtime in context.runtimes() {
        let name = runtime["metadata"]["name"].as_str().unwrap_or_default();
        retried(async || runtimes.patch(name, &parameters, &Patch::Apply(&runtime)).await).await?;
    }
    Ok(())
}

async fn dry_runs(client: &Client, context: &RunContext, samples: &[JobSpec]) -> Result<(), PreflightError> {
    for spec in samples {
        dry_run(client, context, spec).await.map_err(|error| refused(error, context, Some(spec)))?;
    }
    Ok(())
}

/// Repeats a request whose error is transient.
async fn retried<T>(request: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let mut waits = Waits::new();
    let mut tries = 1;
    loop {
        match in_time(request()).await {
            Err(error) if tries < TRIES && may_pass_soon(&error) => {
                tries += 1;
                tokio::time::sleep(waits.after(&error)).await;
            }
            outcome => return outcome,
        }
    }
}

/// True if the server is away, busy or being updated. Before anything has begun, a missing right isn't waited for.
fn may_pass_soon(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code == 429 || status.code >= 500,
        error => failure(error) == Failure::Passes,
    }
}

async fn operator(client: &Client, backend: Backend) -> Result<(), PreflightError> {
    let resource = api::job_resource(backend);
    let known = match retried(async || client.list_api_group_resources(&resource.api_version).await).await {
        Ok(list) => list.resources.iter().any(|known| known.name == resource.plural),
        Err(Error::Api(status)) if status.code == 404 => false,
        Err(error) => return Err(PreflightError::Away(words(&error))),
    };
    let hint = match backend {
        Backend::PyTorchJob => {
            "install Kubeflow's training operator: `kubectl apply --server-side -k \"github.com/kubeflow/training-operator.git/manifests/overlays/standalone?ref=v1.9.3\"`"
        }
        Backend::TrainJob => {
            "install Kubeflow Trainer: `kubectl apply --server-side -k \"github.com/kubeflow/trainer.git/manifests/overlays/manager?ref=v2.3.0\"`"
        }
    };
    if known {
        return Ok(());
    }
    Err(PreflightError::NoOperator { kind: resource.kind, group: resource.group, version: resource.version, hint })
}

/// The right to something that the orchestrator does.
struct Right {
    verb: &'static str,
    group: String,
    resource: String,
    /// True if the right is limited to one namespace.
    is_namespaced: bool,
}

/// `create pytorchjobs.kubeflow.org`.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let place = if self.is_namespaced { "" } else { ", in all namespaces" };
        write!(f, "{} {}{group}{place}", self.verb, self.resource)
    }
}

/// All rights that the orchestrator needs.
fn all_rights(context: &RunContext, needs_nodes: bool) -> Vec<Right> {
    let right = |group: &str, resource: &str, is_namespaced| {
        let (group, resource) = (group.to_owned(), resource.to_owned());
        move |verb| Right { verb, group: group.clone(), resource: resource.clone(), is_namespaced }
    };
    let (jobs, runtimes) = (api::job_resource(context.config.backend), api::runtime_resource());
    let mut rights: Vec<Right> = ["create", "get", "list", "watch", "patch"].map(right(&jobs.group, &jobs.plural, true)).into();
    rights.extend(["create", "patch"].map(right("", "configmaps", true)));
    if context.has_nodes() {
        rights.extend(["create"].map(right("", SECRETS, true)));
    }
    if context.config.backend == Backend::TrainJob {
        rights.extend(["create", "patch"].map(right(&runtimes.group, &runtimes.plural, true)));
    }
    if needs_nodes {
        rights.extend(["list", "watch"].map(right("", "nodes", false)));
    }
    // Only the run's own pods are watched, or all pods if nodes are needed for capacity.
    rights.extend(["list", "watch"].map(right("", "pods", !needs_nodes)));
    rights
}

/// Checks that the orchestrator has the rights that it needs. A stream that goes on may have been begun by a version that needed fewer.
///
/// # Errors
/// If some are missing, or the API server doesn't answer.
pub async fn rights(client: &Client, context: &RunContext, needs_nodes: bool) -> Result<(), PreflightError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    for right in all_rights(context, needs_nodes) {
        let attributes = ResourceAttributes {
            verb: Some(right.verb.to_owned()),
            group: Some(right.group.clone()),
            resource: Some(right.resource.clone()),
            namespace: right.is_namespaced.then(|| context.namespace.clone()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None },
            ..SelfSubjectAccessReview::default()
        };
        let parameters = PostParams::default();
        let answer =
            retried(async || reviews.create(&parameters, &review).await).await.map_err(|error| PreflightError::Away(words(&error)))?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(right.to_string());
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(PreflightError::Forbidden { namespace: context.namespace.clone(), missing }) }
}

/// Lets the API server and its webhooks check a job's objects down to the last field, without creating them. The check uses a name that no job has,
/// since the objects of a resumed stream may exist.
async fn dry_run(client: &Client, context: &RunContext, spec: &JobSpec) -> Result<(), Error> {
    let spec = JobSpec { id: JobId("0".repeat(spec.id.0.len())), ..spec.clone() };
    let Manifests { job, config_maps, secret } = context.manifests(&spec, 1, &Credentials::none());
    let parameters = PatchParams { dry_run: true, ..PatchParams::apply(FIELD_MANAGER).validation_strict() };
    let name = crate::manifest::job_name(&spec.id);
    let jobs = api::jobs(client, &context.namespace, context.config.backend);
    retried(async || jobs.patch(&name, &parameters, &Patch::Apply(&job)).await).await?;
    let maps: Api<ConfigMap> = api::config_maps(client, &context.namespace);
    for config_map in config_maps {
        let name = config_map["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        retried(async || maps.patch(&name, &parameters, &Patch::Apply(&config_map)).await).await?;
    }
    if let Some(secret) = secret {
        let secret: Secret = serde_json::from_value(secret).map_err(Error::SerdeError)?;
        let parameters = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let secrets = api::secrets(client, &context.namespace);
        retried(async || secrets.create(&parameters, &secret).await).await?;
    }
    Ok(())
}

fn refused(error: Error, context: &RunContext, spec: Option<&JobSpec>) -> PreflightError {
    match &error {
        Error::Api(status) if status.code == 404 && status.message.starts_with("namespaces ") => {
            PreflightError::NoNamespace(context.namespace.clone())
        }
        Error::Api(status) if status.code < 500 && status.code != 429 => PreflightError::Refused {
            job: spec.map(|spec| spec.id.to_string()).unwrap_or_default(),
            class: spec.map(|spec| spec.class.clone()).unwrap_or_default(),
            problem: words(&error),
        },
        _ => PreflightError::Away(words(&error)),
    }
}
