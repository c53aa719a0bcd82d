//! The runner of parts as processes, as many at once as the schedule allows. It reports what is running, how long it takes, and how much is
//! left.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{
    compile,
    history::{Ended, History, Run},
    part::{Part, Work},
    report::{End, Report},
    schedule::{Next, Schedule, State},
};
use crate::{
    checkout::Checkout,
    delegate,
    outcome::{Outcome, VARIABLE},
    setup::{libtorch, python},
    sh,
};

/// The time limit of any part: several times the duration of the longest on a slow machine.
const LIMIT: Duration = Duration::from_secs(80 * 60);

/// The interval at which processes are polled.
const POLL: Duration = Duration::from_millis(100);

/// The longest silence: after a longer one, a person would think that nothing happens.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The time for the processes of a part to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// The number of lines shown from the log of a failed part.
const TAIL: usize = 60;

/// A running part.
struct Running {
    at: usize,
    child: Child,
    /// The command, for its name in errors.
    command: Command,
    began: Instant,
    log: PathBuf,
    outcome: PathBuf,
}

/// Runs `parts` on `cores` processors, and keeps their times.
///
/// # Errors
/// If logs can't be written, or processes can't be started or waited for. Failures of parts are in the report.
pub fn run(checkout: &Checkout, parts: &[&'static Part], cores: u32, history: &History) -> anyhow::Result<Report> {
    compile::forget_others(checkout)?;
    let folder = checkout.target.join("xtask-test-logs");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("can't empty `{}`", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    let schedule = Schedule::new(parts, cores, parts.iter().map(|part| history.expected(part)).collect());
    let mut work = Runner {
        checkout,
        own: std::env::current_exe()?,
        parts,
        schedule,
        folder,
        state: State::default(),
        running: Vec::new(),
        began: Instant::now(),
    };
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let left = work.left();
    work.say(&format!("{} parts, about {left}; logs in {}", parts.len(), work.folder.display()));
    let outcome = work.work();
    // In any case, the processes of a part end with it; the exception is the cluster, which one part starts and others use.
    for running in &mut work.running {
        kill(&mut running.child);
    }
    outcome?;
    let report = Report(work.state.over.into_iter().map(|(at, (end, took))| (parts[at].name, end, took)).collect());
    history.add(Run {
        began,
        seconds: work.began.elapsed().as_secs_f64(),
        cluster: parts.iter().any(|part| part.stage == super::part::Stage::Cluster),
        parts: report.0.iter().map(|(name, end, took)| ((*name).to_owned(), Ended::of(end, *took))).collect(),
    })?;
    Ok(report)
}

struct Runner<'a> {
    checkout: &'a Checkout,
    /// The path of this program when it started: cargo may put another one there meanwhile.
    own: PathBuf,
    parts: &'a [&'static Part],
    schedule: Schedule<'a>,
    folder: PathBuf,
    state: State,
    running: Vec<Running>,
    began: Instant,
}

