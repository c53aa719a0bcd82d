//! Kubernetes Events on jobs, for `kubectl describe`: the orchestrator's actions on a job, and the reasons; and nodes of federated jobs that are lost.
//!
//! Events are best effort: few at a time, none without information, and none is retried.

use std::{sync::Arc, time::Duration};

use fltk_plan::{Action, JobId, plan::Job};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    api::job_resource,
    manifest::{RunContext, job_name},
    tracker::LostNode,
};

/// The maximum number of concurrent event requests.
const CONCURRENCY: usize = 4;
/// The time limit of one request.
const LIMIT: Duration = Duration::from_secs(10);
/// The shortest wait, in seconds, that is worth reporting.
const WAIT_MIN: f64 = 1.0;

/// The publisher of events.
pub struct Publisher {
    recorder: Recorder,
    permits: Arc<Semaphore>,
    namespace: String,
    kind: String,
    api_version: String,
}

impl Publisher {
    /// Creates the publisher for the jobs of `context`.
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

    /// Publishes that `action` was carried out for `job`, whose object has the UID `uid`.
    pub fn publish(&self, action: &Action, job: &Job, uid: String) {
        let Some((reason, note)) = words(action, job) else { return };
        let event =
            Event { type_: EventType::Normal, reason: reason.to_owned(), note: Some(note), action: reason.to_owned(), secondary: None };
        self.send(event, &job.spec.id, uid);
    }

    /// Publishes that a node of a federated job is lost.
    pub fn publish_loss(&self, lost: LostNode) {
        /// The longest note that the API server takes, in bytes.
        const NOTE_BYTES_MAX: usize = 1024;
        const REASON: &str = "NodeLost";
        let LostNode { job, uid, node, pod: (name, pod_uid), words } = lost;
        let mut note = format!("Node {node} ({name}) is lost, and its work is done by others: {words}");
        note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
        let pod = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            uid: Some(pod_uid),
            ..ObjectReference::default()
        };
        // With the pod, the losses of different nodes are different events.
        let (reason, action) = (REASON.to_owned(), REASON.to_owned());
        self.send(Event { type_: EventType::Warning, reason, note: Some(note), action, secondary: Some(pod) }, &job, uid);
    }

    fn send(&self, event: Event, job: &JobId, uid: String) {
        let reference = ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(self.kind.clone()),
            name: Some(job_name(job)),
            namespace: Some(self.namespace.clone()),
            uid: Some(uid),
            ..ObjectReference::default()
        };
        // Events are best effort: this one is dropped while the maximum number is under way.
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
            Some(("Resumed", format!("Its place is free again; it resumes from its checkpoint (start {attempt})")))
        }
        Action::Suspend { for_job, .. } => {
            Some(("Preempted", format!("Suspended: preempted by job {for_job} of higher priority; it resumes later")))
        }
    }
}
