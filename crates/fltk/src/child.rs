//! Child processes: none outlives this process, and a terminal's signals reach them only through it.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    exit::{Exit, failure},
    hand_over::INTERFACE,
    log,
};

/// The environment variable with the process ID of the launcher, so that a child ends when its launcher does.
pub const LAUNCHER: &str = "FLTK_LAUNCHER";

/// Starts `command`, of this program, tied to this process. Must be called on the main thread: the kernel treats the end of the calling thread as
/// the end of the launcher.
///
/// # Errors
/// If it can't be started.
pub fn start(command: &mut Command) -> io::Result<Child> {
    command.env(LAUNCHER, std::process::id().to_string());
    // The variable is meant for this process alone.
    command.env_remove(INTERFACE);
    // The child's messages are for whoever reads this process's.
    command.env_remove(log::FORMAT);
    // Threads that spin while they wait take CPU time from the other processes.
    command.env("OMP_WAIT_POLICY", "passive");
    command.stdout(Stdio::null());
    // Ctrl-C reaches the terminal's whole foreground process group; only the launcher is to pass it on.
    command.process_group(0);
    command.spawn()
}

/// Asks `child` to stop.
pub fn ask_to_stop(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The child may have ended already.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Ties this process to its launcher, whose process ID is `launcher`: the kernel kills this process when the launcher dies.
///
/// # Errors
/// If the launcher has ended already, or `launcher` isn't a process ID.
pub fn end_with(launcher: &str) -> anyhow::Result<()> {
    let Some(launcher) = launcher.parse().ok().and_then(Pid::from_raw) else {
        return Err(failure(Exit::General, format!("{LAUNCHER} is `{launcher}`, which is no process")));
    };
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("can't be tied to the launcher")?;
    // The launcher may have died before the previous call.
    if rustix::process::getppid() != Some(launcher) {
        return Err(failure(Exit::Interrupted, "the launcher of this process is gone"));
    }
    Ok(())
}
