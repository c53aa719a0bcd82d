//! The ranks of a command as processes of this machine, each with a [keeper](super::keeper).

use std::{
    env, fs, io,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fltk_core::{experiment::CommandConfig, seed::Seed};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    environment::{RankPlace, environment},
    keeper,
    output_log::{FILE_BYTES_MAX, OutputLog, pump},
    tail::tail,
};
use crate::exit::{Exit, OrExit as _, failure};

/// The lines with figures that may wait for the records; a program that prints them faster waits.
const LINES_MAX: usize = 1024;
/// The time for the rest of the output to be read once all programs have ended: a process that left its group may hold the stream for as long as it likes.
const OUTPUT_LINGER: Duration = Duration::from_secs(1);

/// The files of a command's run.
#[derive(Clone, Debug)]
pub struct CommandFiles {
    /// The folder with the output of the ranks.
    output: PathBuf,
    /// The folder that is the program's own.
    program: PathBuf,
}

impl CommandFiles {
    /// Returns the files in the run's folder, and makes their folders.
    ///
    /// # Errors
    /// If a folder can't be made.
    pub fn make(run: &Path) -> anyhow::Result<Self> {
        // The program starts in another folder.
        let run = std::path::absolute(run)?;
        let files = Self { output: run.join("output"), program: run.join("program") };
        for folder in [&files.output, &files.program] {
            fs::create_dir_all(folder).with_context(|| format!("can't make `{}`", folder.display())).or_exit(Exit::Records)?;
        }
        Ok(files)
    }

    /// Returns the folder with the output of the ranks.
    #[must_use]
    pub fn output(&self) -> &Path {
        &self.output
    }

    fn log(&self, rank: u32) -> PathBuf {
        self.output.join(format!("rank-{rank}.log"))
    }
}

/// A rank that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRank {
    /// The rank.
    pub rank: u32,
    /// How its keeper ended, which is how its program ended.
    pub status: ExitStatus,
}

impl FailedRank {
    /// Returns true if a signal ended the program, as the kernel does when memory runs out.
    #[must_use]
    pub fn is_killed(self) -> bool {
        self.status.code().is_none_or(|code| keeper::signal_of(code).is_some())
    }

    /// Returns what happened, with the last lines of its output.
    #[must_use]
    pub fn text(self, files: &CommandFiles) -> String {
        let how = match self.status.code() {
            Some(code) => match keeper::signal_of(code) {
                Some(signal) => format!("was ended by signal {signal}"),
                None => format!("ended with exit code {code}"),
            },
            None => format!("lost its keeper ({})", self.status),
        };
        let last = tail(&files.log(self.rank));
        format!("rank {} {how}{}", self.rank, if last.is_empty() { String::new() } else { format!(": {last}") })
    }
}

/// The ranks, which are killed when this value is dropped.
pub struct Ranks {
    keepers: Vec<Child>,
    logs: Vec<Arc<Mutex<OutputLog>>>,
    readers: Vec<JoinHandle<()>>,
    lines: Receiver<String>,
    failed: Option<FailedRank>,
    is_stopping: bool,
}

impl Ranks {
    /// Starts all ranks. Must be called on the main thread: the kernel treats the end of the calling thread as the end of the launcher.
    ///
    /// # Errors
    /// If a process can't be started, the folder for them isn't there, or there is no free port.
    pub fn start(config: &CommandConfig, seed: Seed, files: &CommandFiles) -> anyhow::Result<Self> {
        if let Some(folder) = config.folder.as_deref().filter(|folder| !Path::new(folder).is_dir()) {
            return Err(failure(Exit::Experiment, format!("`{folder}`, in which the program is to start (`folder`), is no folder")));
        }
        let (sender, lines) = sync_channel(LINES_MAX);
        let mut ranks = Self { keepers: Vec::new(), logs: Vec::new(), readers: Vec::new(), lines, failed: None, is_stopping: false };
        let port = free_port().context("there is no free port for the ranks")?;
        for rank in 0..config.ranks {
            let place = RankPlace { rank, port, seed, folder: &files.program };
            ranks
                .start_one(config, place, &files.log(rank), (rank == 0).then_some(&sender))
                .with_context(|| format!("can't start rank {rank}"))?;
        }
        Ok(ranks)
    }

