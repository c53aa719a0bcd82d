//! Carries out the planner's actions: creates jobs, resumes them, suspends them. Each action is harmless to repeat.

use std::sync::Arc;

use fltk_plan::{Action, JobSpec};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference},
};
use kube::{
    Api, Client, Error, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc::UnboundedSender},
    time::{Instant, sleep},
};
use tracing::{Instrument as _, Span};

use crate::{
    api::{self, FIELD_MANAGER, Failure, Waits, failure, in_time, words},
    config::Backend,
    manifest::{ANNOTATION_ATTEMPT, ANNOTATION_BEGAN, ANNOTATION_CREDENTIALS, JOB_LABEL, RUN_LABEL, RunContext, job_name},
    metrics::Metrics,
    tracker::Report,
};

/// A client of the API server for one run. It is cheap to clone.
#[derive(Clone)]
pub struct Actor {
    context: Arc<RunContext>,
    /// The time when the stream began, in the form in which its jobs carry it.
    began: Arc<str>,
    jobs: Api<DynamicObject>,
    config_maps: Api<ConfigMap>,
    secrets: Api<Secret>,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    reports: UnboundedSender<Report>,
    /// The span of the work on the stream.
    stream: Span,
}

/// The reason why an action wasn't carried out.
enum Stop {
    Api(Error),
    Refused(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Api(error)
    }
}

impl Actor {
    /// Creates an actor for the stream of `context` that began at `began`. The results of actions go to `reports`.
    pub fn new(
        client: &Client,
        context: Arc<RunContext>,
        metrics: Arc<Metrics>,
        began: Timestamp,
        reports: UnboundedSender<Report>,
    ) -> Self {
        Self {
            jobs: api::jobs(client, &context.namespace, context.config.backend),
            config_maps: api::config_maps(client, &context.namespace),
            secrets: api::secrets(client, &context.namespace),
            began: format!("{began:.3}").into(),
            permits: Arc::new(Semaphore::new(context.config.concurrency as usize)),
            context,
            metrics,
            reports,
            stream: Span::current(),
        }
    }

    /// Carries out `action` for the job `spec`; returns when it's done or refused, unless the task is dropped first. If `is_anew`, a start creates
    /// the job's objects; otherwise it resumes the suspended ones.
    pub async fn act(self, action: Action, spec: Arc<JobSpec>, is_anew: bool) {
        let mut waits = Waits::new();
        loop {
            let outcome = {
                // The permit isn't held while waiting, so that other actions can proceed.
                let Ok(_permit) = self.permits.acquire().await else { return };
                // The future of the requests is allocated only while they are under way: thousands of jobs may wait for a permit.
                let span = tracing::error_span!(parent: &self.stream, "job", job = %spec.id);
                Box::pin(self.try_once(&action, &spec, is_anew).instrument(span)).await
            };
            let report = match outcome {
                Ok(uid) => Report::Done { action, uid, at: Instant::now() },
                Err(Stop::Refused(reason)) => Report::Refused { action, reason },
                // A refused suspension doesn't end the job: it keeps running.
                Err(Stop::Api(error)) if failure(&error) == Failure::Wrong && matches!(action, Action::Start { .. }) => {
                    Report::Refused { action, reason: format!("the API server refuses it: {}", words(&error)) }
                }
                Err(Stop::Api(error)) => {
                    self.metrics.retried();
                    if failure(&error) != Failure::Changed {
                        // The receiver is gone only when the whole edge ends.
                        let _ = self.reports.send(Report::Trouble { job: spec.id.clone(), reason: words(&error) });
                    }
                    sleep(waits.after(&error)).await;
                    continue;
                }
            };
            let _ = self.reports.send(report);
            return;
        }
    }

    async fn try_once(&self, action: &Action, spec: &JobSpec, is_anew: bool) -> Result<Option<String>, Stop> {
        let done = match action {
            Action::Start { attempt, .. } => self.start(spec, *attempt, is_anew).await,
            Action::Suspend { attempt, .. } => self.suspend(spec, *attempt).await.map(|()| None),
        };
        match (action, &done) {
            (Action::Start { attempt, .. }, Ok(Some(_))) => tracing::debug!(attempt, "job {} is started", spec.id),
            (Action::Start { attempt, .. }, Ok(None)) => tracing::debug!(attempt, "job {} can't resume: its object is gone", spec.id),
            (Action::Suspend { attempt, .. }, Ok(_)) => tracing::debug!(attempt, "job {} is asked to suspend", spec.id),
            (_, Err(Stop::Api(error))) => tracing::debug!("job {}: {}", spec.id, words(error)),
            (_, Err(Stop::Refused(reason))) => tracing::debug!("job {} is refused: {reason}", spec.id),
        }
        done
    }

