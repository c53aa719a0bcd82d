//! The failures seen on a job's pods, and which pod failed first: the others fail because they lose that one, or because they are asked to terminate.

use std::{collections::BTreeMap, time::Duration};

use fltk_plan::plan::{Blame, LastWords};
use jiff::Timestamp;

/// The largest time between failures that count as one loss: ranks notice within seconds that another is lost, and the kubelet restarts a container
/// that keeps failing after ten seconds at the earliest.
const ONE_LOSS: Duration = Duration::from_secs(10);

/// The number of pods whose last words are kept with a job's end, and the maximum length of each in characters: thousands of jobs may fail.
const PODS_MAX: usize = 64;
const WORDS_CHARS_MAX: usize = 200;

/// The failure of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The description, for a person to read.
    pub words: String,
    /// The origin of the failure within the job.
    pub cause: Cause,
    /// The cause of the failure: the job or the machine.
    pub blame: Blame,
    /// The time when its container ended, in whole seconds, if that is known.
    pub at: Option<Timestamp>,
}

/// The origin of a pod's failure within its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The pod itself.
    Own,
    /// Another pod of its job, which it lost.
    LostAnother,
    /// A request to terminate the pod: the operator makes it, as a rule, once the job has failed.
    AskedToGo,
}

/// The failures of a job's pods.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    /// The last failure of each pod for each cause.
    last: BTreeMap<(Cause, u32), Problem>,
}

impl Problems {
    /// Records that the pod at `index` failed. The same failure may be recorded again.
    pub fn add(&mut self, index: u32, problem: Problem) {
        self.last.insert((problem.cause, index), problem);
    }

    /// The first failure of the job's last loss, and the pod's index. Failures after a request to terminate count only if there are no others.
    pub fn first(&self) -> Option<(u32, &Problem)> {
        [Cause::Own, Cause::LostAnother, Cause::AskedToGo].into_iter().find_map(|cause| {
            let of_cause = || self.last.iter().filter(move |((of, _), _)| *of == cause).map(|((_, index), problem)| (*index, problem));
            let end = of_cause().filter_map(|(_, problem)| problem.at).max();
            let is_of_last =
                |problem: &Problem| problem.at.zip(end).is_none_or(|(at, end)| end.duration_since(at).unsigned_abs() <= ONE_LOSS);
            of_cause().filter(|(_, problem)| is_of_last(problem)).min_by_key(|(index, problem)| (problem.at, *index))
        })
    }

    /// The last words of each pod.
    pub fn last_words(&self) -> Vec<LastWords> {
        let mut last: BTreeMap<u32, &Problem> = BTreeMap::new();
        for ((cause, index), problem) in &self.last {
            let is_later = |before: &&Problem| *cause != Cause::AskedToGo && problem.at >= before.at;
            if last.get(index).is_none_or(is_later) {
                last.insert(*index, problem);
            }
        }
        let cut = |words: &str| words.chars().take(WORDS_CHARS_MAX).collect();
        last.into_iter().take(PODS_MAX).map(|(pod, problem)| LastWords { pod, words: cut(&problem.words) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(problems: &[(u32, Cause, i64, &str)]) -> (String, Vec<String>) {
        let mut known = Problems::default();
        for (index, cause, second, words) in problems {
            known.add(
                *index,
                Problem { words: (*words).to_owned(), cause: *cause, blame: Blame::Job, at: Timestamp::from_second(*second).ok() },
            );
        }
        let first = known.first().map(|(index, problem)| format!("{index} {}", problem.words)).unwrap_or_default();
        (first, known.last_words().into_iter().map(|said| format!("{} {}", said.pod, said.words)).collect())
    }

    #[test]
    fn first_failure_of_the_last_loss_is_blamed() {
        use Cause::{AskedToGo, LostAnother, Own};
        let check = |problems: &[(u32, Cause, i64, &str)], expected: &str, last: &[&str]| {
            assert_eq!(first(problems), (expected.to_owned(), last.iter().map(|&words| words.to_owned()).collect()))
        };
        check(&[], "", &[]);
        let killed = (2, Own, 100, "killed");
        let lost = (0, LostAnother, 104, "lost 2");
        let asked = [(0, AskedToGo, 106, "stopped"), (1, AskedToGo, 106, "stopped"), (2, AskedToGo, 106, "stopped")];
        check(&[&[killed, lost][..], &asked].concat(), "2 killed", &["0 lost 2", "1 stopped", "2 killed"]);
        check(&[&[lost][..], &asked].concat(), "0 lost 2", &["0 lost 2", "1 stopped", "2 stopped"]);
        check(&asked, "0 stopped", &["0 stopped", "1 stopped", "2 stopped"]);
        // All pods fail by themselves, one after another; a much earlier failure belongs to another loss.
        check(&[(0, Own, 101, "b"), (1, Own, 100, "a"), (2, Own, 50, "before")], "1 a", &["0 b", "1 a", "2 before"]);
        // The same pod fails again: the later failure counts.
        check(&[(1, Own, 10, "before"), (1, Own, 100, "again"), (1, LostAnother, 50, "lost")], "1 again", &["1 again"]);
        check(&[(1, Own, 10, "before"), (1, LostAnother, 50, "lost")], "1 before", &["1 lost"]);
    }
}
