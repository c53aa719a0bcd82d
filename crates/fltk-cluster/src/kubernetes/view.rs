//! What the API server shows of a run's jobs and their pods, and what of it is news for the planner.
//!
//! Watches repeat themselves, and each has its own pace: what a job's pods left behind may be seen after the job's end. So an end is held back until the
//! pods' ends were seen too, or a moment has passed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use tokio::time::Instant;

use super::problems::{Problem, Problems};
use crate::{
    Event, JobId, Orchestrator,
    plan::{Blame, Outcome, State},
};

/// How long an end waits for its pods' ends.
const PODS_GRACE: Duration = Duration::from_secs(2);
/// How long an operator may take to say something of a new job before that is worth a word.
const OPERATOR_GRACE: Duration = Duration::from_secs(5);
/// How long it may take to make a job's pods before that is.
const MAKING_GRACE: Duration = Duration::from_secs(10);

/// A job's object, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenJob {
    /// The job.
    pub id: JobId,
    /// The object's own, to attach events to.
    pub uid: String,
    /// Which of its starts it's at.
    pub attempt: u32,
    /// Whether it's to have no pods.
    pub suspend: bool,
    /// Whether its operator says that it has none.
    pub is_suspended: bool,
    /// Since when it says so, in milliseconds since the Unix epoch.
    pub suspended_ms: Option<u64>,
    /// Whether its operator has said anything.
    pub is_taken_up: bool,
    /// How it ended, and why, in its operator's words.
    pub end: Option<(Outcome, String)>,
}

/// A pod of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// The pod's name.
    pub name: String,
    /// Which of those that had the name.
    pub uid: String,
    /// Its job.
    pub job: JobId,
    /// Its position in the job.
    pub index: u32,
    /// Where it is.
    pub node: Option<String>,
    /// Whether its containers have run.
    pub has_run: bool,
    /// Whether they are over.
    pub is_over: bool,
    /// Since when the program trains, in milliseconds since the Unix epoch.
    pub first_step_ms: Option<u64>,
    /// Why it failed, now and the time before, in its own words or the kubelet's.
    pub problems: Vec<Problem>,
    /// Why it doesn't run.
    pub waits: Option<String>,
}

/// Why a job that was started doesn't run, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRunning {
    /// Somebody else suspended it.
    Held,
    /// Its operator says nothing of it.
    NoOperator,
    /// Pods are there that can't run.
    Pods {
        /// How many.
        waiting: usize,
        /// Of how many.
        num_pods: u32,
        /// What the first of them waits for.
        why: String,
    },
    /// Pods can't be made.
    NotMade {
        /// How many.
        missing: u32,
        /// Of how many.
        num_pods: u32,
        /// What their operator was told, where that is known.
        why: Option<String>,
    },
}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str(
                "its object is suspended by somebody else, such as a queue that has no room: it goes on when that is taken back",
            ),
            Self::NoOperator => f.write_str("no operator has taken it up yet: does the operator run?"),
            Self::Pods { waiting, num_pods, why } => write!(f, "{waiting} of {num_pods} pods wait: {why}"),
            Self::NotMade { missing, num_pods, why: Some(why) } => write!(f, "{missing} of {num_pods} pods can't be made: {why}"),
            Self::NotMade { missing, num_pods, why: None } => write!(
                f,
                "{missing} of {num_pods} pods aren't there, which its operator should make: a quota or a limit range of the namespace, its pod security \
                 standard, or a service account that doesn't exist may be in the way; `kubectl describe` of the job says what"
            ),
        }
    }
}

/// Why a job that was asked to be suspended isn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSuspended {
    /// Its object isn't.
    Undone,
    /// Its operator hasn't done it.
    NoOperator,
    /// Pods are still there.
    Pods(usize),
}

impl fmt::Display for NotSuspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undone => f.write_str(
                "it was asked to be suspended, and its object isn't: somebody took that back, as Kueue does, which decides by itself who is suspended, or \
                 it isn't done yet; it runs on, and the job that wants its place waits",
            ),
            Self::NoOperator => f.write_str("its object is suspended, and its operator hasn't done that yet: does the operator run?"),
            Self::Pods(count) => write!(f, "it is suspended, and {count} of its pods are still there: does their node answer?"),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    job: Option<SeenJob>,
    /// By name.
    pods: BTreeMap<String, SeenPod>,
    /// Uids of those that ran when it was suspended: they are on their way out.
    stale: BTreeSet<String>,
    /// Whether any pod was seen: the job's object may be seen before them.
    had_pods: bool,
    /// Of pods that are there or gone: why they failed.
    problems: Problems,
    /// Since when its start that it's at is there.
    since: Option<Instant>,
    /// Since when its end is held back.
    ending: Option<Instant>,
    told: Told,
}

