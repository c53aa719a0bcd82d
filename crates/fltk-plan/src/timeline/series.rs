//! The numbers of jobs and the resources in use over time.

use std::iter;

use fltk_core::experiment::Duration;
use fltk_records::stream_folder::timeline::Series;

use super::{Job, Phase, Span, seconds};
use crate::Amounts;

/// The limit on times: a screen shows no more.
pub const TIMES_MAX: usize = 2000;
/// The name under which jobs with a place are counted among the resources.
const JOBS: &str = "jobs";
/// Billionths in one core, byte or job.
const NANOS: i128 = 1_000_000_000;

/// A job that passes from one phase to another; `None` is before its arrival, or after its end.
pub struct Change<'a> {
    at: Duration,
    from: Option<Phase>,
    to: Option<Phase>,
    job: &'a Job,
}

impl<'a> Change<'a> {
    /// The changes of `job`, which has these spans. A job that is tried again has a gap between two.
    pub fn of_all(job: &'a Job, spans: &[Span]) -> Vec<Self> {
        let mut changes = Vec::with_capacity(spans.len() + 1);
        for (index, span) in spans.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| &spans[before]).filter(|before| before.to == Some(span.from));
            changes.push(Self { at: span.from, from: before.map(|before| before.phase), to: Some(span.phase), job });
            if let Some(at) = span.to.filter(|to| spans.get(index + 1).is_none_or(|next| next.from != *to)) {
                changes.push(Self { at, from: Some(span.phase), to: None, job });
            }
        }
        changes
    }
}

/// The values at one time.
#[derive(Clone, Default)]
struct Count {
    waiting: u32,
    running: u32,
    suspended: u32,
    active: u32,
    used: Amounts,
}

impl Count {
    fn add(&mut self, change: &Change<'_>) {
        if let Some(number) = change.to.and_then(|phase| self.of(phase)) {
            *number += 1;
        }
        if let Some(number) = change.from.and_then(|phase| self.of(phase)) {
            *number = number.saturating_sub(1);
        }
        let is_active = |phase: Option<Phase>| phase.is_some_and(Phase::is_active);
        match (is_active(change.from), is_active(change.to)) {
            (false, true) => {
                self.active += 1;
                self.used.add(&change.job.spec.requests());
            }
            (true, false) => {
                self.active = self.active.saturating_sub(1);
                self.used.subtract(&change.job.spec.requests());
            }
            _ => {}
        }
    }

    fn of(&mut self, phase: Phase) -> Option<&mut u32> {
        match phase {
            Phase::Waiting => Some(&mut self.waiting),
            Phase::Running => Some(&mut self.running),
            Phase::Suspended | Phase::Held => Some(&mut self.suspended),
            Phase::Starting | Phase::Suspending | Phase::Over => None,
        }
    }
}

/// The step functions of `changes` until `until`. `capacity` is what the nodes have, as far as that is known, and `most_jobs` the limit on jobs with a place.
pub fn series(mut changes: Vec<Change<'_>>, until: Duration, capacity: Option<&Amounts>, most_jobs: Option<u32>) -> Series {
    changes.sort_by_key(|change| change.at);
    let end = changes.last().map_or(until, |last| last.at.max(until));
    let mut resources = Amounts::none();
    changes.iter().for_each(|change| resources = std::mem::take(&mut resources).max(&change.job.spec.requests()));
    let names: Vec<String> = resources.iter().map(|(name, _)| name.to_owned()).collect();

    let mut series = Series::default();
    let mut count = Count::default();
    let mut next = 0;
    for at in times(&changes, end) {
        while let Some(change) = changes.get(next).filter(|change| change.at <= at) {
            count.add(change);
            next += 1;
        }
        series.at.push(seconds(at));
        series.waiting.push(count.waiting);
        series.running.push(count.running);
        series.suspended.push(count.suspended);
        for name in &names {
            series.used.entry(name.clone()).or_default().push(units(count.used.get(name)));
        }
        series.used.entry(JOBS.to_owned()).or_default().push(f64::from(count.active));
    }
    for name in names {
        let most = capacity.map(|capacity| units(capacity.get(&name)));
        series.capacity.insert(name, most);
    }
    series.capacity.insert(JOBS.to_owned(), most_jobs.map(f64::from));
    series
}

/// The times to show: of every change, and the end; or evenly spaced ones, if these are too many.
fn times(changes: &[Change<'_>], end: Duration) -> Vec<Duration> {
    let start = Duration::from_millis(0);
    let mut all: Vec<Duration> = iter::once(start).chain(changes.iter().map(|change| change.at)).chain(iter::once(end)).collect();
    all.dedup();
    if all.len() <= TIMES_MAX {
        return all;
    }
    let parts = TIMES_MAX as u128 - 1;
    let at = |part: u128| Duration::from_millis(u64::try_from(u128::from(end.as_millis()) * part / parts).unwrap_or(u64::MAX));
    let mut even: Vec<Duration> = (0..=parts).map(at).collect();
    even.dedup();
    even
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn units(nanos: i128) -> f64 {
    nanos as f64 / NANOS as f64
}