impl Runner<'_> {
    fn work(&mut self) -> anyhow::Result<()> {
        let mut said = Instant::now();
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        loop {
            if interrupted.load(Ordering::Relaxed) {
                bail!(
                    "interrupted; what had begun was stopped\nhint: a cluster that was started goes on: `cargo xtask cluster down` stops it"
                );
            }
            match self.schedule.next(&self.state) {
                Next::Start(at) => {
                    self.start(at)?;
                    said = Instant::now();
                    continue;
                }
                Next::Skip(at, needed) => {
                    self.end(at, End::Skipped(format!("needs: {needed}")), Duration::ZERO, None);
                    continue;
                }
                Next::Wait if self.running.is_empty() => return Ok(()),
                Next::Wait => {}
            }
            if self.look()? {
                said = Instant::now();
            } else if said.elapsed() >= SILENCE_MAX {
                self.say(&format!(
                    "about {} left; {}",
                    self.left(),
                    self.running.iter().map(|running| self.describe(running)).collect::<Vec<_>>().join("; ")
                ));
                said = Instant::now();
            } else {
                thread::sleep(POLL);
            }
        }
    }

    fn start(&mut self, at: usize) -> anyhow::Result<()> {
        let part = self.parts[at];
        let name: String = part.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let (log, outcome) = (self.folder.join(&name).with_extension("log"), self.folder.join(&name).with_extension("outcome"));
        let file = File::create(&log).with_context(|| format!("can't write `{}`", log.display()))?;
        let (output, errors) = (file.try_clone()?, file);
        self.say(&format!("{}: begins, about {}", part.name, duration(self.schedule.seconds_of(at))));
        let started = self.command(part).and_then(|mut command| {
            command.stdin(Stdio::null()).stdout(output).stderr(errors).env(VARIABLE, &outcome);
            Ok((sh::start(&mut command)?, command))
        });
        match started {
            Ok((child, command)) => {
                self.state.running.push(at);
                self.running.push(Running { at, child, command, began: Instant::now(), log, outcome });
            }
            Err(error) => self.end(at, End::Failed(format!("{error:#}")), Duration::ZERO, None),
        }
        Ok(())
    }

    /// Returns the command of `part`.
    fn command(&self, part: &Part) -> anyhow::Result<Command> {
        let mut command = match part.work {
            Work::Cargo(arguments) => {
                // A part that comes after no other must not wait for a download.
                let mut cargo = if part.after.is_empty() {
                    self.checkout.cargo_without_libtorch()
                } else {
                    self.checkout.cargo(&libtorch::ensure(self.checkout)?)
                };
                cargo.args(arguments);
                cargo
            }
            Work::Own | Work::Compile | Work::Tests => {
                let mut own = Command::new(&self.own);
                own.args(["part", part.name]);
                own
            }
            Work::Acceptance => {
                let mut acceptance = Command::new(delegate::program(self.checkout));
                acceptance.args(["part", part.name]);
                acceptance
            }
        };
        // The part gets its own process group, which is killed with all processes that it started.
        command.process_group(0);
        command.current_dir(&self.checkout.root).env("RUSTDOCFLAGS", "-D warnings").env("CARGO_TERM_COLOR", "never");
        match python::existing(self.checkout)? {
            Some(python) => command.env("FLTK_PYTHON", python),
            None => command.env_remove("FLTK_PYTHON"),
        };
        Ok(command)
    }

    /// Polls the running parts. Returns true once it has found one that has ended.
    fn look(&mut self) -> anyhow::Result<bool> {
        for index in 0..self.running.len() {
            let running = &mut self.running[index];
            let (status, took) = (running.child.try_wait()?, running.began.elapsed());
            let failure = match status {
                None if took < LIMIT => continue,
                None => {
                    kill(&mut running.child);
                    Some(format!("`{}` was killed: it ran longer than {} s", sh::show(&running.command), LIMIT.as_secs()))
                }
                Some(status) if status.success() => None,
                Some(status) => Some(format!("`{}` failed: {status}", sh::show(&running.command))),
            };
            let running = self.running.swap_remove(index);
            self.state.running.retain(|&at| at != running.at);
            let end = match failure {
                Some(reason) => End::Failed(reason),
                None => match Outcome::told(&running.outcome)? {
                    Outcome::Passed(remark) => End::Passed(remark),
                    Outcome::Skipped(reason) => End::Skipped(reason),
                },
            };
            self.end(running.at, end, took, Some(&running.log));
            return Ok(true);
        }
        Ok(false)
    }

    fn end(&mut self, at: usize, end: End, took: Duration, log: Option<&Path>) {
        let name = self.parts[at].name;
        let (word, how) = match &end {
            End::Passed(remark) => ("passed", remark.clone()),
            End::Failed(reason) => ("FAILED", reason.clone()),
            End::Skipped(reason) => ("skipped", reason.clone()),
        };
        if let (End::Failed(_), Some(log)) = (&end, log) {
            let tail = tail(log, TAIL);
            eprintln!("\n--- the last lines of {}\n{tail}\n---", log.display());
        }
        self.state.over.insert(at, (end, took));
        let how = if how.is_empty() { how } else { format!(": {how}") };
        let left = self.parts.len() - self.state.over.len();
        let left = if left == 0 { String::new() } else { format!(" ({left} left, about {})", self.left()) };
        self.say(&format!("{name}: {word} in {}{how}{left}", duration(took.as_secs_f64())));
    }

    /// Prints a line about the whole run, with the time since its start.
    fn say(&self, text: &str) {
        let gone = self.began.elapsed().as_secs();
        eprintln!("[{:3}:{:02}] {text}", gone / 60, gone % 60);
    }

    fn left(&self) -> String {
        let gone = |at| self.running.iter().find(|running| running.at == at).map_or(0.0, |running| running.began.elapsed().as_secs_f64());
        duration(self.schedule.left(&self.state, &gone))
    }

    fn describe(&self, running: &Running) -> String {
        let last = tail(&running.log, 1);
        let last: String = last.trim().chars().take(100).collect();
        let gone = duration(running.began.elapsed().as_secs_f64());
        format!("{} for {gone}{}{last}", self.parts[running.at].name, if last.is_empty() { "" } else { ": " })
    }
}

/// Ends a part and all processes that it started: first with a request, then by force.
fn kill(child: &mut Child) {
    let group = Pid::from_child(child);
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        thread::sleep(POLL);
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// Returns seconds in words: exact enough to add up, below ten minutes.
fn duration(seconds: f64) -> String {
    let whole = seconds.ceil();
    if whole < 90.0 {
        format!("{whole:.0} s")
    } else if whole < 600.0 {
        format!("{:.0}:{:02.0} min", (whole / 60.0).floor(), whole % 60.0)
    } else {
        format!("{:.0} min", (whole / 60.0).ceil())
    }
}

/// Returns the last `lines` lines of a file that may be long.
fn tail(path: &Path, lines: usize) -> String {
    /// Enough for this many lines from compilers.
    const BYTES: u64 = 1 << 16;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_log_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, format!("{}\nlast but one\nlast\n", "x".repeat(1 << 20))).unwrap();
        assert_eq!(tail(&path, 2), "last but one\nlast");
        assert_eq!(tail(&folder.path().join("none"), 2), "");
    }

    #[test]
    fn processes_of_a_part_end_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $! > \"$0\"; wait"]).arg(&file).process_group(0);
        let mut child = sh::start(&mut command).unwrap();
        let deadline = Instant::now() + sh::LOOKUP_LIMIT;
        let pid = loop {
            if let Ok(pid) = fs::read_to_string(&file).unwrap_or_default().trim().parse::<u32>() {
                break pid;
            }
            assert!(Instant::now() < deadline);
            thread::sleep(POLL);
        };
        kill(&mut child);
        let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The process may be dead but not yet reaped by its new parent.
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(Instant::now() < deadline);
            thread::sleep(POLL);
        }
    }

    #[test]
    fn durations_are_rounded_up() {
        for (seconds, text) in [(0.2, "1 s"), (89.0, "89 s"), (89.5, "1:30 min"), (121.0, "2:01 min"), (600.0, "10 min"), (601.0, "11 min")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
