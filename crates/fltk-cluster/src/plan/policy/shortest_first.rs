//! The shortest job first, by how long jobs of its class ran until now.

use super::{Planner, Policy, Seen, first_by_class};

/// By the mean of recorded run times. A class without any goes first: then it has one.
pub struct ShortestFirst;

impl Policy for ShortestFirst {
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize> {
        first_by_class(planner, seen, |class| planner.run_time(class).unwrap_or(0.0))
    }
}
