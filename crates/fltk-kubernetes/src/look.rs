//! A look at one job, without watching.

use std::time::Duration;

use fltk_plan::JobSpec;
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::{Api, Client, api::ListParams};

use crate::{
    api,
    manifest::{JOB_LABEL, RunContext, job_name},
    status,
    view::{NotRunning, View},
};

/// The reason why not all pods of the job run at the time `now`; `None` if they do run, or if nothing is known. If the job's suspension was requested
/// (`is_leaving`), the reason why it isn't suspended yet.
pub async fn waits(client: &Client, context: &RunContext, spec: &JobSpec, is_leaving: bool, now: Timestamp) -> Option<String> {
    let (backend, id) = (context.config.backend, &spec.id);
    let job = api::jobs(client, &context.namespace, backend).get_opt(&job_name(id)).await.ok()?;
    let Some(job) = job else { return Some(format!("there is no `{}` in namespace `{}`", job_name(id), context.namespace)) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), &context.namespace);
    let pods = pods.list(&ListParams::default().labels(&format!("{JOB_LABEL}={id}"))).await.ok()?;
    let mut view = View::new(0);
    view.has_job(status::job(&job, backend)?);
    pods.items.iter().filter_map(status::pod).for_each(|pod| view.has_pod(pod));
    if is_leaving {
        return view.stays(id).map(|why| why.to_string());
    }
    let made = job.metadata.creation_timestamp.map_or(now, |made| made.0);
    let mut waits = view.waits_at_age(id, spec.num_pods(), Duration::try_from(now.duration_since(made)).unwrap_or_default())?;
    if let NotRunning::NotMade { why, .. } = &mut waits {
        *why = not_made(client, context, &job_name(id)).await;
    }
    Some(waits.to_string())
}

/// The last warning about creating pods for the job object `name`: the training operator reports it on that object, other controllers on the objects
/// that they created for it, whose names start with its name and a hyphen.
async fn not_made(client: &Client, context: &RunContext, name: &str) -> Option<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), &context.namespace);
    let warnings = events.list(&ListParams::default().fields("type=Warning")).await.ok()?;
    let is_of_job = |event: &&Event| {
        let regarding = event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()).unwrap_or_default();
        let is_of_job = regarding.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        is_of_job && event.reason.as_deref().is_some_and(|reason| reason.contains("Create"))
    };
    let last = warnings.items.iter().filter(is_of_job).max_by_key(|event| {
        let seen = event.series.as_ref().map(|series| series.last_observed_time.0);
        seen.or_else(|| event.deprecated_last_timestamp.as_ref().map(|time| time.0))
            .or_else(|| event.event_time.as_ref().map(|time| time.0))
    });
    last?.note.clone()
}
