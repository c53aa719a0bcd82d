//! The progress that a user sees while a stream runs on Kubernetes: the states of the jobs, and problems.

use std::{
    collections::BTreeMap,
    fmt::Display,
    time::{Duration, Instant},
};

use fltk_kubernetes::{Observer, view::View};
use fltk_plan::{JobId, Orchestrator};

use crate::follow::Follow;

/// The minimum time between two warnings with the same text.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);
/// The maximum number of different warnings that are remembered.
const COMPLAINTS_MAX: usize = 1000;

/// Prints the progress of a stream.
#[derive(Default)]
pub struct Observed {
    follow: Follow,
    complaints: BTreeMap<String, Instant>,
}

impl Observed {
    fn is_new(&mut self, text: &str) -> bool {
        let what = shared(text);
        self.complaints.retain(|_, at| at.elapsed() < COMPLAIN_EVERY);
        let is_new = !self.complaints.contains_key(&what) && self.complaints.len() < COMPLAINTS_MAX;
        if is_new {
            self.complaints.insert(what, Instant::now());
        }
        is_new
    }
}

impl Observer for Observed {
    fn changed(&mut self, orchestrator: &Orchestrator<'_>, _view: &View) {
        self.follow.changed(orchestrator);
    }

    fn trouble(&mut self, text: &str) {
        if self.is_new(text) {
            tracing::warn!("{text}; retrying");
        }
    }

    fn stuck(&mut self, job: &JobId, why: &dyn Display) {
        let text = format!("job {job}: {why}");
        if self.is_new(&text) {
            tracing::warn!(%job, "{text}");
        }
    }
}

/// Returns the part of `job ID: ...` that is the same for all jobs with this problem: the text without the job's name.
fn shared(text: &str) -> String {
    let Some((who, what)) = text.split_once(": ") else { return text.to_owned() };
    let name = who.strip_prefix("job ").unwrap_or_default();
    if name.is_empty() { what.to_owned() } else { what.replace(name, "") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_problem_of_many_jobs_is_one_message() {
        let full = |job: &str| shared(&format!("job {job}: pytorchjobs \"trainjob-{job}\" is forbidden: exceeded quota: jobs"));
        assert_eq!(full("a1"), full("b2"));
        assert_ne!(full("a1"), shared("job a1: the API server doesn't answer"));
        assert_eq!(shared("pods can't be watched: no answer"), shared("jobs can't be watched: no answer"));
    }
}
