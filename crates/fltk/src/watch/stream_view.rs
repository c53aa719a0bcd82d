//! A stream of jobs as it is shown: from its journal, and from the runs of the jobs that run.

use std::{cmp::Reverse, collections::BTreeMap};

use fltk_core::experiment::Duration;
use fltk_plan::{
    Orchestrator,
    plan::{Job, STATE_NAMES, State},
};
use fltk_records::{RunRef, history::Status, summary::RunSummary};

use super::{
    grid::{Column, Grid},
    view::{Along, Chart, Curve, JobView, Progress, StreamView, shown},
};
use crate::{
    follow::{self, seconds},
    pace, spark,
    timeline::clock,
};

/// The number of waiting jobs, from the front of the table, for which the reason is computed: it means trying to place the job.
const EXPLAINED_MAX: usize = 30;
/// The number of running jobs whose curves are in one chart: more couldn't be told apart.
pub const CURVES_MAX: usize = 6;
/// The characters of a job's name that are shown: enough to name it to `fltk explain`.
const NAME_CHARS: usize = 8;
/// The characters of a curve in the table.
const SPARK_CHARS: usize = 10;

/// The knowledge of a stream from which its view is made.
#[derive(Clone)]
pub struct Known<'a> {
    /// The name of its folder.
    pub name: &'a str,
    /// The name of its experiment.
    pub experiment: &'a str,
    /// The planner, after the last event.
    pub orchestrator: &'a Orchestrator<'a>,
    /// The number of waiting and of active jobs after each event, by its time in seconds since the stream began.
    pub series: &'a Series,
    /// The runs of its jobs, as far as they are followed, by the job's name.
    pub runs: BTreeMap<&'a str, &'a RunRef>,
    /// The time since the stream began.
    pub now: Duration,
    /// True if an orchestrator is running it.
    pub is_orchestrated: bool,
    /// The job that is selected in the table, whose state is explained in any case.
    pub selected: Option<&'a str>,
    /// True if the terminal shows more than ASCII.
    pub is_unicode: bool,
}

/// The number of waiting and of active jobs over time: `(seconds, waiting, active)`, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series(Vec<(f64, usize, usize)>);

impl Series {
    /// The most changes that are kept; beyond it, every other one is dropped.
    const CHANGES_MAX: usize = 4000;

