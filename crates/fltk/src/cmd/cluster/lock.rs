//! The lock of a stream, which another orchestrator may hold for a moment longer: `helm upgrade` creates the new pod before it ends the old one.

use std::{pin::Pin, time::Duration};

use fltk_records::{RunError, RunLock, StreamFolder};
use tokio::time::{Instant, sleep};

use crate::{
    cli::ClusterArgs,
    exit::{Exit, OrExit as _, failure},
    work::Work,
};

/// How often the lock is tried: short compared with the jobs that wait for it, which take minutes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Takes the lock of `folder`, waiting for another holder for as long as `args` allow.
///
/// # Errors
/// If another process still holds it then, or `stop` completes first.
pub async fn take(args: &ClusterArgs, folder: &StreamFolder, mut stop: Pin<&mut impl Future<Output = ()>>) -> anyhow::Result<RunLock> {
    let who = format!("`fltk cluster`, process {}", std::process::id());
    let limit = args.wait.unwrap_or(fltk_core::experiment::Duration::from_millis(0));
    let deadline = Instant::now() + Duration::from_millis(limit.as_millis());
    let mut work = None;
    loop {
        match folder.lock(&who) {
            Err(RunError::Locked { path, holder }) if Instant::now() < deadline => {
                if work.is_none() {
                    tracing::info!("`{}` is being written by {holder}; waiting until that has ended, at most {limit}", path.display());
                    work = Some(Work::wait("waiting for the other orchestrator"));
                }
            }
            taken => return taken.or_exit(Exit::Records),
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = &mut stop => return Err(failure(Exit::Interrupted, "interrupted while another orchestrator worked on the stream")),
        }
    }
}
