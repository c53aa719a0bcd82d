//! The progress that a user sees while a stream runs: a bar on a terminal, elsewhere a line when something has changed, at most one per second.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fltk_core::experiment;
use fltk_plan::{
    Orchestrator,
    plan::{STATE_NAMES, State},
};

use crate::{
    bar::Bar,
    log,
    pace::{self, Pace, Unit},
    timeline::clock,
};

/// The minimum time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// The number of last ends that the rate is computed from.
const ENDS: usize = 20;

/// How far a stream is. Its jobs' arrivals are known from the beginning, and so is when the last of them arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct Stand {
    /// The number of jobs that are over.
    pub over: usize,
    /// The number of jobs of all replications that have begun; what later ones have isn't known.
    pub all: usize,
    /// True if there is a later replication.
    goes_on: bool,
    /// The seconds since the stream began at which the last jobs ended, and with them the moment before: ascending.
    ends: Vec<f64>,
    /// The seconds since the stream began at which the last job arrives.
    last_arrival: f64,
    /// The mean seconds from the arrival of a job to its end, of those that are over.
    response: Option<f64>,
}

impl Stand {
    /// Returns how far the stream of `orchestrator` is.
    #[must_use]
    pub fn of(orchestrator: &Orchestrator<'_>) -> Self {
        let (at, replications) = orchestrator.replication();
        let mut stand = Self { over: 0, all: 0, goes_on: at + 1 < replications, ends: Vec::new(), last_arrival: 0.0, response: None };
        let (mut ends, mut responses) = (Vec::new(), 0.0);
        for job in orchestrator.all_jobs() {
            let began = seconds(orchestrator.began(job.spec.replication));
            stand.all += 1;
            stand.last_arrival = stand.last_arrival.max(began + seconds(job.spec.arrival.at));
            if job.state == State::Ended {
                stand.over += 1;
                ends.extend(job.record.ended.map(|end| began + seconds(end)));
                responses += job.record.response_seconds().unwrap_or(0.0);
            }
        }
        ends.sort_by(f64::total_cmp);
        // The first job takes as long as a job takes: the rate counts from the beginning until there are more.
        if ends.len() > ENDS {
            ends.drain(..ends.len() - ENDS - 1);
        } else {
            ends.insert(0, 0.0);
        }
        stand.ends = ends;
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let over = stand.over as f64;
        stand.response = (stand.over > 0).then(|| responses / over);
        stand
    }

    /// Returns the jobs that end in a second; `None` before any did.
    #[must_use]
    pub fn rate(&self, now: experiment::Duration) -> Option<f64> {
        let (first, last) = (self.ends.first()?, self.ends.last()?);
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let count = (self.ends.len() - 1) as f64;
        let end = last.max(seconds(now).min(last + 2.0 * (last - first) / count.max(1.0)));
        let rate = count / (end - first);
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }

    /// Returns the seconds that the stream still takes: those in which as many jobs end as before, and at least until the last job has arrived and had its
    /// time. `None` before any job ended, and if jobs follow that aren't known yet.
    #[must_use]
    pub fn left(&self, now: experiment::Duration) -> Option<f64> {
        if self.goes_on || self.over == self.all {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let by_rate = (self.all - self.over) as f64 / self.rate(now)?;
        let until_last = self.last_arrival - seconds(now);
        let by_arrivals = if until_last > 0.0 { until_last + self.response? } else { 0.0 };
        Some(by_rate.max(by_arrivals))
    }

    /// Returns how far the stream is in words, such as `5 of 12 jobs, 2.0 s/job, 14 s left`.
    #[must_use]
    pub fn words(&self, now: experiment::Duration) -> String {
        let rate = self.rate(now).map(|rate| format!(", {}", Unit::Named("job").rate(rate))).unwrap_or_default();
        let left = self.left(now).map(|left| format!(", about {} left", pace::time(left))).unwrap_or_default();
        format!("{} of {} jobs{rate}{left}", self.over, self.all)
    }
}

/// Returns the seconds of a duration.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 ms")]
pub fn seconds(at: experiment::Duration) -> f64 {
    at.as_millis() as f64 / 1000.0
}

/// Shows the progress of a stream.
#[derive(Default)]
pub struct Follow {
    said: String,
    said_at: Option<Instant>,
    bar: Option<Bar>,
}

impl Follow {
    /// Shows the number of jobs in each state, if that has changed, and how far the stream is.
    pub fn changed(&mut self, orchestrator: &Orchestrator<'_>) {
        let is_over = orchestrator.is_finished();
        if self.said_at.is_some_and(|at| at.elapsed() < LINE_EVERY && !is_over) {
            return;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for job in orchestrator.all_jobs() {
            *counts.entry(job.state_name()).or_default() += 1;
        }
        let states = STATE_NAMES.iter().filter_map(|state| Some(format!("{} {state}", counts.get(state)?))).collect::<Vec<_>>().join(", ");
        let replication = match orchestrator.replication() {
            (_, 1) => String::new(),
            (at, count) => format!("replication {} of {count}: ", at + 1),
        };
        let said = format!("{replication}{states}");
        if said == self.said {
            return;
        }
        let (now, stand) = (orchestrator.now(), Stand::of(orchestrator));
        if log::has_bars() && !is_over {
            let bar = self.bar.get_or_insert_with(|| Bar::draw("", Unit::Named("job"), Some(stand.all as u64), stand.over as u64));
            #[expect(clippy::cast_precision_loss, reason = "a count")]
            bar.stand(Pace::standing(stand.over as f64, stand.all as f64), stand.over as f64);
            let left = stand.left(now).map(|left| format!("about {} left; ", pace::time(left))).unwrap_or_default();
            bar.say(&format!("{left}{said}"));
        } else {
            self.bar = None;
            let far = if stand.over > 0 && !is_over { format!("; {}", stand.words(now)) } else { String::new() };
            tracing::info!("{}  {said}{far}", clock(now));
        }
        self.said = said;
        self.said_at = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand(over: usize, all: usize, ends: &[f64], last_arrival: f64) -> Stand {
        Stand { over, all, goes_on: false, ends: ends.to_vec(), last_arrival, response: Some(5.0) }
    }

    #[test]
    fn time_left_is_that_of_the_rate_or_of_the_arrivals() {
        let at = |seconds: u64| experiment::Duration::from_millis(seconds * 1000);
        assert_eq!(stand(0, 4, &[0.0], 9.0).words(at(3)), "0 of 4 jobs");
        assert_eq!(stand(2, 4, &[0.0, 2.0, 4.0], 1.0).words(at(4)), "2 of 4 jobs, 2.0 s/job, about 4 s left");
        // The last job comes in 96 seconds, and takes 5.
        assert_eq!(stand(2, 4, &[0.0, 2.0, 4.0], 100.0).words(at(4)), "2 of 4 jobs, 2.0 s/job, about 1 min 41 s left");
        assert_eq!(stand(4, 4, &[0.0, 2.0, 4.0], 1.0).left(at(4)), None);
        assert_eq!(Stand { goes_on: true, ..stand(2, 4, &[0.0, 4.0], 1.0) }.left(at(4)), None, "jobs of later replications aren't counted");
    }
}