    /// Creates the job's objects, or resumes its suspended one. Returns `None` if that one no longer exists.
    async fn start(&self, spec: &JobSpec, attempt: u32, is_anew: bool) -> Result<Option<String>, Stop> {
        let credentials =
            self.context.credentials(spec).map_err(|reason| Stop::Refused(format!("its credentials can't be made: {reason}")))?;
        let manifests = self.context.manifests(spec, attempt, &credentials);
        let mut object: DynamicObject = serde_json::from_value(manifests.job).map_err(|error| Stop::Api(Error::SerdeError(error)))?;
        object.annotations_mut().insert(ANNOTATION_BEGAN.to_owned(), self.began.to_string());
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let job = if is_anew {
            match self.timed("create", self.jobs.create(&parameters, &object)).await {
                Ok(job) => job,
                Err(error) if failure(&error) == Failure::Exists => self.take_up(spec, attempt).await?,
                Err(error) => return Err(error.into()),
            }
        } else {
            match self.take_up(spec, attempt).await {
                Ok(job) => job,
                // The watch reports the missing object.
                Err(Stop::Api(error)) if failure(&error) == Failure::Missing => return Ok(None),
                Err(stop) => return Err(stop),
            }
        };
        let uid = job.uid().unwrap_or_default();
        let owner = OwnerReference {
            api_version: api::job_resource(self.context.config.backend).api_version,
            block_owner_deletion: Some(true),
            controller: Some(true),
            kind: api::job_resource(self.context.config.backend).kind,
            name: job_name(&spec.id),
            uid: uid.clone(),
        };
        for manifest in manifests.config_maps {
            let mut config_map: ConfigMap = serde_json::from_value(manifest).map_err(|error| Stop::Api(Error::SerdeError(error)))?;
            config_map.metadata.owner_references = Some(vec![owner.clone()]);
            let made = match self.timed("create", self.config_maps.create(&parameters, &config_map)).await {
                Err(error) if failure(&error) == Failure::Exists => self.own(&config_map, spec).await,
                made => made.map(drop),
            };
            self.or_suspended(made, spec, attempt).await?;
        }
        if let Some(manifest) = manifests.secret {
            let made = self.make_secret(manifest, &job, owner).await;
            self.or_suspended(made, spec, attempt).await?;
        }
        Ok(Some(uid))
    }

    /// Suspends the job if one of its objects is refused: without it, its pods would wait for ever, and take up capacity.
    async fn or_suspended(&self, made: Result<(), Error>, spec: &JobSpec, attempt: u32) -> Result<(), Stop> {
        let Err(error) = made else { return Ok(()) };
        if failure(&error) == Failure::Wrong {
            self.suspend(spec, attempt).await?;
        }
        Err(error.into())
    }

    /// Creates the Secret with the credentials of `job`, under the name that its object has: a start that was killed may have made the object, and even
    /// the Secret, which then stays as it is. An object of a version that had no nodes on a cluster names none.
    async fn make_secret(&self, manifest: Value, job: &DynamicObject, owner: OwnerReference) -> Result<(), Error> {
        let Some(name) = job.annotations().get(ANNOTATION_CREDENTIALS) else { return Ok(()) };
        let mut secret: Secret = serde_json::from_value(manifest).map_err(Error::SerdeError)?;
        secret.metadata.name = Some(name.clone());
        secret.metadata.owner_references = Some(vec![owner]);
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.timed("create", self.secrets.create(&parameters, &secret)).await {
            Err(error) if failure(&error) == Failure::Exists => Ok(()),
            made => made.map(drop),
        }
    }

    /// Fetches the job object that exists already, created before a kill or suspended, and resumes it.
    async fn take_up(&self, spec: &JobSpec, attempt: u32) -> Result<DynamicObject, Stop> {
        let name = job_name(&spec.id);
        let job = self.timed("get", self.jobs.get(&name)).await?;
        let is_ours = job.labels().get(RUN_LABEL) == Some(&self.context.run) && job.labels().get(JOB_LABEL) == Some(&spec.id.0);
        if !is_ours {
            return Err(Stop::Refused(format!("there is a `{name}` in namespace `{}` that isn't of this run", self.context.namespace)));
        }
        let began = job.annotations().get(ANNOTATION_BEGAN);
        if began.map(String::as_str) != Some(&*self.began) {
            let RunContext { run, namespace, .. } = &*self.context;
            let began = began.map(|began| format!(", begun at {began}")).unwrap_or_default();
            return Err(Stop::Refused(format!(
                "`{name}` in namespace `{namespace}` belongs to another stream named `{run}`{began}: give one of them another `--id`"
            )));
        }
        if attempt_of(&job).is_some_and(|there| there >= attempt) {
            return Ok(job);
        }
        // A hold by somebody else outlasts the suspension that the planner requested: only whoever made the hold lifts it.
        let spec = if self.is_held(&job) { json!({}) } else { self.suspend_spec(false) };
        let patch = json!({
            "metadata": { "resourceVersion": job.resource_version(), "annotations": { ANNOTATION_ATTEMPT: attempt.to_string() } },
            "spec": spec,
        });
        Ok(self.timed("patch", self.jobs.patch(&name, &patch_parameters(), &Patch::Merge(&patch))).await?)
    }

