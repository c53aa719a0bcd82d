//! By priority, as KFLTK counts it: the smaller number goes first.

use super::{Planner, Policy, Seen};

/// By the number that the job drew.
pub struct Priority;

impl Policy for Priority {
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize> {
        planner.waiting.first_priorities(seen).min().map(|(_, index)| index)
    }
}
