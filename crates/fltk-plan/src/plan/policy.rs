//! The policies that decide which waiting job goes first, one in each file. Among equal jobs, the one that arrived first goes first.

mod fair_share;
mod fifo;
mod priority;
mod shortest_first;

use fltk_core::experiment::PolicyName;

use super::{Planner, queue::Seen};

/// An order of waiting jobs.
trait Policy {
    /// The first job in this policy's order among those that weren't seen in this scheduling round.
    fn first(&self, planner: &Planner, seen: &Seen) -> Option<usize>;
}

/// The policy with this name.
fn of(name: PolicyName) -> &'static dyn Policy {
    match name {
        PolicyName::Fifo => &fifo::Fifo,
        PolicyName::Priority => &priority::Priority,
        PolicyName::ShortestFirst => &shortest_first::ShortestFirst,
        PolicyName::FairShare => &fair_share::FairShare,
    }
}

/// The waiting job that goes first under the policy `name`.
pub(super) fn first(name: PolicyName, planner: &Planner, seen: &Seen) -> Option<usize> {
    of(name).first(planner, seen)
}

/// The first job to arrive of the class with the smallest `rank`.
fn first_by_class(planner: &Planner, seen: &Seen, rank: impl Fn(&str) -> f64) -> Option<usize> {
    let ranked = planner.waiting.first_arrivals(seen).map(|(class, index)| (rank(class), index));
    ranked.min_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))).map(|(_, index)| index)
}
