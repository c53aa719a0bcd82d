//! Programs that keep running after this one ends: they are started with a log, and watched while this program waits for them.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};

use crate::sh;

/// The time limit for a program to become ready: seconds on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(250);

/// The number of lines shown from the log of a program that has ended: its reason, and little else.
const LAST_LINES: usize = 5;
/// The bytes read from the end of a log: more than these lines, however long each is.
const LOG_END_BYTES: u64 = 16 << 10;

/// The programs that were started.
#[derive(Default)]
pub struct Started(Vec<Daemon>);

struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Started {
    /// Starts `command` with its output in the file `log`. The command must become the program itself: its child processes aren't watched.
    pub fn start(&mut self, name: &str, command: &mut Command, log: &Path) -> anyhow::Result<()> {
        let file = File::create(log).with_context(|| format!("can't write `{}`", log.display()))?;
        let child = sh::start(command.stdout(file.try_clone()?).stderr(file))?;
        self.0.push(Daemon { name: name.to_owned(), child, log: log.to_owned() });
        Ok(())
    }

    /// Waits until `holds` returns true. Fails with the end of a program's log as soon as that program has ended, otherwise after a time
    /// limit.
    pub fn wait(&mut self, what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            // This comes first: the condition may hold because of a program that has ended since.
            let holds = holds();
            self.check()?;
            if holds {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{what} isn't ready after {} s", READY_LIMIT.as_secs());
            }
            thread::sleep(POLL);
        }
    }

    /// Runs `command`, which waits for the programs. Fails with the end of a program's log as soon as that program has ended.
    pub fn run(&mut self, command: &mut Command, limit: Duration) -> anyhow::Result<()> {
        eprintln!("$ {}", sh::show(command));
        let mut child = sh::start(command)?;
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            let problem = match self.check() {
                Ok(()) if Instant::now() < deadline => None,
                Ok(()) => Some(anyhow!("`{}` was stopped: it ran longer than {} s", sh::show(command), limit.as_secs())),
                Err(error) => Some(error),
            };
            if let Some(problem) = problem {
                child.kill()?;
                child.wait()?;
                return Err(problem);
            }
            thread::sleep(POLL);
        };
        // The command may have failed because a program ended.
        self.check()?;
        ensure!(status.success(), "`{}` failed: {status}", sh::show(command));
        Ok(())
    }

    /// Fails if one of the programs has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for daemon in &mut self.0 {
            if let Some(status) = daemon.child.try_wait()? {
                bail!(gone(daemon, status));
            }
        }
        Ok(())
    }
}

fn gone(daemon: &Daemon, status: ExitStatus) -> String {
    let end = last_lines(&daemon.log).unwrap_or_else(|error| format!("can't be read: {error}"));
    let end = if end.is_empty() { "is empty".to_owned() } else { format!("ends:\n{end}") };
    format!("{} has ended: {status}; its log `{}` {end}", daemon.name, daemon.log.display())
}

fn last_lines(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = fs::metadata(log)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_END_BYTES)))?;
    let mut end = Vec::new();
    file.take(LOG_END_BYTES).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end);
    let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(LAST_LINES).collect();
    lines.reverse();
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn waiters_are_told_at_once_of_the_end_of_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("etcd.log");
        let mut started = Started::default();
        started.start("etcd", &mut shell("for i in 1 2 3 4 5 6 7; do echo line $i; done; echo no space left >&2; exit 3"), &log).unwrap();
        let begin = Instant::now();
        let error = started.wait("the API server", || false).unwrap_err().to_string();
        assert!(begin.elapsed() < READY_LIMIT / 2);
        assert!(error.starts_with("etcd has ended: exit status: 3; its log"), "{error}");
        assert!(error.ends_with("ends:\nline 4\nline 5\nline 6\nline 7\nno space left"), "{error}");
    }

    #[test]
    fn waiting_commands_end_with_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let mut started = Started::default();
        started.start("kubelet", &mut shell("echo no cgroups; exit 1"), &folder.path().join("kubelet.log")).unwrap();
        let begin = Instant::now();
        let error = started.run(Command::new("sleep").arg("600"), READY_LIMIT).unwrap_err().to_string();
        assert!(begin.elapsed() < READY_LIMIT / 2);
        assert!(error.starts_with("kubelet has ended: exit status: 1") && error.ends_with("ends:\nno cgroups"), "{error}");
        let mut none = Started::default();
        none.run(&mut shell("exit 0"), READY_LIMIT).unwrap();
        assert!(none.run(&mut shell("exit 3"), READY_LIMIT).unwrap_err().to_string().contains("exit status: 3"));
        let error = none.run(Command::new("sleep").arg("600"), Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("longer than 0 s"), "{error}");
    }

    #[test]
    fn running_program_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("runs.log");
        let mut started = Started::default();
        started.start("runs", &mut shell("echo ready; exec sleep 600"), &log).unwrap();
        started.wait("it", || fs::read_to_string(&log).unwrap() == "ready\n").unwrap();
        started.0[0].child.kill().unwrap();
        started.0[0].child.wait().unwrap();
        let error = started.check().unwrap_err().to_string();
        assert!(error.contains("signal: 9") && error.ends_with("ends:\nready"), "{error}");
    }
}
