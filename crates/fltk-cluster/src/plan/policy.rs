//! Which of the waiting jobs goes first. One policy a file; of equals, the job that arrived first goes first.

mod fair_share;
mod fifo;
mod priority;
mod shortest_first;

use std::collections::BTreeSet;

use fltk_core::experiment::PolicyName;

use super::{Job, Planner};

/// An order of waiting jobs.
trait Policy {
    /// What decides: smaller goes first.
    fn rank(&self, planner: &Planner, job: &Job) -> f64;
}

/// The policies by name.
fn of(name: PolicyName) -> &'static dyn Policy {
    match name {
        PolicyName::Fifo => &fifo::Fifo,
        PolicyName::Priority => &priority::Priority,
        PolicyName::ShortestFirst => &shortest_first::ShortestFirst,
        PolicyName::FairShare => &fair_share::FairShare,
    }
}

/// The one of `candidates` that goes first.
pub(super) fn first(name: PolicyName, planner: &Planner, candidates: &BTreeSet<usize>) -> Option<usize> {
    let policy = of(name);
    let ranked = candidates.iter().map(|index| (policy.rank(planner, &planner.jobs[*index]), *index));
    ranked.min_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))).map(|(_, index)| index)
}
