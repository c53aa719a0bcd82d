//! The view of a run's jobs and pods that the API server shows, and the part of it that is new to the planner.
//!
//! Watches repeat themselves and aren't synchronized: the failures of a job's pods may be seen after the job's end. So an end is held back until the
//! pods' ends were seen too, or a short time has passed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use fltk_plan::{
    Event, JobId, Orchestrator,
    plan::{Blame, Outcome, State},
};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::problems::{Cause, Problem, Problems};

/// How long an end is held back for the ends of its pods.
const PODS_GRACE: Duration = Duration::from_secs(2);
/// How long an operator may take to set the first condition of a new job before that is reported.
const OPERATOR_GRACE: Duration = Duration::from_secs(5);
/// How long the creation of a job's pods may take before that is reported.
const MAKING_GRACE: Duration = Duration::from_secs(10);

/// The relevant parts of a job's object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenJob {
    /// The job.
    pub id: JobId,
    /// The object's UID, to which events are attached.
    pub uid: String,
    /// The number of the start in its annotation.
    pub attempt: u32,
    /// True if its spec says suspended.
    pub suspend: bool,
    /// True if its operator reports it suspended.
    pub is_suspended: bool,
    /// The start of the reported suspension, in milliseconds since the Unix epoch.
    pub suspended_ms: Option<u64>,
    /// True if its operator has reported anything.
    pub is_taken_up: bool,
    /// Its outcome and the reason, in its operator's words.
    pub end: Option<(Outcome, String)>,
}

/// A pod of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// The pod's name.
    pub name: String,
    /// The pod's UID, which tells it from other pods of the same name.
    pub uid: String,
    /// Its job.
    pub job: JobId,
    /// Its position in the job.
    pub index: u32,
    /// The node on which it was scheduled.
    pub node: Option<String>,
    /// True if its containers have run.
    pub has_run: bool,
    /// True if its containers are over.
    pub is_over: bool,
    /// The time of the first training step, in milliseconds since the Unix epoch.
    pub first_step_ms: Option<u64>,
    /// The failures of its current and its previous run, in its own words or the kubelet's.
    pub problems: Vec<Problem>,
    /// The reason why it doesn't run.
    pub waits: Option<String>,
}

/// The reason why a job that was started doesn't run, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRunning {
    /// Somebody else suspended the job.
    Held,
    /// No operator has reported anything about the job.
    NoOperator,
    /// Some pods exist but can't run.
    Pods {
        /// The number of such pods.
        waiting: usize,
        /// The number of pods of the job.
        num_pods: u32,
        /// The reason why the first of them waits.
        why: String,
    },
    /// Some pods can't be created.
    NotMade {
        /// The number of such pods.
        missing: u32,
        /// The number of pods of the job.
        num_pods: u32,
        /// The error that their operator got, if that is known.
        why: Option<String>,
    },
}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str(
                "its object is suspended by somebody else, such as a queue without capacity: it continues when the suspension ends",
            ),
            Self::NoOperator => f.write_str("no operator has processed it yet: does the operator run?"),
            Self::Pods { waiting, num_pods, why } => write!(f, "{waiting} of {num_pods} pods wait: {why}"),
            Self::NotMade { missing, num_pods, why: Some(why) } => write!(f, "{missing} of {num_pods} pods can't be made: {why}"),
            Self::NotMade { missing, num_pods, why: None } => write!(
                f,
                "{missing} of {num_pods} pods aren't there, which its operator should create: a quota or a limit range of the namespace, its pod security \
                 standard, or a service account that doesn't exist may be in the way; `kubectl describe` of the job says what"
            ),
        }
    }
}

/// The reason why a job whose suspension was requested isn't suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSuspended {
    /// The spec of its object doesn't say suspended.
    Undone,
    /// Its operator hasn't carried out the suspension.
    NoOperator,
    /// Some pods still exist; this is their number.
    Pods(usize),
}

