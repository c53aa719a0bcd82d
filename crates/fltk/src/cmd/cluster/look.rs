//! What the cluster itself says of a job, beside what the orchestrator's journal does.

use std::{future::Future, time::Duration};

use fltk_cluster::{
    kubernetes::{look, manifest::RunContext},
    plan::{Job, State},
};
use jiff::Timestamp;
use tokio::{runtime::Runtime, time::timeout};

use super::connect;
use crate::cli::TargetArgs;

/// How long the cluster has to answer: what the journal says is known without it.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// What the pods of `job` wait for, or why it isn't suspended as was asked for; if the cluster answers, and that is so.
pub fn pods_wait(target: &TargetArgs, context: &RunContext, job: &Job) -> Option<String> {
    let look = async {
        let target = connect(target).await.ok()?;
        let is_leaving = matches!(job.state, State::Suspending { .. });
        look::waits(&target.client, context, &job.spec, is_leaving, Timestamp::now()).await
    };
    answer(LOOK_LIMIT, look)
}

/// What `look` comes to, unless it takes longer than `limit`.
fn answer<T>(limit: Duration, look: impl Future<Output = Option<T>>) -> Option<T> {
    // A time-out is made within a runtime, or it panics.
    Runtime::new().ok()?.block_on(async { timeout(limit, look).await }).ok()?
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn an_answer_has_its_time() {
        assert_eq!(answer(LOOK_LIMIT, ready(Some(1))), Some(1));
        assert_eq!(answer(LOOK_LIMIT, ready(None::<u32>)), None);
        assert_eq!(answer(Duration::from_millis(1), pending::<Option<u32>>()), None);
    }
}