    /// Makes the current job object the owner of an existing config map: the job may have been deleted and created again. A config map is immutable,
    /// so one with other contents is refused. One from another version of fltk may say the same with fewer settings, if some were added later.
    async fn own(&self, config_map: &ConfigMap, spec: &JobSpec) -> Result<(), Error> {
        let name = config_map.name_any();
        let mut patch = json!({ "metadata": { "ownerReferences": config_map.metadata.owner_references }, "data": config_map.data });
        let refused = match self.timed("patch", self.config_maps.patch(&name, &patch_parameters(), &Patch::Merge(&patch))).await {
            Err(error) if failure(&error) == Failure::Wrong => error,
            patched => return patched.map(drop),
        };
        if let Some(patch) = patch.as_object_mut() {
            patch.remove("data");
        }
        // A dry-run patch returns the config map without the right to read all config maps.
        let look = PatchParams { dry_run: true, ..patch_parameters() };
        let there = self.timed("patch", self.config_maps.patch(&name, &look, &Patch::Merge(&patch))).await?;
        if !self.context.is_said_by(&there, spec) {
            return Err(refused);
        }
        patch["metadata"]["uid"] = json!(there.metadata.uid);
        self.timed("patch", self.config_maps.patch(&name, &patch_parameters(), &Patch::Merge(&patch))).await.map(drop)
    }

    async fn suspend(&self, spec: &JobSpec, attempt: u32) -> Result<(), Stop> {
        let name = job_name(&spec.id);
        let job = match self.timed("get", self.jobs.get(&name)).await {
            Ok(job) => job,
            // The watch reports the missing object.
            Err(error) if failure(&error) == Failure::Missing => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if attempt_of(&job) != Some(attempt) {
            return Ok(());
        }
        // The resource version keeps a late request from suspending a later start.
        let patch = json!({ "metadata": { "resourceVersion": job.resource_version() }, "spec": self.suspend_spec(true) });
        match self.timed("patch", self.jobs.patch(&name, &patch_parameters(), &Patch::Merge(&patch))).await {
            Ok(_) => Ok(()),
            Err(error) if failure(&error) == Failure::Missing => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// True if somebody else suspended the job. The API server records who last set a field; setting a field to the value that it has doesn't count.
    fn is_held(&self, job: &DynamicObject) -> bool {
        let (field, owned) = match self.context.config.backend {
            Backend::PyTorchJob => ("/spec/runPolicy/suspend", "/f:spec/f:runPolicy/f:suspend"),
            Backend::TrainJob => ("/spec/suspend", "/f:spec/f:suspend"),
        };
        let is_owner = |entry: &&ManagedFieldsEntry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(owned).is_some());
        let owners: Vec<_> = job.managed_fields().iter().filter(is_owner).map(|entry| entry.manager.as_deref()).collect();
        let is_suspended = job.data.pointer(field) == Some(&Value::Bool(true));
        // If no owner of the field is recorded, we set it.
        is_suspended && !owners.is_empty() && !owners.contains(&Some(FIELD_MANAGER))
    }

    fn suspend_spec(&self, suspend: bool) -> Value {
        match self.context.config.backend {
            Backend::PyTorchJob => json!({ "runPolicy": { "suspend": suspend } }),
            Backend::TrainJob => json!({ "suspend": suspend }),
        }
    }

    async fn timed<T>(&self, verb: &'static str, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let start = Instant::now();
        let outcome = in_time(request).await;
        let elapsed = start.elapsed();
        self.metrics.requested(verb, elapsed, outcome.is_ok());
        tracing::trace!(
            verb,
            seconds = elapsed.as_secs_f64(),
            is_ok = outcome.is_ok(),
            "a request to {verb} took {} ms",
            elapsed.as_millis()
        );
        outcome
    }
}

fn attempt_of(job: &DynamicObject) -> Option<u32> {
    job.annotations().get(ANNOTATION_ATTEMPT)?.parse().ok()
}

fn patch_parameters() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
