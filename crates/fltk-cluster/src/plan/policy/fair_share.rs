//! A fair share for each class: the one with the fewest jobs running goes first.

use super::{Job, Planner, Policy};

/// By the number of active jobs of the class.
pub struct FairShare;

impl Policy for FairShare {
    #[expect(clippy::cast_precision_loss, reason = "a number of jobs")]
    fn rank(&self, planner: &Planner, job: &Job) -> f64 {
        planner.num_active_of(&job.spec.class) as f64
    }
}
