//! The planner's actions for a stream's jobs: which is under way, and which was carried out last. At most one is under way for a job.

use std::collections::BTreeMap;

use fltk_plan::{Action, JobId};
use tokio::time::Instant;

/// The actions, by job.
#[derive(Default)]
pub struct Actions {
    under_way: BTreeMap<JobId, Action>,
    /// The last action that was carried out for a job, with a time by which it was.
    done: BTreeMap<JobId, (Action, Instant)>,
}

impl Actions {
    /// Records that `action` begins, in place of another one for its job. Returns false if it need not begin: it is under way, or is a start that was
    /// carried out already.
    pub fn begin(&mut self, action: &Action) -> bool {
        if self.is_under_way(action) || (matches!(action, Action::Start { .. }) && self.has_done(action)) {
            return false;
        }
        self.under_way.insert(action.job().clone(), action.clone());
        true
    }

    /// Records that `action` was carried out by `at`. Returns false if that doesn't count, since it is no longer under way.
    pub fn end(&mut self, action: &Action, at: Instant) -> bool {
        let counts = self.is_under_way(action);
        if counts {
            self.under_way.remove(action.job());
            self.done.insert(action.job().clone(), (action.clone(), at));
        }
        counts
    }

    /// Drops what is known about the job `id`, which is over.
    pub fn forget(&mut self, id: &JobId) {
        self.under_way.remove(id);
        self.done.remove(id);
    }

    /// True if this action is under way.
    pub fn is_under_way(&self, action: &Action) -> bool {
        self.under_way.get(action.job()) == Some(action)
    }

    /// True if any action is under way for the job `id`.
    pub fn is_any_under_way(&self, id: &JobId) -> bool {
        self.under_way.contains_key(id)
    }

    /// True if this action is the last that was carried out for its job.
    pub fn has_done(&self, action: &Action) -> bool {
        self.done.get(action.job()).is_some_and(|(done, _)| done == action)
    }

    /// The jobs whose last action was a start, carried out before `at`.
    pub fn started_before(&self, at: Instant) -> impl Iterator<Item = &JobId> {
        self.done.iter().filter(move |(_, (action, done))| matches!(action, Action::Start { .. }) && *done < at).map(|(id, _)| id)
    }
}