    /// Notes the numbers from `at` on.
    pub fn note(&mut self, at: f64, waiting: usize, active: usize) {
        match self.0.last() {
            Some((last, ..)) if *last >= at => drop(self.0.pop()),
            Some((_, before, running)) if (*before, *running) == (waiting, active) => return,
            _ => {}
        }
        self.0.push((at, waiting, active));
        if self.0.len() > Self::CHANGES_MAX {
            let mut is_kept = false;
            self.0.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
    }

    /// Returns one of the numbers as the corners of steps, up to `end`.
    fn steps(&self, of: fn(&(f64, usize, usize)) -> usize, end: f64) -> Vec<(f64, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let count = |change| of(change) as f64;
        let mut corners = Vec::new();
        let mut before = 0.0;
        for change in &self.0 {
            corners.extend([(change.0, before), (change.0, count(change))]);
            before = count(change);
        }
        corners.push((end.max(self.0.last().map_or(0.0, |last| last.0)), before));
        corners
    }
}

impl StreamView {
    /// Returns the view of the stream of which so much is `known`.
    #[must_use]
    pub fn of(known: &Known<'_>) -> Self {
        let Known { orchestrator, now, is_orchestrated, .. } = *known;
        let status = match (orchestrator.is_finished(), is_orchestrated) {
            (true, _) => Status::Finished,
            (false, true) => Status::Running,
            (false, false) => Status::Interrupted,
        };
        let replication = match orchestrator.replication() {
            (_, 1) => String::new(),
            (at, count) => format!(", replication {} of {count}", at + 1),
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        orchestrator.all_jobs().for_each(|job| *counts.entry(job.state_name()).or_default() += 1);
        let states: Vec<(&'static str, usize)> = STATE_NAMES.into_iter().filter_map(|state| Some((state, *counts.get(state)?))).collect();
        let next = orchestrator.next_arrival().filter(|_| status == Status::Running);
        let jobs = arranged(orchestrator);
        // Nothing goes on in a stream that nobody runs.
        let known = &Known { now: if status == Status::Running { now } else { orchestrator.now() }, ..known.clone() };
        let settings = orchestrator.planner().settings();
        Self {
            name: shown(known.name),
            about: shown(&format!("{}{replication}, {}", known.experiment, policy(settings))),
            status,
            progress: progress(known, status),
            states,
            next: next.map_or_else(String::new, |at| pace::time(seconds(at) - seconds(now))),
            charts: charts(known, &jobs),
            table: table(known, &jobs),
            jobs: explained(known, &jobs),
        }
    }
}

fn policy(settings: fltk_plan::Settings) -> String {
    let name = serde_json::to_value(settings.policy).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default();
    format!("policy {name}")
}

/// Returns the jobs that have arrived: those with a place, those that wait, and those that are over, the last to end first.
fn arranged<'a>(orchestrator: &'a Orchestrator<'a>) -> Vec<&'a Job> {
    let mut jobs: Vec<&Job> = orchestrator.all_jobs().filter(|job| job.state != State::Pending).collect();
    jobs.sort_by_cached_key(|job| match &job.state {
        State::Ended => {
            let ended = job.record.ended.map_or(0, Duration::as_millis) + orchestrator.began(job.spec.replication).as_millis();
            (2, Reverse(ended))
        }
        State::Waiting => (1, Reverse(0)),
        _ => (0, Reverse(0)),
    });
    jobs
}

fn progress(known: &Known<'_>, status: Status) -> Progress {
    let state = follow::Stand::of(known.orchestrator);
    let (is_running, now) = (status == Status::Running, known.now);
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let part = (state.all > 0).then(|| state.over as f64 / state.all as f64);
    Progress {
        words: format!("{} of {} jobs are over", state.over, state.all),
        part,
        rate: state.rate(now).map_or_else(String::new, |rate| pace::Unit::Named("job").rate(rate)),
        left: state.left(now).filter(|_| is_running),
        elapsed: seconds(now),
        quiet: None,
    }
}

fn charts(known: &Known<'_>, jobs: &[&Job]) -> Vec<Chart> {
    let end = seconds(known.now);
    let series = |name: &str, of: fn(&(f64, usize, usize)) -> usize| Curve::new(name, known.series.steps(of, end).into_iter());
    let queue = Chart {
        title: "jobs".to_owned(),
        curves: vec![series("waiting", |change| change.1), series("running", |change| change.2)],
        along: Along::Seconds,
    };
    let running = jobs.iter().filter(|job| job.state.is_active()).filter_map(|job| Some((job, *known.runs.get(job.spec.id.0.as_str())?)));
    let curves = running.take(CURVES_MAX).map(|(job, run)| {
        let points = run.history.rows().filter_map(|row| Some((f64::from(row.step), row.accuracy()?)));
        Curve::new(shown(&format!("{} {}", short(job), job.spec.class)), points)
    });
    let curves: Vec<Curve> = curves.filter(|curve| !curve.points.is_empty()).collect();
    let accuracy = (!curves.is_empty()).then(|| Chart { title: "accuracy".to_owned(), curves, along: Along::Steps("step") });
    [Some(queue), accuracy].into_iter().flatten().collect()
}

fn short(job: &Job) -> String {
    shown(&job.spec.id.0.chars().take(NAME_CHARS).collect::<String>())
}

fn table(known: &Known<'_>, jobs: &[&Job]) -> Grid {
    let columns = vec![
        Column::text("job", 0, NAME_CHARS),
        Column::text("task", 1, 24),
        Column::states("state", 11),
        Column::number("priority", 7),
        Column::number("arrived", 5),
        Column::number("waited", 3),
        Column::number("ran", 3),
        Column::text("step", 4, 12),
        Column::number("accuracy", 4),
        Column::text("curve", 6, SPARK_CHARS),
        Column::text("nodes", 8, 24),
        Column::number("suspended", 9),
    ];
    let cells = |job: &&Job| {
        let record = &job.record;
        let now = seconds(known.now) - seconds(known.orchestrator.began(job.spec.replication));
        let until = |end: Option<Duration>, now: f64| end.map_or(now, seconds);
        let waited = record.arrived.map(|arrived| until(record.first_pod.or(record.ended), now) - seconds(arrived));
        let ran = record.first_pod.map(|first| until(record.ended, now) - seconds(first));
        let time = |seconds: Option<f64>| seconds.map_or_else(String::new, pace::time);
        let run = known.runs.get(job.spec.id.0.as_str()).copied();
        let summary = run.map(RunSummary::of);
        let step = summary.as_ref().and_then(|summary| {
            let step = summary.step?;
            Some(summary.num_steps.map_or_else(|| step.to_string(), |steps| format!("{step}/{steps}")))
        });
        let curve = run.map_or_else(String::new, |run| {
            let values: Vec<f64> = run.history.rows().filter_map(|row| row.accuracy()).collect();
            spark::line(&values, SPARK_CHARS, known.is_unicode)
        });
        vec![
            short(job),
            shown(&job.spec.class),
            job.state_name().to_owned(),
            record.priority.to_string(),
            record.arrived.map_or_else(String::new, clock),
            time(waited),
            time(ran),
            step.unwrap_or_default(),
            summary.and_then(|summary| summary.accuracy).map_or_else(String::new, |accuracy| format!("{accuracy:.4}")),
            curve,
            shown(&record.nodes.iter().cloned().collect::<Vec<_>>().join(" ")),
            if record.suspensions > 0 { format!("{}x", record.suspensions) } else { String::new() },
        ]
    };
    Grid { columns, rows: jobs.iter().map(cells).collect() }
}

fn explained(known: &Known<'_>, jobs: &[&Job]) -> Vec<JobView> {
    let mut num_explained = 0;
    let mut words = |job: &Job| {
        let record = &job.record;
        match &job.state {
            State::Waiting => {
                num_explained += 1;
                let is_asked = num_explained <= EXPLAINED_MAX || known.selected == Some(&job.spec.id.0);
                let wait = is_asked.then(|| known.orchestrator.explain(&job.spec.id, known.now)).flatten();
                wait.map_or_else(|| "it waits".to_owned(), |wait| format!("it waits: {wait}"))
            }
            State::Suspending { for_job } => format!("it is being preempted by job {for_job}"),
            State::Held => "it is held: somebody else suspended its object".to_owned(),
            State::Pending | State::Admitted | State::Starting => "it has its place, and is being started".to_owned(),
            State::Running if record.nodes.is_empty() => "it runs".to_owned(),
            State::Running => format!("it runs on {}", record.nodes.iter().cloned().collect::<Vec<_>>().join(", ")),
            State::Ended => {
                let after =
                    record.response_seconds().map(|seconds| format!(" {} after it arrived", pace::time(seconds))).unwrap_or_default();
                format!("it ended{after}: {}", record.reason.as_deref().unwrap_or("no reason was given"))
            }
        }
    };
    jobs.iter().map(|&job| JobView { job: job.spec.id.0.clone(), words: shown(&words(job)) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_has_the_corners_of_its_steps() {
        let mut series = Series::default();
        for (at, waiting, active) in [(0.0, 1, 0), (0.0, 2, 0), (2.0, 2, 0), (3.0, 1, 1)] {
            series.note(at, waiting, active);
        }
        assert_eq!(series.0, [(0.0, 2, 0), (3.0, 1, 1)], "what changes nothing is left out");
        assert_eq!(series.steps(|change| change.1, 5.0), [(0.0, 0.0), (0.0, 2.0), (3.0, 2.0), (3.0, 1.0), (5.0, 1.0)]);
        (0..20_000_u32).for_each(|at| series.note(10.0 + f64::from(at), at as usize, 0));
        assert!(series.0.len() <= Series::CHANGES_MAX && series.0.last().is_some_and(|last| last.1 == 19_999), "{}", series.0.len());
    }
}
