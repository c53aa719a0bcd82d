//! Retries of failed jobs: a failed object can't resume, so it's removed here, and the planner of the stream creates it anew.

use jiff::Timestamp;
use kube::{
    Client, Error, ResourceExt as _,
    api::{DeleteParams, Preconditions, PropagationPolicy},
};
use tokio::time::{Duration, Instant, sleep};

use super::{
    api::{self, Failure, failure, in_time},
    manifest::{ANNOTATION_BEGAN, RUN_LABEL, RunContext, job_name},
};
use crate::JobId;

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
        let Some(there) = in_time(all.get_opt(&name)).await? else { continue };
        let is_ours = there.labels().get(RUN_LABEL) == Some(&context.run) && there.annotations().get(ANNOTATION_BEGAN) == Some(&began);
        if !is_ours {
            continue;
        }
        let parameters = DeleteParams {
            // Foreground deletion removes the object after its pods.
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(Preconditions { uid: there.metadata.uid.clone(), resource_version: None }),
            ..DeleteParams::default()
        };
        match in_time(all.delete(&name, &parameters)).await {
            Ok(_) => going.push(name),
            Err(error) if failure(&error) == Failure::Missing => {}
            Err(error) => return Err(error),
        }
    }
    let deadline = Instant::now() + GONE_LIMIT;
    for name in going {
        while in_time(all.get_metadata_opt(&name)).await?.is_some() {
            if Instant::now() >= deadline {
                let words = format!("`{name}` is still there after {} s: does the node of its pods answer?", GONE_LIMIT.as_secs());
                return Err(Error::Service(words.into()));
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}
