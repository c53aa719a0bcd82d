//! Threads that live as long as a run.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{Builder, Scope},
};

use crate::drive::RunError;

/// Starts a thread of a scope.
///
/// # Errors
/// If the system has no more.
pub fn spawn<'scope>(scope: &'scope Scope<'scope, '_>, name: String, body: impl FnOnce() + Send + 'scope) -> Result<(), RunError> {
    Builder::new().name(name).spawn_scoped(scope, body).map(drop).map_err(RunError::Thread)
}

/// Raises its flag when it is dropped.
pub struct RaiseOnDrop<'a>(pub &'a AtomicBool);

impl Drop for RaiseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
