//! Ctrl-C and SIGTERM: the first asks the run to stop at the next safe point, the second ends the program at once.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Returns a flag that is set when the process is asked to stop. Records up to then are kept, and the run can be resumed.
///
/// # Errors
/// If the signal handlers can't be installed.
pub fn on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        // Registered before the handler that sets the flag: the second signal finds it set and ends the process with 130.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Returns the same flag, but no signal ends the program: for callers that must first remove something, which takes a bounded time.
///
/// # Errors
/// If the signal handlers can't be installed.
#[cfg(all(feature = "cluster", feature = "web"))]
pub fn on_every_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
