//! The nodes of a job that `fltk run` starts on this machine: they are watched, started again if they are killed, and never left behind.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fltk::{
    child,
    exit::{Exit, failure},
};

use super::network::address;
use crate::run::Context;

/// The interval at which the nodes are looked at.
const POLL: Duration = Duration::from_millis(20);

/// The time for nodes to end by themselves once the run is over.
const GRACE: Duration = Duration::from_secs(5);

/// The most nodes in a row that end before one has joined: whatever kills them kills all.
const DEATHS_MAX: u32 = 5;

/// The needs of nodes in Python.
#[derive(Clone, Debug)]
pub struct PythonNodes {
    /// The program, a Python.
    pub interpreter: PathBuf,
    /// The folder with the samples as arrays.
    pub arrays: PathBuf,
}

/// The nodes on this machine.
pub struct LocalNodes<'a> {
    context: &'a Context<'a>,
    socket: PathBuf,
    num_nodes: usize,
    workers: usize,
    /// The needs of nodes in Python; `None` for nodes of this program.
    python: Option<PythonNodes>,
    /// Raised to end the run.
    halt: &'a AtomicBool,
    num_joined: AtomicU64,
}

impl<'a> LocalNodes<'a> {
    /// Creates the nodes, which call at `socket`, without starting them. They raise `halt` if the process is asked to stop, or if they can't go on.
    pub fn new(context: &'a Context<'a>, socket: &Path, num_nodes: usize, workers: usize, halt: &'a AtomicBool) -> Self {
        Self { context, socket: socket.to_owned(), num_nodes, workers, python: None, halt, num_joined: AtomicU64::new(0) }
    }

    /// Returns the same nodes in Python.
    #[must_use]
    pub fn in_python(self, python: PythonNodes) -> Self {
        Self { python: Some(python), ..self }
    }

    /// Notes that a node has joined.
    pub fn joined(&self) {
        self.num_joined.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts the nodes, calls `work`, and ends them after it. Returns both outcomes.
    pub fn around<T>(&self, work: impl FnOnce() -> T) -> (T, anyhow::Result<()>) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // The thread that starts processes lives as long as they do: the kernel takes its end for that of their launcher.
            let watching = thread::Builder::new().name("fed-nodes".to_owned()).spawn_scoped(scope, || {
                let outcome = self.watch(&over);
                self.halt.store(true, Ordering::Relaxed);
                outcome
            });
            if watching.is_err() {
                self.halt.store(true, Ordering::Relaxed);
            }
            let outcome = work();
            over.store(true, Ordering::Relaxed);
            let watched = match watching.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(watched)) => watched,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(error) => Err(error).context("could not start a thread"),
            };
            (outcome, watched)
        })
    }

    fn watch(&self, over: &AtomicBool) -> anyhow::Result<()> {
        let mut children = Children(Vec::new());
        for _ in 0..self.num_nodes {
            children.0.push(Some(self.start()?));
        }
        let (mut num_deaths, mut joined_before) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            if self.context.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            for (index, child) in children.0.iter_mut().enumerate() {
                let Some(status) = child.as_mut().map(Child::try_wait).transpose()?.flatten() else { continue };
                if status.success() || over.load(Ordering::Relaxed) {
                    // The run is over, and this process is about to learn of it.
                    *child = None;
                    continue;
                }
                let joined = self.num_joined.load(Ordering::Relaxed);
                num_deaths = if joined > joined_before { 1 } else { num_deaths + 1 };
                joined_before = joined;
                if !may_pass(status) || num_deaths > DEATHS_MAX {
                    return Err(failure(exit_of(status), format!("node {index} ended with {status}{}", self.hint(status))));
                }
                tracing::warn!("node {index} ended with {status}; it is started again");
                *child = Some(self.start()?);
            }
            thread::sleep(POLL);
        }
        children.end();
        Ok(())
    }

    fn start(&self) -> anyhow::Result<Child> {
        if let Some(python) = &self.python {
            return self.start_python(python);
        }
        let program = env::current_exe().context("can't find this program's own file")?;
        let mut command = Command::new(program);
        command.args(["node", "--quiet", "--join", &address(&self.socket), "--workers", &self.workers.to_string()]);
        if let Some(cache) = &self.context.locations.cache {
            command.arg("--data").arg(cache);
        }
        command.stdin(Stdio::null());
        child::start(&mut command).context("can't start a node")
    }
}

impl LocalNodes<'_> {
    fn start_python(&self, PythonNodes { interpreter, arrays }: &PythonNodes) -> anyhow::Result<Child> {
        let mut command = Command::new(interpreter);
        command.args(["-m", "fltk.node", "--join", &address(&self.socket), "--workers", &self.workers.to_string(), "--quiet", "--arrays"]);
        command.arg(arrays).stdin(Stdio::null());
        child::start(&mut command).map_err(|error| {
            let interpreter = interpreter.display();
            let message = format!(
                "can't start a node with the Python `{interpreter}`: {error}\nhint: `FLTK_PYTHON` names another, or `environment` beside `python` in the experiment"
            );
            failure(Exit::Experiment, message)
        })
    }

    /// Returns what to do about nodes that ended at once.
    fn hint(&self, status: ExitStatus) -> String {
        match &self.python {
            // What Python says of a package that isn't there.
            Some(python) if status.code() == Some(1) && self.num_joined.load(Ordering::Relaxed) == 0 => format!(
                "\nhint: it ran with `{}`, which needs the package `fltk` with its extra `node`: `pip install 'fltk[node]'`, or `PYTHONPATH=python/fltk/src` in a checkout",
                python.interpreter.display()
            ),
            _ => String::new(),
        }
    }
}

/// True if another node may succeed: this one was killed, or panicked. A problem that it reported itself would recur.
fn may_pass(status: ExitStatus) -> bool {
    /// Rust's exit code for a panic.
    const PANIC: i32 = 101;
    status.code().is_none_or(|code| code == PANIC || code == Exit::Ranks as i32)
}

fn exit_of(status: ExitStatus) -> Exit {
    match status.code() {
        Some(code) if code == Exit::Data as i32 => Exit::Data,
        Some(code) if code == Exit::Experiment as i32 => Exit::Experiment,
        _ => Exit::Run,
    }
}

/// Node processes, which are killed when this value is dropped.
struct Children(Vec<Option<Child>>);

impl Children {
    /// Waits for a moment until all have ended by themselves.
    fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        let is_running = |child: &mut Option<Child>| child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        while self.0.iter_mut().any(is_running) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in self.0.iter_mut().flatten() {
            // An error means that the process has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
