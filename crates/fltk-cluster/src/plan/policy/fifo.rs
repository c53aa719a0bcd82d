//! First in, first out.

use super::{Job, Planner, Policy};

/// All jobs are equal.
pub struct Fifo;

impl Policy for Fifo {
    fn rank(&self, _: &Planner, _: &Job) -> f64 {
        0.0
    }
}
