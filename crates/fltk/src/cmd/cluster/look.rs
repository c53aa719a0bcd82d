//! The state of a job as the cluster itself reports it, in addition to the orchestrator's journal.

use std::{future::Future, time::Duration};

use fltk_kubernetes::{look, manifest::RunContext};
use fltk_plan::plan::{Job, State};
use jiff::Timestamp;
use tokio::{runtime::Runtime, time::timeout};

use super::connect;
use crate::cli::TargetArgs;

/// How long the cluster has to answer: the journal's information is available without it.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Returns what the pods of `job` wait for, or why the job isn't suspended yet as requested; `None` if neither applies or the cluster doesn't answer.
pub fn pods_wait(target: &TargetArgs, context: &RunContext, job: &Job) -> Option<String> {
    let look = async {
        let target = connect(target).await.ok()?;
        let is_leaving = matches!(job.state, State::Suspending { .. });
        look::waits(&target.client, context, &job.spec, is_leaving, Timestamp::now()).await
    };
    answer(LOOK_LIMIT, look)
}

/// Returns the result of `look`, or `None` if it takes longer than `limit`.
fn answer<T>(limit: Duration, look: impl Future<Output = Option<T>>) -> Option<T> {
    // `timeout` must be called within a runtime, or it panics.
    Runtime::new().ok()?.block_on(async { timeout(limit, look).await }).ok()?
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn answers_have_a_time_limit() {
        assert_eq!(answer(LOOK_LIMIT, ready(Some(1))), Some(1));
        assert_eq!(answer(LOOK_LIMIT, ready(None::<u32>)), None);
        assert_eq!(answer(Duration::from_millis(1), pending::<Option<u32>>()), None);
    }
}
