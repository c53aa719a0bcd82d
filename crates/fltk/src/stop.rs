//! Ctrl-C and SIGTERM: the first asks the run to stop at the next safe point, the second ends the program at once.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// A flag that is set when the process is asked to stop. What was recorded until then stays, and the run can be resumed.
///
/// # Errors
/// If the signal handlers can't be installed.
pub fn on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        // Before the one that sets it: the second signal finds the flag set and ends the process with 130.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// The same, but that no signal ends the program: for who has something to remove first, which takes a bounded time.
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
