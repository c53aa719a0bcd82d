//! The shortest job first, by how long jobs of its class ran until now.

use super::{Job, Planner, Policy};

/// By the mean of recorded run times. A class without any goes first: then it has one.
pub struct ShortestFirst;

impl Policy for ShortestFirst {
    fn rank(&self, planner: &Planner, job: &Job) -> f64 {
        planner.run_time(&job.spec.class).unwrap_or(0.0)
    }
}
