//! Kubernetes Events on jobs, for `kubectl describe`: what the orchestrator did to one, and why.
//!
//! They are a courtesy: few at a time, none that would say nothing, and none is tried again.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    api::job_resource,
    manifest::{RunContext, job_name},
};
use crate::{Action, plan::Job};

/// Requests for events under way at once.
const CONCURRENCY: usize = 4;
/// For one request.
const LIMIT: Duration = Duration::from_secs(10);
/// A job that waited less than this wasn't kept waiting, in seconds.
const WAIT_MIN: f64 = 1.0;

/// Publishes events.
pub struct Publisher {
    recorder: Recorder,
    permits: Arc<Semaphore>,
    namespace: String,
    kind: String,
    api_version: String,
}

impl Publisher {
    /// For the jobs of `context`.
    pub fn new(client: &Client, context: &RunContext) -> Self {
        let resource = job_resource(context.config.backend);
        let reporter = Reporter { controller: "fltk.node/orchestrator".to_owned(), instance: Some(context.run.clone()) };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            namespace: context.namespace.clone(),
            kind: resource.kind,
            api_version: resource.api_version,
        }
    }

    /// Says that `action` was done to `job`, whose object has `uid`.
    pub fn publish(&self, action: &Action, job: &Job, uid: String) {
        let Some((reason, note)) = words(action, job) else { return };
        let reference = ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(self.kind.clone()),
            name: Some(job_name(&job.spec.id)),
            namespace: Some(self.namespace.clone()),
            uid: Some(uid),
            ..ObjectReference::default()
        };
        let event =
            Event { type_: EventType::Normal, reason: reason.to_owned(), note: Some(note), action: reason.to_owned(), secondary: None };
        // A courtesy: not while as many as may be are under way.
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            let _ = timeout(LIMIT, recorder.publish(&event, &reference)).await;
            drop(permit);
        });
    }
}

fn words(action: &Action, job: &Job) -> Option<(&'static str, String)> {
    match action {
        Action::Start { attempt: 1, .. } => {
            let waited = job.record.admission_seconds()?;
            (waited >= WAIT_MIN).then(|| ("Admitted", format!("Admitted after {waited:.1} s in the queue of the stream")))
        }
        Action::Start { attempt, .. } => {
            Some(("Resumed", format!("Its place is free again; it goes on from its checkpoint (start {attempt})")))
        }
        Action::Suspend { for_job, .. } => {
            Some(("Preempted", format!("Suspended: job {for_job}, of higher priority, wants its place; it goes on later")))
        }
    }
}
