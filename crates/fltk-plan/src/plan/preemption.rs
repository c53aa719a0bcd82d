//! Preemption: the jobs that are suspended for a job of higher priority that finds no place. As few jobs as make room are preempted, the lowest
//! priority first; among equals, the one that has run for the shortest time, which loses least.
//!
//! A job that somebody else holds stays: the stream can't suspend it, since whoever suspended it decides when it resumes.
//!
//! Jobs are preempted only under the policy by priority: under another policy, a preempted job could be the next to start, and be preempted again,
//! for ever. For the same reason no job may pass one that waits for its victims to go.

use fltk_core::experiment::{AdmissionConfig, Duration, PolicyName};

use super::{Action, Planner, State, explain::Refusal};

impl Planner {
    /// Preempts what must go for the job at `index`, against which `refusal` stands, if it may preempt; returns what stands against it then.
    pub(super) fn push_out(&mut self, index: usize, refusal: Refusal, now: Duration, actions: &mut Vec<Action>) -> Refusal {
        let may = self.settings.policy == PolicyName::Priority && self.jobs[index].spec.arrival.preempts;
        if !may || !matches!(refusal, Refusal::Concurrency | Refusal::Capacity) {
            return refusal;
        }
        let going: Vec<usize> =
            self.active.iter().copied().filter(|active| matches!(self.jobs[*active].state, State::Suspending { .. })).collect();
        let victims = if self.fits_without(index, &going) {
            // This job has preempted enough already.
            Vec::new()
        } else {
            let victims = self.victims(index, &going);
            if victims.is_empty() {
                return refusal;
            }
            victims
        };
        let for_job = self.jobs[index].spec.id.clone();
        for victim in &victims {
            self.suspend(*victim, &for_job, now, actions);
        }
        let names = going.iter().chain(&victims).map(|victim| self.jobs[*victim].spec.id.clone()).collect();
        Refusal::Preempting { victims: names }
    }

    /// The jobs to preempt for the job at `index`; none if even all candidates wouldn't make room.
    fn victims(&self, index: usize, going: &[usize]) -> Vec<usize> {
        let priority = self.jobs[index].spec.arrival.priority;
        // A job whose object may not exist yet can't be suspended; its object will exist in a moment.
        let may_go = |active: &usize| {
            let job = &self.jobs[*active];
            let may_be_suspended = matches!(job.state, State::Starting | State::Running);
            may_be_suspended && !going.contains(active) && job.spec.arrival.priority > priority
        };
        let mut lower: Vec<usize> = self.active.iter().copied().filter(may_go).collect();
        // Among equals, the job that has run for the shortest time comes first, and one without a pod before all others.
        let started = |index: usize| (self.jobs[index].record.runs_since().map_or(u64::MAX, Duration::as_millis), index);
        lower.sort_by(|left, right| {
            let (left_job, right_job) = (&self.jobs[*left].spec.arrival, &self.jobs[*right].spec.arrival);
            right_job.priority.cmp(&left_job.priority).then_with(|| started(*right).cmp(&started(*left)))
        });
        let fits = |victims: &[usize]| self.fits_without(index, &[going, victims].concat());
        let Some(enough) = (1..=lower.len()).find(|count| fits(&lower[..*count])) else { return Vec::new() };
        let mut victims = lower[..enough].to_vec();
        // A victim that was chosen before the one that made room may not be needed any more; the job with the highest priority is spared first.
        for spared in (0..victims.len()).rev() {
            let mut fewer = victims.clone();
            fewer.remove(spared);
            if fits(&fewer) {
                victims = fewer;
            }
        }
        victims
    }

    /// True if the job at `index` could start without the active jobs in `gone`.
    fn fits_without(&self, index: usize, gone: &[usize]) -> bool {
        match self.settings.admission {
            AdmissionConfig::Unlimited {} => true,
            AdmissionConfig::MaxConcurrent { jobs } => self.active.iter().filter(|active| !gone.contains(active)).count() < jobs as usize,
            AdmissionConfig::Capacity {} => {
                let Some(mut free) = self.free.clone() else { return false };
                for job in gone.iter().filter(|gone| self.active.contains(gone)).map(|gone| &self.jobs[*gone]) {
                    free.give(&job.placement, &job.spec);
                }
                free.fits(&self.jobs[index].spec)
            }
        }
    }
}