    fn start_one(
        &mut self,
        config: &CommandConfig,
        place: RankPlace<'_>,
        log: &Path,
        figures: Option<&SyncSender<String>>,
    ) -> anyhow::Result<()> {
        let log = OutputLog::open(log.to_owned(), FILE_BYTES_MAX)
            .with_context(|| format!("can't write `{}`", log.display()))
            .or_exit(Exit::Records)?;
        let log = Arc::new(Mutex::new(log));
        let mut command = Command::new(env::current_exe().context("can't find this program's own file")?);
        command.args(keeper::arguments(Duration::from_millis(config.grace.as_millis()))).args(&config.run);
        command.env_clear().envs(environment(config, place, &|name| env::var_os(name)));
        if let Some(folder) = &config.folder {
            command.current_dir(folder);
        }
        // Ctrl-C reaches the terminal's whole foreground process group; only the launcher is to pass it on.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = command.spawn()?;
        let streams = (keeper.stdout.take(), keeper.stderr.take());
        self.keepers.push(keeper);
        self.logs.push(Arc::clone(&log));
        if let Some(mut stream) = streams.0 {
            let (log, figures) = (Arc::clone(&log), figures.cloned());
            self.readers.push(thread::spawn(move || pump(&mut stream, &log, figures.as_ref())));
        }
        if let Some(mut stream) = streams.1 {
            self.readers.push(thread::spawn(move || pump(&mut stream, &log, None)));
        }
        Ok(())
    }

    /// Returns the lines with figures that have come since the last call.
    pub fn lines(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Looks at the ranks: once one has failed, the others are asked to stop. Returns true if all have ended.
    ///
    /// # Errors
    /// If a process can't be waited for.
    pub fn have_ended(&mut self) -> io::Result<bool> {
        let mut have_ended = true;
        for (rank, keeper) in (0..).zip(&mut self.keepers) {
            match keeper.try_wait()? {
                None => have_ended = false,
                // A rank that is stopped because another failed isn't the cause.
                Some(status) if !status.success() && !self.is_stopping => {
                    self.failed.get_or_insert(FailedRank { rank, status });
                }
                Some(_) => {}
            }
        }
        if self.failed.is_some() {
            self.ask_to_stop();
        }
        Ok(have_ended)
    }

    /// Asks all ranks to stop, once. Their keepers kill them when their time is up.
    pub fn ask_to_stop(&mut self) {
        if !self.is_stopping {
            self.is_stopping = true;
            self.tell(Signal::TERM);
        }
    }

    /// Waits for the rest of the output, calls `take` with the lines with figures in it, and returns the rank that failed first, if one did.
    pub fn end(mut self, take: &mut dyn FnMut(String)) -> Option<FailedRank> {
        let deadline = Instant::now() + OUTPUT_LINGER;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            self.lines().into_iter().for_each(&mut *take);
            thread::sleep(Duration::from_millis(1));
        }
        self.lines().into_iter().for_each(take);
        for log in &self.logs {
            if let Some(error) = log.lock().unwrap_or_else(PoisonError::into_inner).take_error() {
                tracing::warn!("some of the output couldn't be written: {error}");
                break;
            }
        }
        self.failed.take()
    }

    fn tell(&mut self, signal: Signal) {
        for keeper in &mut self.keepers {
            // One that has ended may be another's number by now.
            if matches!(keeper.try_wait(), Ok(None))
                && let Some(pid) = i32::try_from(keeper.id()).ok().and_then(Pid::from_raw)
            {
                let _ = kill_process(pid, signal);
            }
        }
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        self.tell(Signal::HUP);
        for keeper in &mut self.keepers {
            // An error means that it has ended.
            let _ = keeper.wait();
        }
    }
}

/// Returns a port that is free now. Another process may take it before rank 0 does, as under torchrun; the ranks then fail to meet, and may be started again.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