impl fmt::Display for NotSuspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undone => f.write_str(
                "its suspension was requested, but its object isn't suspended: somebody revoked that, as Kueue does, which decides by itself which jobs are suspended, or \
                 it isn't done yet; it runs on, and the job that wants its place waits",
            ),
            Self::NoOperator => f.write_str("its object is suspended, but its operator hasn't acted on it yet: does the operator run?"),
            Self::Pods(count) => write!(f, "it is suspended, and {count} of its pods are still there: does their node answer?"),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    job: Option<SeenJob>,
    /// The pods by name.
    pods: BTreeMap<String, SeenPod>,
    /// The UIDs of pods that had run when it was suspended: they are terminating.
    stale: BTreeSet<String>,
    /// True if any pod was seen: the job's object may be seen before its pods.
    had_pods: bool,
    /// The failures of its pods, including pods that no longer exist.
    problems: Problems,
    /// The losses of its pods that were noticed, by UID: the end of a container, with its time, or, without one, the pod's own end.
    losses: BTreeSet<(String, Option<Timestamp>)>,
    /// The time when its current start was first seen.
    since: Option<Instant>,
    /// The time when its end was first held back.
    ending: Option<Instant>,
    told: Told,
}

/// The events that this process has passed to the planner.
#[derive(Debug, Default)]
struct Told {
    created: Option<u32>,
    pods: BTreeSet<(u32, u32, String)>,
    first_step: bool,
    ended: bool,
}

/// All jobs of a run that were seen.
#[derive(Debug)]
pub struct View {
    jobs: BTreeMap<JobId, Known>,
    /// The jobs whose end is held back.
    ending: BTreeSet<JobId>,
    /// The time when the stream began, in milliseconds since the Unix epoch.
    began_ms: u64,
}

