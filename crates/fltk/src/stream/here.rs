//! The loop between this machine and the orchestrator: what becomes of processes are events, what is asked for are processes.
//!
//! ```text
//! processes ──> how they ended ──> Orchestrator::take ──> actions ──> start one, ask one to stop
//! ```
//!
//! No process outlives this one. So what the journal says to run is started again by whoever takes the stream up, and goes on from its checkpoint.

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
use fltk_cluster::{
    Action, Event, JobId, Orchestrator,
    plan::{Blame, Outcome, State, capacity::Node},
};
use fltk_core::experiment::Duration;
use jiff::Timestamp;

use self::process::{Ended, Process, Start};
use crate::{
    engine::Engine,
    exit::{Exit, OrExit as _},
    follow::Follow,
    stream::{Begun, JobFiles},
};

/// How often processes are looked at.
const POLL: time::Duration = time::Duration::from_millis(50);

/// What the jobs of a stream have in common here, and who ends them.
pub struct Here {
    /// Cache folder of data sets, where there is one.
    pub data: Option<PathBuf>,
    /// Workers of a job that doesn't say how many cores it asks for, and the most of any other.
    pub workers: NonZeroUsize,
    /// Whether a TorchScript module may lie within a folder of records.
    pub trust_module: bool,
    /// Raised when the process is asked to stop.
    pub stop: Arc<AtomicBool>,
    /// Who computes in the jobs' processes.
    pub engine: Engine,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every job is over.
    Finished,
    /// It was asked to stop, and so were the jobs.
    Stopped,
}

/// Works until every job of `begun` is over, or the process was asked to stop. `clock` never goes backwards: [`Clock`](super::Clock).
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
    /// When the stream began.
    began: Timestamp,
    /// What time it is in the stream.
    clock: &'a dyn Fn() -> Timestamp,
    processes: BTreeMap<JobId, Process>,
    /// Events that aren't journaled yet.
    pending: Vec<Event>,
    /// Whether all processes were asked to stop. None is started any more; what should be is known to the journal.
    is_stopping: bool,
}

impl Work<'_, '_> {
    /// The processes of whoever worked on the stream before are gone: those that should run are started again.
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

    /// Sees what happened, and does what follows from it.
    fn turn(&mut self) -> anyhow::Result<()> {
        self.see_processes();
        if !self.is_stopping && self.orchestrator.next_arrival().is_some_and(|at| at <= self.now()) {
            self.pending.push(Event::Tick);
        }
        while !self.pending.is_empty() {
            let events = std::mem::take(&mut self.pending);
            let actions = self.orchestrator.take(self.now(), events, (self.clock)()).or_exit(Exit::Records)?;
            actions.into_iter().for_each(|action| self.act(action));
            // This machine doesn't grow.
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
                Some(process) => process.ask_to_stop(),
                None => self.pending.push(Event::Suspended { job, attempt }),
            },
        }
    }

    fn begin(&mut self, job: JobId, attempt: u32) {
        let Some(spec) = self.orchestrator.job(&job).map(|job| &job.spec) else { return };
        match self.start.process(spec, attempt) {
            Ok(process) => {
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
            self.pending.push(match ended {
                Ended::Succeeded => Event::ended(job, Outcome::Succeeded, "it trained to its end"),
                Ended::Failed(reason, blame) => failed(job, reason, blame),
                // Of one that wasn't to be suspended, but stopped with this process, it says nothing new.
                Ended::Stopped => Event::Suspended { job, attempt },
            });
        }
    }

    fn now(&self) -> Duration {
        since(self.began, (self.clock)().as_millisecond())
    }

    /// When in the stream it was when the wall clock said `wall_ms`, in milliseconds since the Unix epoch: as long ago as that clock says now. Should it
    /// have been set since, that can be before the job began, which the planner knows better.
    fn at_wall_clock(&self, wall_ms: u64) -> Duration {
        let ago = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0).saturating_sub(wall_ms);
        Duration::from_millis(self.now().as_millis().saturating_sub(ago))
    }

    /// How long nothing needs to be done.
    fn until_next(&self) -> time::Duration {
        let arrival = self.orchestrator.next_arrival().filter(|_| !self.is_stopping);
        let millis = arrival.map(|at| at.as_millis().saturating_sub(self.now().as_millis()));
        millis.map_or(POLL, |millis| time::Duration::from_millis(millis).min(POLL))
    }
}

fn failed(job: JobId, reason: String, blame: Blame) -> Event {
    Event::Ended { job, outcome: Outcome::Failed, reason, blame, left: BTreeMap::new(), words: Vec::new() }
}

/// How long after `began` it was `at_ms`, in milliseconds since the Unix epoch.
fn since(began: Timestamp, at_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(at_ms.saturating_sub(began.as_millisecond())).unwrap_or(0))
}
