//! First in, first out.

use super::{Planner, Policy, Seen};

/// The policy that treats all jobs as equal.
pub struct Fifo;

impl Policy for Fifo {
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize> {
        planner.waiting.first_arrivals(seen).map(|(_, index)| index).min()
    }
}
