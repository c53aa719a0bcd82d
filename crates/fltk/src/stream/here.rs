//! The loop between this machine and the orchestrator: outcomes of processes become events, and actions start or stop processes.
//!
//! ```text
//! processes ──> how they ended ──> Orchestrator::take ──> actions ──> start one, ask one to stop
//! ```
//!
//! No process outlives this one. So the next process that resumes the stream restarts the jobs that run according to the journal, from their checkpoints.

mod machine;
mod process;

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread, time,
};

use anyhow::Context as _;
use fltk_core::experiment::Duration;
use fltk_plan::{
    Action, Event, JobId, Orchestrator,
    plan::{Blame, Outcome, State, capacity::Node},
};
use jiff::Timestamp;

use self::process::{Ended, Process, Start};
use crate::{
    engine::Engine,
    exit::{Exit, OrExit as _},
    follow::Follow,
    stream::{Begun, JobFiles},
};

/// How often processes are polled.
const POLL: time::Duration = time::Duration::from_millis(50);

/// The settings that all jobs of a stream share on this machine.
pub struct Here {
    /// The cache folder of data sets, if there is one.
    pub data: Option<PathBuf>,
    /// The number of workers of a job that requests no cores, and the maximum for any other.
    pub workers: NonZeroUsize,
    /// True if a TorchScript module may lie within a folder of records.
    pub trust_module: bool,
    /// Raised when the process is asked to stop.
    pub stop: Arc<AtomicBool>,
    /// The engine that computes in the jobs' processes.
    pub engine: Engine,
}

/// The reason why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every job is over.
    Finished,
    /// The process was asked to stop, and so were the jobs.
    Stopped,
}

/// Runs until every job of `begun` is over, or the process is asked to stop. `clock` must never go backwards: [`Clock`](super::Clock).
///
/// # Errors
/// If the journal can't be written.
pub fn work(
    here: &Here,
    begun: &Begun,
    orchestrator: &mut Orchestrator<'_>,
    follow: Follow,
    clock: &dyn Fn() -> Timestamp,
) -> anyhow::Result<End> {
    let files = JobFiles::of(&begun.folder);
    fs::create_dir_all(files.path()).with_context(|| format!("can't make `{}`", files.path().display())).or_exit(Exit::Records)?;
    let start = Start {
        stream: begun.name(),
        experiment: &begun.stream.experiment,
        files: &files,
        data: here.data.as_deref(),
        workers: here.workers,
        trust_module: here.trust_module,
    };
    let mut work = Work {
        start,
        orchestrator,
        follow,
        node: machine::node(),
        began: begun.folder.description().started_at,
        clock,
        processes: BTreeMap::new(),
        pending: Vec::new(),
        is_stopping: false,
    };
    work.take_up();
    loop {
        work.turn()?;
        if work.orchestrator.is_finished() {
            return Ok(End::Finished);
        }
        if work.is_stopping && work.processes.is_empty() {
            return Ok(End::Stopped);
        }
        if here.stop.load(Ordering::Relaxed) && !work.is_stopping {
            work.is_stopping = true;
            work.processes.values_mut().for_each(Process::ask_to_stop);
        }
        thread::sleep(work.until_next());
    }
}

struct Work<'a, 'o> {
    start: Start<'a>,
    orchestrator: &'a mut Orchestrator<'o>,
    follow: Follow,
    /// This machine.
    node: Node,
    /// The time when the stream began.
    began: Timestamp,
    /// The current time of the stream.
    clock: &'a dyn Fn() -> Timestamp,
    processes: BTreeMap<JobId, Process>,
    /// Events that aren't journaled yet.
    pending: Vec<Event>,
    /// True if all processes were asked to stop. No further process is started; the journal knows which jobs should run.
    is_stopping: bool,
}

impl Work<'_, '_> {
    /// Restarts the jobs that should be running: the processes of the previous orchestrator are gone.
    fn take_up(&mut self) {
        self.pending.push(Event::Nodes { nodes: vec![self.node.clone()] });
        let active = self.orchestrator.planner().jobs().iter().filter(|job| job.state.is_active());
        let active: Vec<_> = active.map(|job| (job.spec.id.clone(), job.attempt(), job.state.clone())).collect();
        for (job, attempt, state) in active {
            match state {
                State::Suspending { .. } => self.pending.push(Event::Suspended { job, attempt }),
                _ => self.begin(job, attempt),
            }
        }
    }

