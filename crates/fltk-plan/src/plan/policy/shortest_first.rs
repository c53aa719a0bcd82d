//! The shortest job first, by how long jobs of its class have run so far.

use super::{Planner, Policy, Seen, first_by_class};

/// The policy that orders classes by their mean recorded run time. A class without one goes first, and so gets one.
pub struct ShortestFirst;

impl Policy for ShortestFirst {
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize> {
        first_by_class(planner, seen, |class| planner.run_time(class).unwrap_or(0.0))
    }
}