/// What the planner was told by this process.
#[derive(Debug, Default)]
struct Told {
    created: Option<u32>,
    pods: BTreeSet<(u32, u32, String)>,
    first_step: bool,
    ended: bool,
}

/// All of a run's jobs that were seen.
#[derive(Debug)]
pub struct View {
    jobs: BTreeMap<JobId, Known>,
    /// Those whose end is held back.
    ending: BTreeSet<JobId>,
    /// When the stream began, in milliseconds since the Unix epoch.
    began_ms: u64,
}

impl View {
    /// Nothing was seen yet of a stream that began at `began_ms`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(began_ms: u64) -> Self {
        Self { jobs: BTreeMap::new(), ending: BTreeSet::new(), began_ms }
    }

    /// The job's object is as it now is.
    pub fn has_job(&mut self, job: SeenJob) {
        let known = self.jobs.entry(job.id.clone()).or_default();
        if known.job.as_ref().is_some_and(|before| before.attempt != job.attempt) {
            // What stopped an earlier start is none of this one's problems.
            known.problems = Problems::default();
            known.since = None;
        }
        known.job = Some(job);
    }

    /// The pod is as it now is.
    pub fn has_pod(&mut self, pod: SeenPod) {
        let known = self.jobs.entry(pod.job.clone()).or_default();
        pod.problems.iter().for_each(|problem| known.problems.add(pod.index, problem.clone()));
        known.had_pods = true;
        known.pods.insert(pod.name.clone(), pod);
    }

    /// There is no such pod any more; it was last as `pod`.
    pub fn lost_pod(&mut self, pod: SeenPod) {
        let (job, name) = (pod.job.clone(), pod.name.clone());
        self.has_pod(pod);
        self.remove_pod(&job, &name);
    }

    fn remove_pod(&mut self, job: &JobId, name: &str) {
        if let Some(known) = self.jobs.get_mut(job)
            && let Some(pod) = known.pods.remove(name)
        {
            known.stale.remove(&pod.uid);
        }
    }

    /// Only these pods are there, of all jobs. Returns the jobs that lost some.
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

    /// The jobs that were seen and have no end.
    pub fn unfinished(&self) -> BTreeSet<JobId> {
        let unfinished = self.jobs.iter().filter(|(_, known)| known.job.is_some() && !known.told.ended);
        unfinished.map(|(id, _)| id.clone()).collect()
    }

    /// The job's object is gone; the event that says so, if that is news.
    pub fn lost_job(&mut self, id: &JobId, reason: &str) -> Option<Event> {
        let known = self.jobs.entry(id.clone()).or_default();
        self.ending.remove(id);
        // An end that was held back is the truer one.
        let end = known.job.take().and_then(|job| job.end).unwrap_or_else(|| (Outcome::Deleted, reason.to_owned()));
        (!std::mem::replace(&mut known.told.ended, true)).then(|| ended(id, end, &known.problems))
    }

    /// What of `id` the planner wasn't told yet, at the instant `now`. Of a start whose objects aren't all made (`is_made`) nothing is told but its end: a
    /// new process would not make the others.
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
        // After a suspension, one that is over may be left of the start before.
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
            // Thousands of them are kept.
            known.pods.clear();
            known.stale.clear();
            known.problems = Problems::default();
        }
        news
    }

    /// Jobs whose end is held back: [`news`](Self::news) is to be asked again.
    #[must_use]
    pub fn held_back(&self) -> Vec<JobId> {
        self.ending.iter().cloned().collect()
    }

    /// The uid of the job's object.
    #[must_use]
    pub fn uid(&self, id: &JobId) -> Option<&str> {
        Some(self.jobs.get(id)?.job.as_ref()?.uid.as_str())
    }

    /// Why of the job `id`, which was started and is to have `num_pods` pods, not all run, at the instant `now`; `None` if they do.
    #[must_use]
    pub fn waits(&self, id: &JobId, num_pods: u32, now: Instant) -> Option<NotRunning> {
        let age = self.jobs.get(id)?.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.waits_at_age(id, num_pods, age)
    }

    /// The same of a job whose object was made `age` ago.
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
    /// Why the job `id`, whose suspension was asked for, isn't suspended yet; `None` if it is, or isn't there.
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

/// The end of a job, in its operator's words; of one that failed, what of its pods failed first, which is what a person can act on.
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
