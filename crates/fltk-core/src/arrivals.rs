//! The stream of an experiment: which jobs arrive, and when. It is a pure function of the experiment, the replication and, if there is one, the
//! trace.
//!
//! ```text
//! Experiment ── stream: batch | simulated | trace ──> Vec<Arrival>, in order of arrival
//! ```
//!
//! Each arrival group is a process of its own: its gaps and its classes come from streams of the replication's seed that no other group draws from. So
//! adding a group, or a group that reaches a limit, doesn't change any other group's arrivals.

mod trace;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1};
use serde::Serialize;

pub use self::trace::{TraceEntry, TraceError, read_trace};
use crate::{
    experiment::{ArrivalGroup, Duration, Experiment, Gaps, OrchestratorType, StreamConfig},
    seed::{Purpose, Seed},
};

/// The limit on jobs of a replication. A longer stream is refused, since it most likely comes from a wrong unit.
pub const JOBS_MAX: usize = 1_000_000;

/// A job that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Arrival {
    /// The position among the replication's arrivals, from 0.
    pub index: u32,
    /// The time since the stream began.
    pub at: Duration,
    /// The position of the group, from 1; 0 for a batch or a trace.
    pub group: u32,
    /// The position within the group. Group and position name the job, independently of other groups.
    pub position: u32,
    /// The position of the task in the experiment.
    pub task: usize,
    /// The priority; smaller goes first. It is 0 where the task has no priorities.
    pub priority: i32,
    /// True if the job may preempt jobs of lower priority.
    pub preempts: bool,
    /// The root seed of the job's training.
    pub seed: Seed,
}

/// The reason why an experiment has no stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArrivalsError {
    /// The stream has more than [`JOBS_MAX`] jobs in one replication.
    #[error(
        "the stream has more than {JOBS_MAX} jobs in one replication\nhint: check the units of the gaps and the duration, or set `max_jobs`"
    )]
    TooMany,
    /// The trace names a task that doesn't exist.
    #[error("{place}: there is no task `{class}`\nhint: the classes of a trace are the names of tasks: {known}")]
    UnknownClass {
        /// The place in the trace.
        place: String,
        /// The name in the trace.
        class: String,
        /// The names of the tasks.
        known: String,
    },
}

/// Returns the arrivals of replication `replication`. `trace` is used for a stream by trace; an experiment without `stream` is a batch.
///
/// A batch trains each task with the replication's own seed, as a run on one machine does. In a simulated stream or a trace, where a task arrives many
/// times, each job has its own seed.
///
/// # Errors
/// [`ArrivalsError`].
///
/// # Panics
/// If there is no such replication.
pub fn arrivals(experiment: &Experiment, replication: usize, trace: &[TraceEntry]) -> Result<Vec<Arrival>, ArrivalsError> {
    let seed = experiment.seeds[replication];
    let drafts = match &experiment.stream {
        None => batch(experiment),
        Some(stream) => match stream.orchestrator {
            OrchestratorType::Batch => batch(experiment),
            OrchestratorType::Simulated => simulated(experiment, stream, seed)?,
            OrchestratorType::Trace => traced(experiment, stream, trace)?,
        },
    };
    let is_batch = experiment.stream.as_ref().is_none_or(|stream| stream.orchestrator == OrchestratorType::Batch);
    let max = experiment.stream.as_ref().and_then(|stream| stream.max_jobs);
    if drafts.len() > JOBS_MAX && max.is_none() {
        return Err(ArrivalsError::TooMany);
    }
    let arrivals = (0..).zip(drafts.into_iter().take(max.map_or(JOBS_MAX, |max| max as usize))).map(|(index, draft)| {
        let Draft { at, group, position, task, preempts, .. } = draft;
        let key = [u64::from(group), u64::from(position)];
        let priority = draft.priority.unwrap_or_else(|| draw_priority(experiment, task, seed, key));
        let seed = if is_batch { seed } else { Seed(seed.stream(Purpose::Job, &key).random()) };
        Arrival { index, at: Duration::from_millis(at), group, position, task, priority, preempts, seed }
    });
    Ok(arrivals.collect())
}

/// An arrival before its position among all arrivals is known.
struct Draft {
    /// The arrival time in milliseconds.
    at: u64,
    group: u32,
    position: u32,
    task: usize,
    priority: Option<i32>,
    preempts: bool,
}

fn batch(experiment: &Experiment) -> Vec<Draft> {
    let preempts = |task: usize| group_of(experiment, task).is_some_and(|group| group.preempt);
    let draft = |(position, task)| Draft { at: 0, group: 0, position, task, priority: None, preempts: preempts(task) };
    (0..).zip(0..experiment.tasks.len()).map(draft).collect()
}

fn simulated(experiment: &Experiment, stream: &StreamConfig, seed: Seed) -> Result<Vec<Draft>, ArrivalsError> {
    let mut drafts = Vec::new();
    for (index, group) in (0..).zip(&stream.groups) {
        drafts.extend(process(experiment, stream, group, index, seed)?);
        if drafts.len() > JOBS_MAX && stream.max_jobs.is_none() {
            return Err(ArrivalsError::TooMany);
        }
        // The sort is stable: among arrivals in the same millisecond, those of the earlier group go first.
        drafts.sort_by_key(|draft| draft.at);
        // Arrivals beyond the limit are dropped early.
        drafts.truncate(stream.max_jobs.map_or(usize::MAX, |max| max as usize));
    }
    Ok(drafts)
}

