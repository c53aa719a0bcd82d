//! The keeper of a program: a process between `fltk run` and the program, which is started as this program with [`WORD`] as its first argument.
//!
//! A keeper gives the program a process group of its own, ends the whole group when the program ends, when it is asked to, or when `fltk run` dies in any way, and
//! ends with the program's exit code. So nothing that the program started is left behind, unless it left its group.
//!
//! | signal | what it does |
//! |---|---|
//! | SIGTERM | passes it on to the group, and kills what is left of the group after the grace time, though the program itself may have ended before: a shell ends at once, and what it started may be writing a checkpoint |
//! | SIGHUP | kills the group at once; the kernel sends it when the launcher dies |

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use signal_hook::{
    consts::{SIGHUP, SIGTERM},
    flag,
};

use crate::exit::{Exit, failure};

/// The first argument of a keeper. It isn't a command of the command line.
pub const WORD: &str = "keep-program";
/// The exit code if the program can't be started, as a shell has it.
pub const EXIT_NOT_STARTED: u8 = 127;
/// The exit code of a program that a signal ended, without the number of the signal, as a shell has it.
const EXIT_SIGNAL: i32 = 128;
/// The longest pause between two looks at the program: its end is noticed that late.
const POLL_MAX: Duration = Duration::from_millis(20);

/// Returns true if this process is to be a keeper.
#[must_use]
pub fn is_asked_for() -> bool {
    env::args_os().nth(1).is_some_and(|word| word == WORD)
}

/// Returns the arguments of a keeper whose launcher is this process, before those of the program.
#[must_use]
pub fn arguments(grace: Duration) -> [String; 3] {
    [WORD.to_owned(), std::process::id().to_string(), grace.as_millis().to_string()]
}

/// Runs the program that the arguments name, and ends this process with its exit code.
///
/// # Errors
/// If the arguments are wrong, or the program can't be started.
pub fn run() -> anyhow::Result<()> {
    let mut words = env::args_os().skip(2);
    let mut number = || words.next().and_then(|word| word.to_str().and_then(|word| word.parse::<u64>().ok()));
    let (Some(launcher), Some(grace)) = (number(), number()) else {
        return Err(failure(Exit::CommandLine, format!("`{WORD}` is for `fltk run` alone")));
    };
    let words: Vec<OsString> = words.collect();
    let (stop, kill) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    flag::register(SIGTERM, Arc::clone(&stop)).context("can't handle signals")?;
    flag::register(SIGHUP, Arc::clone(&kill)).context("can't handle signals")?;
    tie_to(launcher)?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(failure(Exit::CommandLine, format!("`{WORD}` needs a program")));
    };
    let child = Command::new(program).args(arguments).process_group(0).spawn();
    let kept = match child {
        Ok(child) => Kept { child, grace: Duration::from_millis(grace) },
        Err(error) => {
            crate::output::error(&anyhow::anyhow!("can't start `{}`: {error}", program.display()));
            std::process::exit(EXIT_NOT_STARTED.into());
        }
    };
    let status = kept.wait(&stop, &kill).context("can't wait for the program")?;
    std::process::exit(code(status))
}

/// Ties this process to its launcher: the kernel sends SIGHUP when it dies.
fn tie_to(launcher: u64) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::HUP)).context("can't be tied to the launcher")?;
    // The launcher may have died before the previous call.
    let parent = rustix::process::getppid().map(|parent| u64::from(parent.as_raw_nonzero().get().unsigned_abs()));
    if parent != Some(launcher) {
        return Err(failure(Exit::Interrupted, "the launcher of this process is gone"));
    }
    Ok(())
}

/// A program that runs, the leader of its process group.
struct Kept {
    child: Child,
    grace: Duration,
}

impl Kept {
    /// Waits until the program has ended, and ends all else of its group; what was asked to stop has the rest of the grace time for it.
    fn wait(mut self, stop: &AtomicBool, kill: &AtomicBool) -> io::Result<ExitStatus> {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return self.child.wait() };
        let tell = |signal| {
            // An error means that nobody of the group is left.
            let _ = kill_process_group(pid, signal);
        };
        let mut deadline: Option<Instant> = None;
        let mut pause = Duration::from_millis(1);
        loop {
            // The program stays a zombie until the group is ended, so that its number can't be another's.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            let has_ended = waitid(WaitId::Pid(pid), options)?.is_some();
            let is_waiting = deadline.is_some_and(|deadline| Instant::now() < deadline) && !kill.load(Ordering::Relaxed);
            if has_ended && !(is_waiting && has_others(pid)) {
                tell(Signal::KILL);
                return self.child.wait();
            }
            if stop.load(Ordering::Relaxed) && deadline.is_none() {
                tell(Signal::TERM);
                deadline = Some(Instant::now() + self.grace);
            }
            if kill.load(Ordering::Relaxed) || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                tell(Signal::KILL);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(POLL_MAX);
        }
    }
}

/// Returns true if the group of `leader` has members beside it that run; false where the kernel doesn't tell.
fn has_others(leader: Pid) -> bool {
    let leader = leader.as_raw_nonzero().get();
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let runs = |process: &str| {
        // The name, in parentheses, may hold anything; after it come the state, the parent and the group.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, group) = (fields.next()?, fields.nth(1)?);
        Some(state != "Z" && state != "X" && group.parse() == Ok(leader))
    };
    processes.flatten().any(|process| {
        process
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<i32>().is_ok_and(|number| number != leader) && runs(name) == Some(true))
    })
}

/// Returns the exit code as a shell has it.
fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| EXIT_SIGNAL + signal)).unwrap_or(1)
}

/// Returns the number of the signal that ended the program of a keeper with this exit code, if one did.
#[must_use]
pub fn signal_of(code: i32) -> Option<i32> {
    /// The largest number of a signal on Linux.
    const SIGNAL_MAX: i32 = 64;
    Some(code - EXIT_SIGNAL).filter(|signal| (1..=SIGNAL_MAX).contains(signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let check = |raw: i32, expected: i32, signal: Option<i32>| {
            let code = code(ExitStatus::from_raw(raw));
            assert_eq!((code, signal_of(code)), (expected, signal));
        };
        check(0, 0, None);
        check(3 << 8, 3, None);
        check(9, 137, Some(9));
        check(15, 143, Some(15));
        check(255 << 8, 255, None);
    }
}
