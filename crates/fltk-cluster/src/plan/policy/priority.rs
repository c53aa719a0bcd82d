//! By priority, as KFLTK counts it: the smaller number goes first.

use super::{Job, Planner, Policy};

/// By the number that the job drew.
pub struct Priority;

impl Policy for Priority {
    fn rank(&self, _: &Planner, job: &Job) -> f64 {
        f64::from(job.spec.arrival.priority)
    }
}