    /// Collects events, and performs the actions that follow from them.
    fn turn(&mut self) -> anyhow::Result<()> {
        self.see_processes();
        if !self.is_stopping && self.orchestrator.next_arrival().is_some_and(|at| at <= self.now()) {
            self.pending.push(Event::Tick);
        }
        while !self.pending.is_empty() {
            let events = std::mem::take(&mut self.pending);
            let actions = self.orchestrator.take(self.now(), events, (self.clock)()).or_exit(Exit::Records)?;
            actions.into_iter().for_each(|action| self.act(action));
            // A job that doesn't fit this machine never will, so it fails.
            let hopeless = self.orchestrator.planner().hopeless();
            self.pending.extend(hopeless.into_iter().map(|(job, reason)| Event::ended(job, Outcome::Failed, reason)));
            self.follow.changed(self.orchestrator);
        }
        Ok(())
    }

    fn act(&mut self, action: Action) {
        if self.is_stopping {
            return;
        }
        match action {
            Action::Start { job, attempt } => self.begin(job, attempt),
            Action::Suspend { job, attempt, .. } => match self.processes.get_mut(&job) {
                Some(process) => {
                    tracing::debug!(%job, attempt, "job {job} is asked to stop, for another");
                    process.ask_to_stop();
                }
                None => self.pending.push(Event::Suspended { job, attempt }),
            },
        }
    }

    fn begin(&mut self, job: JobId, attempt: u32) {
        let Some(spec) = self.orchestrator.job(&job).map(|job| &job.spec) else { return };
        match self.start.process(spec, attempt) {
            Ok(process) => {
                tracing::debug!(%job, attempt, "job {job} starts");
                self.pending.push(Event::Created { job: job.clone(), attempt });
                let node = &self.node.name;
                let running = |(pod, _)| Event::PodRunning { job: job.clone(), attempt, pod, node: node.clone() };
                self.pending.extend((0..).zip(spec.each_pod()).map(running));
                self.processes.insert(job, process);
            }
            Err(error) => {
                self.pending.push(failed(job, format!("{error:#}"), Blame::Machine));
            }
        }
    }

    fn see_processes(&mut self) {
        let ended = self.processes.iter_mut().filter_map(|(job, process)| Some((job.clone(), process.attempt(), process.ended()?)));
        for (job, attempt, ended) in ended.collect::<Vec<_>>() {
            self.processes.remove(&job);
            if let Some(at) = self.start.files.read_report(&job).and_then(|report| report.first_step_ms) {
                self.pending.push(Event::FirstStep { job: job.clone(), at: self.at_wall_clock(at) });
            }
            match &ended {
                Ended::Succeeded => tracing::debug!(%job, attempt, "job {job} has succeeded"),
                Ended::Failed(reason, _) => tracing::debug!(%job, attempt, "job {job} has failed: {reason}"),
                Ended::Stopped => tracing::debug!(%job, attempt, "job {job} has stopped"),
            }
            self.pending.push(match ended {
                Ended::Succeeded => Event::ended(job, Outcome::Succeeded, "it trained to its end"),
                Ended::Failed(reason, blame) => failed(job, reason, blame),
                // For a job that wasn't being suspended, but stopped together with this process, the event changes nothing.
                Ended::Stopped => Event::Suspended { job, attempt },
            });
        }
    }

    fn now(&self) -> Duration {
        since(self.began, (self.clock)().as_millisecond())
    }

    /// Returns the stream's time when the wall clock showed `wall_ms`, in milliseconds since the Unix epoch: the time that has passed since then is measured
    /// by the wall clock. If that clock was set in between, the result can be before the job began, which the planner corrects.
    fn at_wall_clock(&self, wall_ms: u64) -> Duration {
        let ago = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0).saturating_sub(wall_ms);
        Duration::from_millis(self.now().as_millis().saturating_sub(ago))
    }

    /// Returns how long the loop may sleep.
    fn until_next(&self) -> time::Duration {
        let arrival = self.orchestrator.next_arrival().filter(|_| !self.is_stopping);
        let millis = arrival.map(|at| at.as_millis().saturating_sub(self.now().as_millis()));
        millis.map_or(POLL, |millis| time::Duration::from_millis(millis).min(POLL))
    }
}

fn failed(job: JobId, reason: String, blame: Blame) -> Event {
    Event::Ended { job, outcome: Outcome::Failed, reason, blame, left: BTreeMap::new(), words: Vec::new() }
}

/// Returns the time from `began` to `at_ms`, which is in milliseconds since the Unix epoch; zero if `at_ms` is earlier.
fn since(began: Timestamp, at_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(at_ms.saturating_sub(began.as_millisecond())).unwrap_or(0))
}
