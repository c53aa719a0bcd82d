//! The reasons why a job waits, in words that a person can act on.

use std::fmt;

use fltk_core::experiment::{AdmissionConfig, Duration};
use serde::Serialize;

use super::{Job, Planner, State, capacity::Misfit};
use crate::{Action, JobId};

/// The most likely time when a place becomes free.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frees {
    /// Seconds from now, by the recorded run times of the class of `job`; `None` if there are none.
    pub seconds: Option<f64>,
    /// The job whose end frees the place.
    pub job: JobId,
}

/// The reason why a job waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "wait", rename_all = "snake_case")]
pub enum Wait {
    /// The maximum number of jobs is running.
    Concurrency {
        /// The maximum number of jobs.
        max: u32,
        /// The job that is expected to end first.
        frees: Option<Frees>,
    },
    /// The job's pods don't fit.
    Capacity {
        /// The reason why they don't fit.
        misfit: Misfit,
        /// The job whose end makes room for them.
        frees: Option<Frees>,
    },
    /// The job's pods found no place even on empty nodes.
    Never {
        /// The reason why they don't fit.
        misfit: Misfit,
    },
    /// The nodes aren't known yet.
    NoNodes,
    /// Other jobs are being preempted for it.
    Preempting {
        /// The jobs that are being preempted.
        victims: Vec<JobId>,
    },
    /// Its pods fit since others were placed, which is rare; it is looked at with the next event.
    Next,
    /// Another job goes first.
    Behind {
        /// The job that goes first.
        job: JobId,
    },
}

/// The obstacle to a start, as the planner remembers it: why in full is found out on request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// The maximum number of jobs is running.
    Concurrency,
    /// The job's pods don't fit on what is free.
    Capacity,
    /// The job's pods find no place even on empty nodes.
    Never,
    /// The nodes aren't known yet.
    NoNodes,
    /// Other jobs are being preempted for it.
    Preempting {
        /// The jobs that are being preempted.
        victims: Vec<JobId>,
    },
}

impl fmt::Display for Frees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            Some(seconds) => write!(f, "frees in about {seconds:.0} s when job {} ends", self.job),
            None => write!(f, "frees when job {} ends", self.job),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pods unschedulable: ", self.unfit, self.pods)?;
        for (index, (reason, nodes)) in self.because.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match nodes {
                0 => write!(f, "{comma}{reason}")?,
                1 => write!(f, "{comma}{reason} (1 node)")?,
                nodes => write!(f, "{comma}{reason} ({nodes} nodes)")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frees = |frees: &Option<Frees>| frees.as_ref().map(|frees| format!("; {frees}")).unwrap_or_default();
        match self {
            Self::Concurrency { max: 1, frees: next } => write!(f, "another job runs, and only one may{}", frees(next)),
            Self::Concurrency { max, frees: next } => write!(f, "{max} jobs run, and no more may{}", frees(next)),
            Self::Capacity { misfit, frees: next } => write!(f, "{misfit}{}", frees(next)),
            Self::Never { misfit } => write!(f, "{misfit}, and no place was found for them on empty nodes: request less, or add nodes"),
            Self::NoNodes => f.write_str("the nodes aren't known yet"),
            Self::Next => f.write_str("its pods fit now, and it is looked at with the next event"),
            Self::Preempting { victims } => {
                let names = victims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                write!(f, "jobs of lower priority are being preempted for it: {names}")
            }
            Self::Behind { job } => write!(f, "job {job} is ahead of it, and waits too"),
        }
    }
}

impl Planner {
    /// The reason why the job `id` waits at `now`; `None` if it isn't waiting.
    #[must_use]
    pub fn explain(&self, id: &JobId, now: Duration) -> Option<Wait> {
        let index = *self.by_id.get(id)?;
        if !self.waiting.contains(index, &self.jobs[index].spec) {
            return None;
        }
        let (spec, free) = (&self.jobs[index].spec, self.free.as_ref());
        Some(match (self.waits.get(&index), self.settings.admission) {
            (Some(Refusal::Concurrency), AdmissionConfig::MaxConcurrent { jobs }) => {
                Wait::Concurrency { max: jobs, frees: self.first_to_end(now) }
            }
            (Some(Refusal::Capacity), _) => match free?.misfit(spec) {
                Some(misfit) => Wait::Capacity { misfit, frees: self.frees_for(index, now) },
                None => Wait::Next,
            },
            (Some(Refusal::NoNodes), _) => Wait::NoNodes,
            (Some(Refusal::Preempting { victims }), _) => Wait::Preempting { victims: victims.clone() },
            (Some(Refusal::Never | Refusal::Concurrency) | None, _) => {
                self.never(index).or_else(|| self.head.map(|head| Wait::Behind { job: self.jobs[head].spec.id.clone() }))?
            }
        })
    }

    /// The active jobs by their expected end, the earliest first, each with the seconds until then.
    pub(super) fn ends(&self, now: Duration) -> Vec<(usize, Option<f64>)> {
        #[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 ms")]
        let left = |index: usize| {
            let job = &self.jobs[index];
            let ran = job.record.runs_since().map_or(0, |since| now.as_millis().saturating_sub(since.as_millis()));
            self.run_time(&job.spec.class).map(|mean| (mean - ran as f64 / 1000.0).max(0.0))
        };
        let mut ends: Vec<_> = self.active.iter().map(|index| (*index, left(*index))).collect();
        ends.sort_by(|left, right| left.1.unwrap_or(f64::INFINITY).total_cmp(&right.1.unwrap_or(f64::INFINITY)));
        ends
    }

    pub(super) fn first_to_end(&self, now: Duration) -> Option<Frees> {
        self.ends(now).first().map(|(index, seconds)| Frees { seconds: *seconds, job: self.jobs[*index].spec.id.clone() })
    }

    /// The job whose end would make the job at `index` fit, if jobs run as long as their classes did before.
    pub(super) fn frees_for(&self, index: usize, now: Duration) -> Option<Frees> {
        // One place after another is given back.
        let mut free = self.free.clone()?;
        self.ends(now).into_iter().find_map(|(active, seconds)| {
            let job = &self.jobs[active];
            free.give(&job.placement, &job.spec);
            free.fits(&self.jobs[index].spec).then(|| Frees { seconds, job: job.spec.id.clone() })
        })
    }

    /// Records that `victim` is preempted by `for_job`.
    pub(super) fn suspend(&mut self, victim: usize, for_job: &JobId, now: Duration, actions: &mut Vec<Action>) {
        let Job { spec, attempt, .. } = &self.jobs[victim];
        actions.push(Action::Suspend { job: spec.id.clone(), attempt: *attempt, for_job: for_job.clone() });
        self.change(victim, State::Suspending { for_job: for_job.clone() }, now);
    }
}
