//! The course of a stream, folded from the moves of its jobs.

mod series;

use std::collections::BTreeMap;

use fltk_core::experiment::{AdmissionConfig, Duration};
use fltk_records::{
    StreamDescription,
    stream_folder::timeline::{Timeline, TimelineJob},
};

use self::series::{Change, series};
use crate::{
    JobId, Orchestrator, Planner,
    plan::{Job, Move, Outcome, Phase, State},
};

/// The limit on waiting jobs whose reasons are given: each takes a search for the jobs whose ends make room.
const EXPLAINED_MAX: usize = 200;

/// The course of the stream of `orchestrator`, which [looks back](Orchestrator::looking_back) at it. `now` is the time since the stream started if
/// something is running it, and `run_of` finds the folder of a job's run.
#[must_use]
pub fn timeline(
    orchestrator: &Orchestrator<'_>,
    description: &StreamDescription,
    now: Option<Duration>,
    run_of: &dyn Fn(&JobId) -> Option<String>,
) -> Timeline {
    let mut nodes = BTreeMap::new();
    for node in orchestrator.records().flat_map(|record| &record.nodes) {
        nodes.insert(node.as_str(), 0);
    }
    nodes.values_mut().enumerate().for_each(|(index, place)| *place = index);
    let until = now.map_or(orchestrator.now(), |now| now.max(orchestrator.now()));
    let mut explained = 0;
    let mut jobs = Vec::new();
    let mut changes = Vec::new();
    for (replication, planner) in orchestrator.planners().iter().enumerate() {
        let began = orchestrator.began(replication);
        for (job, spans) in planner.jobs().iter().zip(spans(planner, began)) {
            let record = &job.record;
            if record.arrived.is_none() && record.ended.is_none() {
                continue;
            }
            changes.extend(Change::of_all(job, &spans));
            let why = (job.state == State::Waiting && explained < EXPLAINED_MAX).then(|| {
                explained += 1;
                orchestrator.explain(&job.spec.id, until).map(|wait| wait.to_string())
            });
            jobs.push(TimelineJob {
                job: job.spec.id.to_string(),
                class: job.spec.arrival.task,
                replication,
                priority: record.priority,
                state: job.state_name(),
                arrived: record.arrived.map(|at| seconds(after(began, at))),
                ended: record.ended.map(|at| seconds(after(began, at))),
                nodes: record.nodes.iter().filter_map(|node| nodes.get(node.as_str()).copied()).collect(),
                suspensions: record.suspensions,
                reason: record.reason.clone().filter(|_| record.outcome != Some(Outcome::Succeeded)),
                why: why.flatten(),
                run: run_of(&job.spec.id),
                spans: spans.iter().map(|span| (place(span.phase), seconds(span.from), span.to.map(seconds))).collect(),
            });
        }
    }
    Timeline {
        stream: description.run.to_string(),
        experiment: description.experiment.to_string(),
        is_orchestrated: now.is_some(),
        started_at: description.started_at,
        now: now.map(|_| seconds(until)),
        classes: orchestrator.stream().experiment.tasks.iter().map(|task| task.name.to_string()).collect(),
        nodes: nodes.into_keys().map(str::to_owned).collect(),
        states: Phase::LASTING.map(Phase::name).to_vec(),
        series: series(changes, until, orchestrator.planner().capacity().as_ref(), most_jobs(orchestrator.planner())),
        jobs,
    }
}

/// The limit on jobs that have a place; `None` if their number isn't limited.
fn most_jobs(planner: &Planner) -> Option<u32> {
    match planner.settings().admission {
        AdmissionConfig::MaxConcurrent { jobs } => Some(jobs),
        AdmissionConfig::Unlimited {} | AdmissionConfig::Capacity {} => None,
    }
}

/// A phase of a job, from its beginning until its end, if it has ended. Times are since the stream started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    phase: Phase,
    from: Duration,
    to: Option<Duration>,
}

/// The spans of each job of `planner`, whose replication began at `began`.
fn spans(planner: &Planner, began: Duration) -> Vec<Vec<Span>> {
    let mut of_jobs = vec![Vec::new(); planner.jobs().len()];
    for Move { job, at, phase } in planner.moves() {
        if let Some(spans) = of_jobs.get_mut(*job) {
            begin(spans, *phase, after(began, *at));
        }
    }
    of_jobs
}

/// Begins `phase` at `at`, which ends the last of `spans`. A span that would have no length is left out.
fn begin(spans: &mut Vec<Span>, phase: Phase, at: Duration) {
    let mut from = at;
    if let Some(last) = spans.last_mut().filter(|last| last.to.is_none()) {
        if last.phase == phase {
            return;
        }
        // What is noticed late may lie before the last beginning.
        from = at.max(last.from);
        last.to = Some(from);
        if last.from == from {
            spans.pop();
        }
    }
    if phase != Phase::Over {
        match spans.last_mut() {
            // Only a span without length was in between.
            Some(last) if last.phase == phase && last.to == Some(from) => last.to = None,
            _ => spans.push(Span { phase, from, to: None }),
        }
    }
}

/// The index of the name of `phase`.
fn place(phase: Phase) -> usize {
    Phase::LASTING.iter().position(|lasting| *lasting == phase).unwrap_or(0)
}

fn after(began: Duration, at: Duration) -> Duration {
    Duration::from_millis(began.as_millis().saturating_add(at.as_millis()))
}

#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 ms")]
fn seconds(at: Duration) -> f64 {
    at.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests;
