//! The process of a strategy in Python, as a stream that it reads and answers: whoever waits for it goes on waiting until the process ends, the run is asked
//! to stop, or it has been silent for too long.

use std::{
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fltk::{
    child,
    exit::{Exit, failure},
};
use rustix::process::{Pid, Signal, kill_process_group};

/// The interval at which a wait looks whether it is still of use.
const POLL: Duration = Duration::from_millis(100);

/// The time for which a strategy may compute without a sign: long enough for training of its own.
const SILENCE_MAX: Duration = Duration::from_secs(4 * 3600);

/// The time for the process to end by itself once nothing more is asked.
const GRACE: Duration = Duration::from_secs(1);

/// The process, which is ended when this value is dropped.
#[derive(Debug)]
pub struct Process {
    interpreter: PathBuf,
    stream: UnixStream,
    child: Child,
    /// True once the run is asked to stop.
    stop: Arc<AtomicBool>,
}

impl Process {
    /// Starts the process by `interpreter`, a Python.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(interpreter: PathBuf, stop: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(POLL))?;
        ours.set_write_timeout(Some(POLL))?;
        let mut command = Command::new(&interpreter);
        command.args(["-m", "fltk.strategy"]).stdin(Stdio::from(OwnedFd::from(theirs)));
        // The order of sets, and of sums in libraries, is the same in each start and on each machine.
        command.envs([("PYTHONHASHSEED", "0"), ("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1"), ("MKL_NUM_THREADS", "1")]);
        let child = child::start(&mut command).map_err(|error| {
            let message = format!(
                "can't start the strategy with the Python `{}`: {error}\nhint: `FLTK_PYTHON` names another, or `environment` beside `python` in the experiment",
                interpreter.display()
            );
            failure(Exit::Experiment, message)
        })?;
        Ok(Self { interpreter, stream: ours, child, stop })
    }

    /// Returns the reason why nothing comes from the process any more, given the error of the last attempt.
    pub fn end(&mut self, error: &io::Error, was_ready: bool) -> String {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {}
            io::ErrorKind::InvalidData => return format!("the process of the strategy sent no answer that can be read: {error}"),
            _ => return error.to_string(),
        }
        let until = Instant::now() + GRACE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if !was_ready => {
                    let interpreter = self.interpreter.display();
                    return format!(
                        "the process of the strategy ended with {status}\nhint: it ran with `{interpreter}`, which needs NumPy and the package `fltk`: `pip install fltk numpy`, or `PYTHONPATH=python/fltk/src` in a checkout"
                    );
                }
                Ok(Some(status)) => return format!("the process of the strategy ended with {status}"),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
                Ok(None) | Err(_) => return "the process of the strategy closed its connection".to_owned(),
            }
        }
    }

    /// Calls `attempt` until it does something.
    fn patiently(&mut self, mut attempt: impl FnMut(&mut UnixStream) -> io::Result<usize>) -> io::Result<usize> {
        let until = Instant::now() + SILENCE_MAX;
        let mut has_ended = false;
        loop {
            match attempt(&mut self.stream) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
                outcome => return outcome,
            }
            // What it started may keep the connection open. What it said last comes first.
            if has_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            has_ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("the run was asked to stop"));
            }
            if Instant::now() > until {
                return Err(io::Error::other(format!("the strategy gave no answer for {} hours", SILENCE_MAX.as_secs() / 3600)));
            }
        }
    }
}

impl Read for Process {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.read(buffer))
    }
}

impl Write for Process {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let until = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        // It has a process group of its own, with all that it started.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
