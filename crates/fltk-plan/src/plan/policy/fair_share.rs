//! A fair share for each class: the class with the fewest active jobs goes first.

use super::{Planner, Policy, Seen, first_by_class};

/// The policy that orders classes by their number of active jobs.
pub struct FairShare;

impl Policy for FairShare {
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize> {
        first_by_class(planner, seen, |class| planner.active_by_class.get(class).copied().map_or(0.0, f64::from))
    }
}
