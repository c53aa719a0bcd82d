//! The ranks of a distributed job as processes of this machine: they are started, watched, restarted after a failure, and never left behind.

use std::{
    env,
    fs::{self, File},
    io,
    net::TcpListener,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fltk::{
    child,
    exit::{Exit, failure},
    log,
    termination::{TERMINATION_LOG, Termination},
};
use fltk_core::{experiment::DistributedConfig, termination::TerminationReport};
use fltk_records::{RunFolder, history::Status};
use tempfile::NamedTempFile;

use super::{Context, Stopped};

/// The interval at which the ranks are checked; a failure is noticed that soon.
const POLL: Duration = Duration::from_millis(50);

/// The time for ranks to end by themselves once one has failed or all were asked to stop: they notice within seconds, and report the reason.
const GRACE: Duration = Duration::from_secs(15);

/// Runs the ranks of the run in `folder` to their end.
///
/// # Errors
/// If a rank fails more often than the job's `restarts` allow, or the process was asked to stop ([`Stopped`]).
pub fn run(context: &Context<'_>, config: &DistributedConfig, folder: &Path) -> anyhow::Result<()> {
    let mut restarts = 0;
    loop {
        let mut ranks = Ranks::start(context, config, folder)?;
        let outcome = ranks.wait(context)?;
        ranks.note_first_step(context.termination);
        drop(ranks);
        let failed = match outcome {
            Outcome::Finished => return Ok(()),
            Outcome::Stopped => return Err(Stopped.into()),
            Outcome::Failed(failed) => failed,
        };
        // A rank may be lost after the run has finished.
        if RunFolder::open(folder).and_then(RunFolder::read).is_ok_and(|run| run.status == Status::Finished) {
            return Ok(());
        }
        if restarts >= config.restarts || !failed.may_pass() {
            // Rank 0, which lost another rank, left the final derivation to this process. If that fails, the next start derives the files.
            let _ = RunFolder::open(folder).and_then(|run| run.derive(&fltk::host::who()));
            return Err(failed.into_error(folder));
        }
        restarts += 1;
        tracing::warn!("{}; all ranks restart from the last checkpoint (restart {restarts} of {})", failed.text(), config.restarts);
    }
}

/// The rank whose failure is the cause, as opposed to ranks that only lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed {
    rank: u32,
    status: ExitStatus,
}

impl Failed {
    /// The failure to blame, of this one and a later one.
    fn or(self, later: Self) -> Self {
        let is_loss = |failed: Self| failed.status.code() == Some(Exit::Ranks as i32);
        if is_loss(self) && !is_loss(later) { later } else { self }
    }

    /// True if another try may succeed: a rank was killed, panicked or lost another. A problem that the rank itself reported would recur.
    fn may_pass(self) -> bool {
        /// Rust's exit code for a panic.
        const PANIC: i32 = 101;
        self.status.code().is_none_or(|code| code == Exit::Ranks as i32 || code == PANIC)
    }

    fn text(self) -> String {
        format!("rank {} ended with {}", self.rank, self.status)
    }

    /// The error of the run; the rank has printed its own message to standard error already.
    fn into_error(self, folder: &Path) -> anyhow::Error {
        let exit = match self.status.code() {
            Some(code) if code == Exit::Data as i32 => Exit::Data,
            Some(code) if code == Exit::Experiment as i32 => Exit::Experiment,
            Some(code) if code == Exit::Records as i32 => Exit::Records,
            Some(code) if code != Exit::Ranks as i32 => Exit::Run,
            _ => Exit::Ranks,
        };
        failure(exit, format!("{}\nrun: {}", self.text(), folder.display()))
    }
}

enum Outcome {
    Finished,
    Stopped,
    Failed(Failed),
}

/// The rank processes, which are killed when this value is dropped.
struct Ranks {
    children: Vec<Child>,
    /// The file with rank 0's termination report.
    report: NamedTempFile,
}

