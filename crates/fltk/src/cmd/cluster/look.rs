//! What the cluster itself says of a job, beside what the orchestrator's journal does.

use std::time::Duration;

use fltk_cluster::{
    JobSpec,
    kubernetes::{look, manifest::RunContext},
};
use jiff::Timestamp;
use tokio::{runtime::Runtime, time::timeout};

use super::connect;
use crate::cli::TargetArgs;

/// How long the cluster has to answer: what the journal says is known without it.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// What the pods of `job` wait for, if the cluster answers and they do.
pub fn pods_wait(target: &TargetArgs, context: &RunContext, job: &JobSpec) -> Option<String> {
    let look = async {
        let target = connect(target).await.ok()?;
        look::waits(&target.client, context, job, Timestamp::now()).await
    };
    Runtime::new().ok()?.block_on(timeout(LOOK_LIMIT, look)).ok()?
}
