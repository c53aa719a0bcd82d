//! Retries of failed jobs: a failed object can't resume, so it's removed here, and the planner of the stream creates it anew.

use fltk_plan::JobId;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Error, ResourceExt as _,
    api::{DeleteParams, ListParams, Preconditions},
};
use tokio::time::{Duration, Instant, sleep};

use crate::{
    api::{self, Failure, failure, in_time},
    manifest::{ANNOTATION_BEGAN, JOB_LABEL, RUN_LABEL, RunContext, job_name, run_selector},
};

/// The time limit for removed objects and their pods to be gone: containers have half a minute to end.
const GONE_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Removes the objects of `jobs` and waits until they are gone. The jobs belong to the stream of `context` that began at `began`; objects of others
/// with the same names stay.
///
/// # Errors
/// If the API server refuses, or some objects still exist at the time limit.
pub async fn clear(client: &Client, context: &RunContext, began: Timestamp, jobs: &[JobId]) -> Result<(), Error> {
    let all = api::jobs(client, &context.namespace, context.config.backend);
    let began = format!("{began:.3}");
    let mut going = Vec::new();
    for id in jobs {
        let name = job_name(id);
        let Some(there) = in_time(all.get_opt(&name)).await? else {
            // A start that was killed here removed it; its pods may still end.
            going.push((name, id));
            continue;
        };
        let is_ours = there.labels().get(RUN_LABEL) == Some(&context.run) && there.annotations().get(ANNOTATION_BEGAN) == Some(&began);
        if !is_ours {
            continue;
        }
        let preconditions = Preconditions { uid: there.metadata.uid.clone(), resource_version: None };
        // In the background: while a `TrainJob` waits for its dependents, JobSet's controller makes them anew for as long as it waits.
        match in_time(all.delete(&name, &DeleteParams::background().preconditions(preconditions))).await {
            Ok(_) => {
                tracing::debug!(job = %id, "`{name}` is removed, so that the job can be tried again");
                going.push((name, id));
            }
            Err(error) if failure(&error) == Failure::Missing => {}
            Err(error) => return Err(error),
        }
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &context.namespace);
    let deadline = Instant::now() + GONE_LIMIT;
    for (name, id) in going {
        // The new object's pods have the names of the old one's.
        let its_pods = ListParams::default().labels(&format!("{},{JOB_LABEL}={id}", run_selector(&context.run)));
        while in_time(all.get_metadata_opt(&name)).await?.is_some() || !in_time(pods.list_metadata(&its_pods)).await?.items.is_empty() {
            if Instant::now() >= deadline {
                let words = format!("`{name}` or its pods are still there after {} s: does their node answer?", GONE_LIMIT.as_secs());
                return Err(Error::Service(words.into()));
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}
