//! Jobs that failed are tried again: an object that has failed can't go on, so it's removed, and made anew by whoever plans the stream.

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

/// How long removed objects may take to be gone, with their pods: containers have half a minute to end.
const GONE_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Removes the objects of `jobs`, of the stream with `context` that began at `began`, and waits until they are gone. Objects of others with their names stay.
///
/// # Errors
/// If the API server refuses, or some are still there.
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
            // So that it's gone after its pods.
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
