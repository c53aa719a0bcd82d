//! Priority order, with numbers as in KFLTK: the smaller number goes first.

use super::{Planner, Policy, Seen};

/// The policy that orders jobs by the priority that they drew.
pub struct Priority;

impl Policy for Priority {
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize> {
        planner.waiting.first_priorities(seen).min().map(|(_, index)| index)
    }
}
