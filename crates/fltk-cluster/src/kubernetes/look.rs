//! A look at one job, without watching.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};

use super::{
    api,
    manifest::{JOB_LABEL, RunContext, job_name},
    status,
    view::View,
};
use crate::JobId;

/// Why not all pods of the job run, at the time `now`; `None` if they do, or if nothing can be said.
pub async fn waits(client: &Client, context: &RunContext, id: &JobId, now: Timestamp) -> Option<String> {
    let backend = context.config.backend;
    let job = api::jobs(client, &context.namespace, backend).get_opt(&job_name(id)).await.ok()?;
    let Some(job) = job else { return Some(format!("there is no `{}` in namespace `{}`", job_name(id), context.namespace)) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), &context.namespace);
    let pods = pods.list(&ListParams::default().labels(&format!("{JOB_LABEL}={id}"))).await.ok()?;
    let mut view = View::new(0);
    view.has_job(status::job(&job, backend)?);
    pods.items.iter().filter_map(status::pod).for_each(|pod| view.has_pod(pod));
    let made = job.metadata.creation_timestamp.map_or(now, |made| made.0);
    view.waits_at_age(id, Duration::try_from(now.duration_since(made)).unwrap_or_default())
}
