//! A time limit for calls into libtorch that have none of their own.

use std::{sync::mpsc::channel, thread, time::Duration};

/// How much longer than its own time-out a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the result of `call`, or `None` if it panics or takes some seconds longer than `limit`. Its thread is then left behind: a wait in C++ can't be
/// interrupted.
pub fn bounded<T: Send + 'static>(limit: Duration, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, answer) = channel();
    thread::spawn(move || send.send(call()));
    answer.recv_timeout(limit.saturating_add(PATIENCE)).ok()
}