/// Returns the arrivals of one group, in order.
fn process(
    experiment: &Experiment,
    stream: &StreamConfig,
    group: &ArrivalGroup,
    index: u32,
    seed: Seed,
) -> Result<Vec<Draft>, ArrivalsError> {
    let (Some(gaps), Some(duration)) = (group.gaps, stream.duration) else { return Ok(Vec::new()) };
    let stream_of = |purpose| seed.stream(purpose, &[u64::from(index)]);
    let (mut gap_stream, mut class_stream) = (stream_of(Purpose::Gap), stream_of(Purpose::Class));
    let mut classes = Classes::of(experiment, group);
    // The first `max_jobs` jobs include no more than this many of one group.
    let max = stream.max_jobs.map_or(JOBS_MAX + 1, |max| max as usize);
    let (mut drafts, mut at) = (Vec::new(), 0_u64);
    while drafts.len() < max {
        at = at.saturating_add(draw_gap(gaps, &mut gap_stream));
        if at >= duration.as_millis() {
            break;
        }
        let Some(task) = classes.draw(&mut class_stream) else { break };
        let position = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
        drafts.push(Draft { at, group: index + 1, position, task, priority: None, preempts: group.preempt });
    }
    if drafts.len() > JOBS_MAX { Err(ArrivalsError::TooMany) } else { Ok(drafts) }
}

/// Returns a gap in milliseconds.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are below 2^53 ms")]
fn draw_gap(gaps: Gaps, stream: &mut ChaCha8Rng) -> u64 {
    match gaps {
        Gaps::Exponential { mean } => {
            let draw: f64 = Exp1.sample(stream);
            (draw * mean.as_millis() as f64).round() as u64
        }
        Gaps::Deterministic { every } => every.as_millis(),
        Gaps::Uniform { min, max } => stream.random_range(min.as_millis()..=max.as_millis().max(min.as_millis())),
    }
}

/// The tasks of a group, with the weights for drawing them.
struct Classes {
    /// The position of each task, its weight, and the number of jobs that may still arrive.
    tasks: Vec<(usize, f64, u32)>,
}

impl Classes {
    fn of(experiment: &Experiment, group: &ArrivalGroup) -> Self {
        let members = experiment.tasks.iter().enumerate().filter(|(_, task)| group.has(task));
        let tasks = members.map(|(index, task)| (index, task.class_probability.unwrap_or(1.0), task.max_jobs.unwrap_or(u32::MAX)));
        Self { tasks: tasks.filter(|(_, weight, _)| *weight > 0.0).collect() }
    }

    /// Returns the position of the drawn task; `None` once every task has reached its limit.
    fn draw(&mut self, stream: &mut ChaCha8Rng) -> Option<usize> {
        let total: f64 = self.tasks.iter().map(|(_, weight, _)| weight).sum();
        let chosen = pick(self.tasks.iter().map(|(_, weight, _)| *weight), stream.random::<f64>() * total)?;
        let (task, _, left) = &mut self.tasks[chosen];
        let task = *task;
        *left -= 1;
        if *left == 0 {
            self.tasks.remove(chosen);
        }
        Some(task)
    }
}

/// Returns the first position at which the sum of weights exceeds `at`; if rounding leaves none, the last position with a weight.
fn pick(weights: impl Iterator<Item = f64>, at: f64) -> Option<usize> {
    let (mut sum, mut last) = (0.0, None);
    for (position, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
        sum += weight;
        last = Some(position);
        if at < sum {
            break;
        }
    }
    last
}

fn traced(experiment: &Experiment, stream: &StreamConfig, trace: &[TraceEntry]) -> Result<Vec<Draft>, ArrivalsError> {
    let mut left: Vec<u32> = experiment.tasks.iter().map(|task| task.max_jobs.unwrap_or(u32::MAX)).collect();
    let mut drafts = Vec::new();
    let mut ordered: Vec<&TraceEntry> = trace.iter().collect();
    ordered.sort_by_key(|entry| entry.at);
    for entry in ordered {
        let Some(task) = experiment.tasks.iter().position(|task| task.name == entry.class) else {
            let known: Vec<String> = experiment.tasks.iter().map(|task| format!("`{}`", task.name)).collect();
            return Err(ArrivalsError::UnknownClass { place: entry.place.clone(), class: entry.class.clone(), known: known.join(", ") });
        };
        if stream.duration.is_some_and(|duration| entry.at >= duration) || left[task] == 0 {
            continue;
        }
        left[task] -= 1;
        let preempts = group_of(experiment, task).is_some_and(|group| group.preempt);
        let position = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
        drafts.push(Draft { at: entry.at.as_millis(), group: 0, position, task, priority: entry.priority, preempts });
    }
    Ok(drafts)
}

fn group_of(experiment: &Experiment, task: usize) -> Option<&ArrivalGroup> {
    experiment.stream.as_ref()?.groups.iter().find(|group| group.has(&experiment.tasks[task]))
}

fn draw_priority(experiment: &Experiment, task: usize, seed: Seed, key: [u64; 2]) -> i32 {
    let priorities = &experiment.tasks[task].priorities;
    let total: f64 = priorities.iter().map(|priority| priority.probability.max(0.0)).sum();
    let at = seed.stream(Purpose::Priority, &key).random::<f64>() * total;
    pick(priorities.iter().map(|priority| priority.probability), at).map_or(0, |chosen| priorities[chosen].priority)
}