impl View {
    /// Creates an empty view of a stream that began at `began_ms`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(began_ms: u64) -> Self {
        Self { jobs: BTreeMap::new(), ending: BTreeSet::new(), began_ms }
    }

    /// Records the current state of the job's object.
    pub fn has_job(&mut self, job: SeenJob) {
        let known = self.jobs.entry(job.id.clone()).or_default();
        if known.job.as_ref().is_some_and(|before| before.attempt != job.attempt) {
            // The failures of an earlier start don't count for this one.
            known.problems = Problems::default();
            known.since = None;
        }
        known.job = Some(job);
    }

    /// Records the current state of the pod.
    pub fn has_pod(&mut self, pod: SeenPod) {
        let known = self.jobs.entry(pod.job.clone()).or_default();
        pod.problems.iter().for_each(|problem| known.problems.add(pod.index, problem.clone()));
        known.had_pods = true;
        known.pods.insert(pod.name.clone(), pod);
    }

    /// Removes a pod that no longer exists; `pod` is its last state.
    pub fn lost_pod(&mut self, pod: SeenPod) {
        let (job, name) = (pod.job.clone(), pod.name.clone());
        self.has_pod(pod);
        self.remove_pod(&job, &name);
    }

    /// Notices that `pod` failed or `is_gone`, and returns what happened to it, if that is new.
    pub fn loss(&mut self, pod: &SeenPod, is_gone: bool) -> Option<String> {
        let losses = &mut self.jobs.entry(pod.job.clone()).or_default().losses;
        let at = |problem: &Problem| problem.at.filter(|_| problem.cause != Cause::AskedToGo);
        // A node that gave up since its federator is away is no loss of its own.
        let own = pod.problems.iter().filter(|problem| problem.cause != Cause::LostAnother);
        let new = own.filter(|problem| losses.insert((pod.uid.clone(), at(problem)))).last();
        let words = new.map(|problem| problem.words.clone());
        let is_end = is_gone && !pod.is_over && losses.insert((pod.uid.clone(), None));
        words.or_else(|| is_end.then(|| "its pod was deleted".to_owned()))
    }

    /// True if the job should have all of its pods: it isn't suspended, and neither it nor its first pod has ended.
    #[must_use]
    pub fn needs_its_pods(&self, id: &JobId) -> bool {
        let Some(known) = self.jobs.get(id) else { return false };
        let is_complete = known.pods.values().any(|pod| pod.index == 0 && pod.is_over && pod.problems.is_empty());
        known.job.as_ref().is_some_and(|job| !job.suspend && job.end.is_none()) && !is_complete
    }

    fn remove_pod(&mut self, job: &JobId, name: &str) {
        if let Some(known) = self.jobs.get_mut(job)
            && let Some(pod) = known.pods.remove(name)
        {
            known.stale.remove(&pod.uid);
        }
    }

    /// Removes all pods of all jobs except these. Returns the jobs that lost pods.
    pub fn keep_pods(&mut self, names: &BTreeSet<String>) -> Vec<JobId> {
        let mut changed = Vec::new();
        for (id, known) in &mut self.jobs {
            let before = known.pods.len();
            known.pods.retain(|name, _| names.contains(name));
            let Known { pods, stale, .. } = known;
            stale.retain(|uid| pods.values().any(|pod| pod.uid == *uid));
            if known.pods.len() < before {
                changed.push(id.clone());
            }
        }
        changed
    }

    /// The jobs that were seen and whose end wasn't passed on.
    pub fn unfinished(&self) -> BTreeSet<JobId> {
        let unfinished = self.jobs.iter().filter(|(_, known)| known.job.is_some() && !known.told.ended);
        unfinished.map(|(id, _)| id.clone()).collect()
    }

    /// Records that the job's object is gone; returns the event that says so, if it is new.
    pub fn lost_job(&mut self, id: &JobId, reason: &str) -> Option<Event> {
        let known = self.jobs.entry(id.clone()).or_default();
        self.ending.remove(id);
        // An end that was held back takes precedence.
        let end = known.job.take().and_then(|job| job.end).unwrap_or_else(|| (Outcome::Deleted, reason.to_owned()));
        (!std::mem::replace(&mut known.told.ended, true)).then(|| ended(id, end, &known.problems))
    }

    /// The events of `id` that are new to the planner, at the instant `now`. If not all objects of its start were created (`is_made`), only its end
    /// is reported: a new process would not create the missing ones.
    pub fn news(&mut self, id: &JobId, orchestrator: &Orchestrator<'_>, is_made: bool, now: Instant) -> Vec<Event> {
        let Some(planned) = orchestrator.job(id) else { return Vec::new() };
        let Some(known) = self.jobs.get_mut(id) else { return Vec::new() };
        if planned.state == State::Ended || known.told.ended {
            return Vec::new();
        }
        let Some(job) = &known.job else { return Vec::new() };
        known.since.get_or_insert(now);
        let all_over = known.pods.values().all(|pod| pod.is_over);
        let ends = job.end.is_some() && {
            let since = *known.ending.get_or_insert(now);
            (all_over && known.had_pods) || now.saturating_duration_since(since) >= PODS_GRACE
        };
        let is_made = is_made || ends;
        let mut news = Vec::new();
        let is_asked = matches!(planned.state, State::Suspending { .. });
        let is_suspended = job.suspend && job.is_suspended;
        let told = &mut known.told;
        if is_suspended {
            known.stale.extend(known.pods.values().filter(|pod| pod.has_run).map(|pod| pod.uid.clone()));
        }
        let may_hold = matches!(planned.state, State::Admitted | State::Starting | State::Running) && planned.attempt() == job.attempt;
        if is_made && is_suspended && job.end.is_none() && may_hold {
            told.pods.clear();
            told.created = Some(job.attempt);
            let since_began = |at: u64| fltk_core::experiment::Duration::from_millis(at.saturating_sub(self.began_ms));
            let at = job.suspended_ms.map(since_began);
            news.push(Event::Held { job: id.clone(), attempt: job.attempt, at });
        }
        if planned.state == State::Held && !job.suspend {
            news.push(Event::Released { job: id.clone(), attempt: job.attempt });
        }
        if is_made && !job.suspend && told.created != Some(job.attempt) {
            told.created = Some(job.attempt);
            news.push(Event::Created { job: id.clone(), attempt: job.attempt });
        }
        // After a suspension, pods that are over may be left from the previous start.
        let stale = &known.stale;
        let may_be_new = |pod: &&SeenPod| pod.has_run && (planned.is_anew() || !pod.is_over) && !stale.contains(&pod.uid);
        for pod in known.pods.values().filter(|pod| is_made && !is_suspended && may_be_new(pod)) {
            let Some(node) = &pod.node else { continue };
            if told.pods.insert((job.attempt, pod.index, node.clone())) {
                news.push(Event::PodRunning { job: id.clone(), attempt: job.attempt, pod: pod.index, node: node.clone() });
            }
        }
        let first_step = known.pods.values().filter_map(|pod| pod.first_step_ms).min();
        if let Some(first_step) = first_step.filter(|_| !told.first_step) {
            told.first_step = true;
            let at = fltk_core::experiment::Duration::from_millis(first_step.saturating_sub(self.began_ms));
            news.push(Event::FirstStep { job: id.clone(), at });
        }
        if is_asked && is_suspended && all_over {
            news.push(Event::Suspended { job: id.clone(), attempt: job.attempt });
        }
        if let Some(end) = &job.end {
            if ends {
                told.ended = true;
                self.ending.remove(id);
                news.push(ended(id, end.clone(), &known.problems));
            } else {
                self.ending.insert(id.clone());
            }
        }
        if told.ended {
            // Thousands of jobs are kept, so their details are dropped.
            known.pods.clear();
            known.stale.clear();
            known.problems = Problems::default();
            known.losses.clear();
        }
        news
    }

    /// The jobs whose end is held back: [`news`](Self::news) has to be called again.
    #[must_use]
    pub fn held_back(&self) -> Vec<JobId> {
        self.ending.iter().cloned().collect()
    }

    /// The UID of the job's object.
    #[must_use]
    pub fn uid(&self, id: &JobId) -> Option<&str> {
        Some(self.jobs.get(id)?.job.as_ref()?.uid.as_str())
    }

    /// The reason why not all pods run of the job `id`, which was started and should have `num_pods` pods, at the instant `now`; `None` if they do run.
    #[must_use]
    pub fn waits(&self, id: &JobId, num_pods: u32, now: Instant) -> Option<NotRunning> {
        let age = self.jobs.get(id)?.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.waits_at_age(id, num_pods, age)
    }

    /// The same as [`waits`](Self::waits) for a job whose object was created `age` ago.
    #[must_use]
    pub fn waits_at_age(&self, id: &JobId, num_pods: u32, age: Duration) -> Option<NotRunning> {
        let known = self.jobs.get(id)?;
        let job = known.job.as_ref()?;
        if job.suspend {
            return Some(NotRunning::Held);
        }
        if !job.is_taken_up {
            return (age >= OPERATOR_GRACE).then_some(NotRunning::NoOperator);
        }
        let waiting: Vec<&SeenPod> = known.pods.values().filter(|pod| !pod.has_run && !pod.is_over).collect();
        if let Some(why) = waiting.iter().find_map(|pod| pod.waits.clone()) {
            return Some(NotRunning::Pods { waiting: waiting.len(), num_pods, why });
        }
        let missing = num_pods.saturating_sub(u32::try_from(known.pods.len()).unwrap_or(u32::MAX));
        (missing > 0 && job.end.is_none() && age >= MAKING_GRACE).then_some(NotRunning::NotMade { missing, num_pods, why: None })
    }
}

