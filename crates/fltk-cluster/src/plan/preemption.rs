//! Who is pushed out for a job of higher priority that finds no place: as few as make room, of the lowest priority first, of equals the one that
//! has run the shortest, which loses least.
//!
//! A job that somebody else holds stays: it isn't the stream's to suspend, since who suspends it decides when it goes on.
//!
//! Only under the policy by priority: under another, who was pushed out could be the next to start, and be pushed out again, for ever. For the same
//! reason nobody is let past a job that waits for others to go.

use fltk_core::experiment::{AdmissionConfig, Duration, PolicyName};

use super::{Action, Job, Planner, State, Wait};

impl Planner {
    /// Pushes out what must go for the job at `index` that waits for `wait`, if it may; says what it waits for then.
    pub(super) fn push_out(&mut self, index: usize, wait: Wait, actions: &mut Vec<Action>) -> Wait {
        let may = self.settings.policy == PolicyName::Priority && self.jobs[index].spec.arrival.preempts;
        if !may || !matches!(wait, Wait::Concurrency { .. } | Wait::Capacity { .. }) {
            return wait;
        }
        let going: Vec<usize> =
            self.active.iter().copied().filter(|active| matches!(self.jobs[*active].state, State::Suspending { .. })).collect();
        let victims = if self.fits_without(index, &going) {
            // It has pushed out enough already.
            Vec::new()
        } else {
            let victims = self.victims(index, &going);
            if victims.is_empty() {
                return wait;
            }
            victims
        };
        let for_job = self.jobs[index].spec.id.clone();
        for victim in &victims {
            self.suspend(*victim, &for_job, actions);
        }
        let names = going.iter().chain(&victims).map(|victim| self.jobs[*victim].spec.id.clone()).collect();
        Wait::Preempting { victims: names }
    }

    /// None if even all of them wouldn't make room.
    fn victims(&self, index: usize, going: &[usize]) -> Vec<usize> {
        let priority = self.jobs[index].spec.arrival.priority;
        // One whose object may not exist yet can't be suspended; it will be there in a moment.
        let may_go = |active: &usize| {
            let job = &self.jobs[*active];
            let may_be_suspended = matches!(job.state, State::Starting | State::Running);
            may_be_suspended && !going.contains(active) && job.spec.arrival.priority > priority
        };
        let mut lower: Vec<usize> = self.active.iter().copied().filter(may_go).collect();
        // Of equals the one that runs the shortest; one without a pod yet before all.
        let started = |index: usize| (self.jobs[index].record.runs_since().map_or(u64::MAX, Duration::as_millis), index);
        lower.sort_by(|left, right| {
            let (left_job, right_job) = (&self.jobs[*left].spec.arrival, &self.jobs[*right].spec.arrival);
            right_job.priority.cmp(&left_job.priority).then_with(|| started(*right).cmp(&started(*left)))
        });
        let fits = |victims: &[usize]| self.fits_without(index, &[going, victims].concat());
        let Some(enough) = (1..=lower.len()).find(|count| fits(&lower[..*count])) else { return Vec::new() };
        let mut victims = lower[..enough].to_vec();
        // One that was taken before the one that made room may not be needed any more; the most valuable is spared first.
        for spared in (0..victims.len()).rev() {
            let mut fewer = victims.clone();
            fewer.remove(spared);
            if fits(&fewer) {
                victims = fewer;
            }
        }
        victims
    }

    /// Whether the job at `index` could start if these active jobs weren't.
    fn fits_without(&self, index: usize, gone: &[usize]) -> bool {
        let left: Vec<&Job> = self.active.iter().filter(|active| !gone.contains(active)).map(|active| &self.jobs[*active]).collect();
        match self.settings.admission {
            AdmissionConfig::Unlimited {} => true,
            AdmissionConfig::MaxConcurrent { jobs } => left.len() < jobs as usize,
            AdmissionConfig::Capacity {} => {
                self.nodes.as_ref().is_some_and(|nodes| nodes.without(left.into_iter()).place(&self.jobs[index].spec).is_ok())
            }
        }
    }
}
