//! Processes that this one starts: none outlives it, and what a terminal sends reaches them through it alone.

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
};

/// The variable that tells a process its launcher's, so that it ends with it.
pub const LAUNCHER: &str = "FLTK_LAUNCHER";

/// Starts `command`, of this program, tied to this process. From the main thread: the kernel takes the end of the thread for that of the launcher.
///
/// # Errors
/// If it can't be started.
pub fn start(command: &mut Command) -> io::Result<Child> {
    command.env(LAUNCHER, std::process::id().to_string());
    // It was said to this process alone.
    command.env_remove(INTERFACE);
    // Threads that spin while they wait eat the time of the other processes.
    command.env("OMP_WAIT_POLICY", "passive");
    command.stdout(Stdio::null());
    // Ctrl-C reaches the whole group of a terminal's processes; only the launcher passes it on.
    command.process_group(0);
    command.spawn()
}

/// Asks `child` to stop.
pub fn ask_to_stop(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Ties this process to its launcher, whose process `launcher` names: the kernel kills it when the launcher dies.
///
/// # Errors
/// If the launcher is gone already, or isn't named by a number.
pub fn end_with(launcher: &str) -> anyhow::Result<()> {
    let Some(launcher) = launcher.parse().ok().and_then(Pid::from_raw) else {
        return Err(failure(Exit::General, format!("{LAUNCHER} is `{launcher}`, which is no process")));
    };
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("can't be tied to the launcher")?;
    // It may have died before that.
    if rustix::process::getppid() != Some(launcher) {
        return Err(failure(Exit::Interrupted, "the launcher of this process is gone"));
    }
    Ok(())
}