impl View {
    /// The reason why the job `id`, whose suspension was requested, isn't suspended yet; `None` if it is suspended or doesn't exist.
    #[must_use]
    pub fn stays(&self, id: &JobId) -> Option<NotSuspended> {
        let known = self.jobs.get(id)?;
        let job = known.job.as_ref().filter(|job| job.end.is_none())?;
        let num_pods = known.pods.values().filter(|pod| !pod.is_over).count();
        match (job.suspend, job.is_suspended, num_pods) {
            (false, _, _) => Some(NotSuspended::Undone),
            (true, false, _) => Some(NotSuspended::NoOperator),
            (true, true, 0) => None,
            (true, true, num_pods) => Some(NotSuspended::Pods(num_pods)),
        }
    }
}

/// The end of a job, in its operator's words; for a failed job, the failure of the pod that failed first, which a person can act on.
fn ended(id: &JobId, (outcome, words): (Outcome, String), problems: &Problems) -> Event {
    if outcome == Outcome::Succeeded {
        return Event::ended(id.clone(), outcome, words);
    }
    let (reason, blame) = match problems.first().filter(|_| outcome == Outcome::Failed) {
        Some((rank, problem)) => (format!("rank {rank}: {} ({words})", problem.words), problem.blame),
        None => (words, Blame::Job),
    };
    Event::Ended { job: id.clone(), outcome, reason, blame, left: BTreeMap::new(), words: problems.last_words() }
}
