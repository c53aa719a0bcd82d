//! Calls into libtorch that have no limit of their own, with one.

use std::{sync::mpsc::channel, thread, time::Duration};

/// How much longer than its own time-out a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `call` returns; `None` if it takes longer than `limit` and some seconds, or panics. The thread that it runs on is then left behind: what C++ waits
/// for can't be interrupted.
pub fn bounded<T: Send + 'static>(limit: Duration, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, answer) = channel();
    thread::spawn(move || send.send(call()));
    answer.recv_timeout(limit.saturating_add(PATIENCE)).ok()
}
