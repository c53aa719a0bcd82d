//! Why pods of a job failed, as it was seen, and which of them was the first: the others fail because they lose that one, or because they are told to go.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::plan::{Blame, LastWords};

/// Failures that are of one loss: ranks notice within seconds that another is lost, and the kubelet starts a container that fails again and again no sooner
/// than after ten.
const ONE_LOSS: Duration = Duration::from_secs(10);

/// Pods whose last words are kept with a job's end, and how many characters of each: thousands of jobs may fail.
const PODS_MAX: usize = 64;
const WORDS_CHARS_MAX: usize = 200;

/// Why a pod failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// For a person.
    pub words: String,
    /// Who is to blame.
    pub cause: Cause,
    /// What is at fault.
    pub blame: Blame,
    /// When its container ended, in whole seconds, if it says so.
    pub at: Option<Timestamp>,
}

/// Who is to blame for a pod's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The pod itself.
    Own,
    /// Another pod of its job, which it lost.
    LostAnother,
    /// Whoever asked it to go: the operator, as a rule, once the job had failed.
    AskedToGo,
}

/// What is known of a job's pods.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    /// The last of each pod for each cause.
    last: BTreeMap<(Cause, u32), Problem>,
}

impl Problems {
    /// The pod at `index` failed so. It may have been said before.
    pub fn add(&mut self, index: u32, problem: Problem) {
        self.last.insert((problem.cause, index), problem);
    }

    /// What failed first when the job was lost for the last time, and the pod's index. What pods say after they were asked to go counts only if nothing else
    /// is known.
    pub fn first(&self) -> Option<(u32, &Problem)> {
        [Cause::Own, Cause::LostAnother, Cause::AskedToGo].into_iter().find_map(|cause| {
            let of_cause = || self.last.iter().filter(move |((of, _), _)| *of == cause).map(|((_, index), problem)| (*index, problem));
            let end = of_cause().filter_map(|(_, problem)| problem.at).max();
            let is_of_last =
                |problem: &Problem| problem.at.zip(end).is_none_or(|(at, end)| end.duration_since(at).unsigned_abs() <= ONE_LOSS);
            of_cause().filter(|(_, problem)| is_of_last(problem)).min_by_key(|(index, problem)| (problem.at, *index))
        })
    }

    /// What each pod said last.
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
    fn the_first_of_the_last_loss_is_to_blame() {
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
        // All fail by themselves, one after the other; an earlier loss is another.
        check(&[(0, Own, 101, "b"), (1, Own, 100, "a"), (2, Own, 50, "before")], "1 a", &["0 b", "1 a", "2 before"]);
        // The same pod, again: the later counts.
        check(&[(1, Own, 10, "before"), (1, Own, 100, "again"), (1, LostAnother, 50, "lost")], "1 again", &["1 again"]);
        check(&[(1, Own, 10, "before"), (1, LostAnother, 50, "lost")], "1 before", &["1 lost"]);
    }
}