impl Ranks {
    fn start(context: &Context<'_>, config: &DistributedConfig, folder: &Path) -> anyhow::Result<Self> {
        let program = env::current_exe().context("can't find this program's own file")?;
        // Rank 0 inherits the socket, so that no other process can take its port.
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let port = listener.local_addr().context("no free port")?.port();
        let mut listener = Some(listener);
        let num_ranks = config.data_parallelism;
        let workers = (context.workers.get() / num_ranks as usize).max(1);
        let report = NamedTempFile::new().context("can't make a temporary file")?;
        let mut ranks = Self { children: Vec::new(), report };
        for rank in 0..num_ranks {
            let mut command = Command::new(&program);
            command.arg("client").arg("--run").arg(folder).args(["--workers", &workers.to_string()]);
            if let Some(cache) = &context.locations.cache {
                command.arg("--data").arg(cache);
            }
            // Each rank but the first would say the same.
            command.args(if rank > 0 { Some("--quiet") } else { log::flag() });
            let place = [("RANK", rank.to_string()), ("WORLD_SIZE", num_ranks.to_string()), ("MASTER_PORT", port.to_string())];
            command.envs(place).env("MASTER_ADDR", "127.0.0.1");
            // The termination log of this process is a single file, so the ranks must not write to it.
            match rank {
                0 => command.env(TERMINATION_LOG, ranks.report.path()),
                _ => command.env_remove(TERMINATION_LOG),
            };
            command.stdin(listener.take().map_or_else(Stdio::null, |listener| Stdio::from(OwnedFd::from(listener))));
            ranks.children.push(child::start(&mut command).with_context(|| format!("can't start rank {rank}"))?);
        }
        Ok(ranks)
    }

    /// Waits for all ranks; once one ends, or the launcher is asked to stop, the others get [`GRACE`].
    fn wait(&mut self, context: &Context<'_>) -> anyhow::Result<Outcome> {
        let (mut failed, mut is_stopping): (Option<Failed>, bool) = (None, false);
        let mut deadline: Option<Instant> = None;
        loop {
            let mut num_running = 0;
            for (rank, child) in (0..).zip(&mut self.children) {
                let Some(status) = child.try_wait()? else {
                    num_running += 1;
                    continue;
                };
                // The deadline also starts after a rank that succeeded: all ranks have left each other by then.
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
                if !status.success() {
                    let later = Failed { rank, status };
                    failed = Some(failed.map_or(later, |first| first.or(later)));
                }
            }
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if num_running == 0 || is_late {
                return Ok(match failed {
                    // A rank that was asked to stop isn't blamed for its exit status.
                    _ if is_stopping && (failed.is_some() || is_late) => Outcome::Stopped,
                    Some(failed) => Outcome::Failed(failed),
                    None => Outcome::Finished,
                });
            }
            if context.stop.load(Ordering::Relaxed) && !is_stopping {
                is_stopping = true;
                deadline = Some(Instant::now() + GRACE);
                self.children.iter().for_each(child::ask_to_stop);
            }
            thread::sleep(POLL);
        }
    }

    /// Records when rank 0 completed its first step, as it reported when it ended.
    fn note_first_step(&self, termination: &Termination) {
        let report = fs::read_to_string(self.report.path()).ok().and_then(|text| serde_json::from_str::<TerminationReport>(&text).ok());
        if let Some(at_ms) = report.and_then(|report| report.first_step_ms) {
            termination.stepped_at(at_ms);
        }
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        for child in &mut self.children {
            // An error means that the process has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The listening socket for the store, which the launcher gave to rank 0 as its standard input.
///
/// # Errors
/// If the socket can't be duplicated.
pub fn inherited_listener() -> anyhow::Result<TcpListener> {
    let socket = io::stdin().as_fd().try_clone_to_owned().context("the launcher gave no socket")?;
    // Otherwise the port would stay open for as long as this process lives.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?).context("can't close standard input")?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn rank_that_failed_by_itself_is_blamed() {
        let exited = |rank, code: i32| Failed { rank, status: ExitStatus::from_raw(code << 8) };
        let killed = |rank| Failed { rank, status: ExitStatus::from_raw(9) };
        let check = |first: Failed, later: Failed, rank| assert_eq!(first.or(later).rank, rank);
        check(exited(1, 7), exited(0, 5), 0);
        check(exited(1, 7), killed(2), 2);
        check(killed(2), exited(0, 7), 2);
        check(exited(0, 5), killed(1), 0);
        check(exited(1, 7), exited(0, 7), 1);
        assert!(killed(0).may_pass() && exited(0, 7).may_pass() && exited(0, 101).may_pass());
        assert!(!exited(0, 5).may_pass() && !exited(0, 6).may_pass());
    }
}
