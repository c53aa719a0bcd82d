//! A fair share for each class: the one with the fewest jobs running goes first.

use super::{Planner, Policy, Seen, first_by_class};

/// By the number of active jobs of the class.
pub struct FairShare;

impl Policy for FairShare {
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize> {
        first_by_class(planner, seen, |class| planner.active_by_class.get(class).copied().map_or(0.0, f64::from))
    }
}
