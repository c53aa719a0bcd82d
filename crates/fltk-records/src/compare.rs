//! Compares runs: aligns their rounds or epochs, and computes means and intervals over the seeds of the same task, and tests of the differences between groups.
//!
//! Not for: which figure matters, and what a difference is worth.

mod factors;
mod groups;
mod holm;
mod mean;
mod significance;
mod student;
mod times;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    RunRef,
    history::{Row, Unit},
    summary::{RunSummary, finite},
};

pub use self::{
    factors::Factor,
    groups::Group,
    mean::MeanStd,
    significance::{Figure, GROUPS_TESTED_MAX, Method, Reason, Test, Untested},
    times::AlignedTime,
};

/// Several runs, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The runs, in the order they were given.
    pub runs: Vec<RunSummary>,
    /// Runs of the same experiment, task and settings, which differ only in their seeds; in the order of their first run.
    pub groups: Vec<Group>,
    /// The settings in which groups differ, by name.
    pub factors: Vec<Factor>,
    /// The tested differences between groups, by figure and groups.
    pub tests: Vec<Test>,
    /// The pairs of groups with values that could not be tested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
    /// The number of pairs that are neither above nor here: only the first [`GROUPS_TESTED_MAX`] groups with finished runs are tested.
    #[serde(skip_serializing_if = "is_zero")]
    pub pairs_left_out: usize,
    /// Every round or epoch that any of the runs evaluated, ascending.
    pub steps: Vec<AlignedStep>,
    /// Ten simulated times up to the longest of the runs, ascending; none if time was the wall clock's for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<AlignedTime>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One round or epoch of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlignedStep {
    /// The unit of the steps.
    pub unit: Unit,
    /// The round or epoch.
    pub step: u32,
    /// Test accuracy, for each of [`Comparison::runs`].
    pub accuracy: Vec<Option<f64>>,
    /// Test loss, for each of them.
    pub loss: Vec<Option<f64>>,
    /// Test accuracy over the runs that count, finished or not, for each of [`Comparison::groups`].
    pub groups: Vec<Option<MeanStd>>,
    /// Test loss over the same runs.
    pub groups_loss: Vec<Option<MeanStd>>,
}

/// Compares runs.
#[must_use]
pub fn compare(runs: &[RunRef]) -> Comparison {
    let summaries: Vec<_> = runs.iter().map(RunSummary::of).collect();
    let groups = groups::group(runs, &summaries);
    let is_evaluated = |row: &&Row| row.accuracy().is_some() || row.loss().is_some();
    let keys: BTreeSet<(Unit, u32)> =
        runs.iter().flat_map(|run| run.history.rows()).filter(is_evaluated).map(|row| (row.unit, row.step)).collect();
    let steps = keys.into_iter().map(|(unit, step)| aligned(runs, &groups, unit, step)).collect();
    let significance::Significance { tests, untested, pairs_left_out } = significance::test(&groups, &summaries);
    let times = times::times(runs, &summaries, &groups);
    Comparison { factors: factors::of(&groups, runs), tests, untested, pairs_left_out, steps, times, groups, runs: summaries }
}

fn aligned(runs: &[RunRef], groups: &[Group], unit: Unit, step: u32) -> AlignedStep {
    let over_runs = |measure: fn(&Row) -> Option<f64>| -> Vec<Option<f64>> {
        runs.iter().map(|run| run.history.row(step).filter(|row| row.unit == unit).and_then(measure).and_then(finite)).collect()
    };
    let over_groups = |values: &[Option<f64>]| groups.iter().map(|group| over_group(group, values)).collect();
    let (accuracy, loss) = (over_runs(Row::accuracy), over_runs(Row::loss));
    AlignedStep { unit, step, groups: over_groups(&accuracy), groups_loss: over_groups(&loss), accuracy, loss }
}

/// Returns the mean of the values of the runs that count, finished or not, of one value for each run.
fn over_group(group: &Group, values: &[Option<f64>]) -> Option<MeanStd> {
    MeanStd::of(&group.runs.iter().filter_map(|run| values[*run]).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fltk_core::event::RunEvent;

    use super::*;
    use crate::{
        Hyperparameter, RunDescription, RunFolder, RunRecorder,
        samples::{at, description, exp, finished, recorded, round, started},
    };

    #[test]
    fn seeds_of_a_task_form_a_group_with_aligned_steps() {
        let root = tempfile::tempdir().unwrap();
        let read = |seed, events: &[_]| recorded(root.path(), seed, events).read().unwrap();
        let runs = [
            read(1, &[started(0), round(1, 0.4), round(2, 0.5), finished()]),
            read(2, &[started(0), round(1, 0.6), round(2, 0.7), finished()]),
            read(3, &[started(0), round(1, 0.8)]),
        ];
        let comparison = compare(&runs);
        assert_eq!(comparison.groups.len(), 1);
        let group = &comparison.groups[0];
        assert_eq!((group.runs.clone(), group.repeated.clone()), (vec![0, 1, 2], vec![]));
        let accuracy = group.accuracy.unwrap();
        assert_eq!(accuracy.count, 2, "the third has not finished");
        assert!((accuracy.mean - 0.6).abs() < 1e-12 && (accuracy.std.unwrap() - 0.02f64.sqrt()).abs() < 1e-12, "{accuracy:?}");
        assert_eq!(group.train_seconds.unwrap().mean, 1.0);
        let steps: Vec<_> = comparison.steps.iter().map(|step| (step.step, step.accuracy.clone())).collect();
        assert_eq!(steps, [(1, vec![Some(0.4), Some(0.6), Some(0.8)]), (2, vec![Some(0.5), Some(0.7), None])]);
        assert_eq!(comparison.steps[0].groups[0].unwrap().count, 3);

        // The same run given twice doesn't count as two samples.
        let comparison = compare(&[runs[0].clone(), runs[0].clone()]);
        assert_eq!((comparison.groups[0].runs.clone(), comparison.groups[0].repeated.clone()), (vec![1], vec![0]));
        assert_eq!(comparison.groups[0].accuracy.unwrap().std, None);
    }

    #[test]
    fn a_run_that_did_not_finish_does_not_replace_one_that_did() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let finished = recorded(one.path(), 1, &[started(0), round(1, 0.4), finished()]).read().unwrap();
        let interrupted = recorded(other.path(), 1, &[started(0), round(1, 0.6)]).read().unwrap();
        let comparison = compare(&[finished.clone(), interrupted.clone()]);
        assert_eq!((comparison.groups[0].runs.clone(), comparison.groups[0].repeated.clone()), (vec![0], vec![1]));
        assert_eq!(comparison.groups[0].accuracy.unwrap().mean, 0.4);
        let comparison = compare(&[interrupted.clone(), interrupted]);
        assert_eq!((comparison.groups[0].runs.clone(), comparison.groups[0].repeated.clone()), (vec![1], vec![0]));
    }

    #[test]
    fn steps_have_losses_even_without_accuracies() {
        let root = tempfile::tempdir().unwrap();
        let read = |seed, accuracy| recorded(root.path(), seed, &[started(0), round(1, accuracy), finished()]).read().unwrap();
        let comparison = compare(&[read(1, 0.25), read(2, 0.75)]);
        let step = &comparison.steps[0];
        assert_eq!((step.accuracy.clone(), step.loss.clone()), (vec![Some(0.25), Some(0.75)], vec![Some(0.75), Some(0.25)]));
        assert_eq!((step.groups[0].unwrap().mean, step.groups_loss[0].unwrap().mean), (0.5, 0.5));
        // A mean of two values that are 0.5 apart: t of one degree of freedom is 12.7, and the standard error is 0.25.
        let [low, high] = step.groups_loss[0].unwrap().interval.unwrap();
        assert!((low + 2.676_551).abs() < 1e-6 && (high - 3.676_551).abs() < 1e-6, "{low} {high}");

        let figures = [("loss".to_owned(), 2.0)].into();
        let reported = RunEvent::Reported { unit: fltk_core::report::StepUnit::Step, step: 10, figures };
        let comparison = compare(&[recorded(root.path(), 3, &[started(0), reported]).read().unwrap()]);
        assert_eq!((comparison.steps[0].accuracy.clone(), comparison.steps[0].loss.clone()), (vec![None], vec![Some(2.0)]));
    }

    /// Reads a run of each seed whose settings are changed by `change`.
    fn replications(root: &Path, id: &str, seeds: &[u64], change: impl Fn(&mut RunDescription)) -> Vec<RunRef> {
        let read = |seed: &u64| {
            let mut of_seed = description(*seed);
            change(&mut of_seed);
            let folder = RunFolder::create(root, &exp(), at(0), &format!("{id}{seed:07x}"), "name: exp\n", &of_seed).unwrap();
            let (mut recorder, _) = RunRecorder::open(folder.clone(), "a test").unwrap();
            let accuracy = 0.5 + 0.01 * *seed as f64 + 0.001 * f64::from(id.as_bytes()[0] - b'a') * (*seed * *seed) as f64;
            [started(0), round(1, accuracy), finished()].iter().for_each(|event| recorder.record(event, at(1)).unwrap());
            folder.read().unwrap()
        };
        seeds.iter().map(read).collect()
    }

    fn set(description: &mut RunDescription, name: &str, value: Hyperparameter) {
        description.hyperparameters.0.insert(name.to_owned(), value);
    }

    #[test]
    fn groups_are_tested_and_their_factors_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let strategy =
            |name: &'static str| move |of: &mut RunDescription| set(of, "federated.strategy.type", Hyperparameter::Text(name.into()));
        let plain = replications(path, "a", &[1, 2, 3], strategy("FedAvg"));
        let same_seeds = replications(path, "b", &[1, 2, 3], |of| {
            strategy("FedProx")(of);
            set(of, "federated.strategy.mu", Hyperparameter::Number(0.1));
            // It is the behavior of versions that didn't record it.
            set(of, "federated.strategy.weights", Hyperparameter::Text("samples".into()));
        });
        let other_seeds = replications(path, "c", &[4, 5], |of| {
            strategy("FedProx")(of);
            of.network_sha256 = Some("e".repeat(64));
        });
        let alone = replications(path, "d", &[1], |of| set(of, "federated.rounds", Hyperparameter::Number(9.0)));
        let comparison = compare(&[plain, same_seeds, other_seeds, alone].concat());
        let tested: Vec<_> =
            comparison.tests.iter().map(|test| (test.a, test.b, test.figure.name(), test.method.name(), test.count)).collect();
        let of_figure = |figure| [(0, 1, figure, "paired t", [3, 3]), (0, 2, figure, "Welch t", [3, 2]), (1, 2, figure, "Welch t", [3, 2])];
        assert_eq!(tested, [of_figure("accuracy"), of_figure("loss")].concat());
        for test in &comparison.tests {
            assert!(test.p > 0.0 && test.p <= test.p_holm && test.p_holm <= 1.0, "{test:?}");
            assert!(test.interval[0] < test.difference && test.difference < test.interval[1], "{test:?}");
        }
        let untested: Vec<_> = comparison.untested.iter().map(|pair| (pair.a, pair.b, pair.reason)).collect();
        assert_eq!(untested, [(0, 3), (1, 3), (2, 3), (0, 3), (1, 3), (2, 3)].map(|(a, b)| (a, b, Reason::OneValue)));

        let json = serde_json::to_value(&comparison).unwrap();
        let digest = "e".repeat(64);
        let factors = serde_json::json!([
            { "setting": "federated.rounds", "values": [4.0, 4.0, 4.0, 9.0] },
            { "setting": "federated.strategy.mu", "values": [null, 0.1, null, null] },
            { "setting": "federated.strategy.type", "values": ["FedAvg", "FedProx", "FedProx", null] },
            { "setting": "network.sha256", "values": [null, null, digest, null] },
        ]);
        assert_eq!(json["factors"], factors);
        assert_eq!((&json["tests"][0]["method"], &json["tests"][0]["figure"]), (&"paired t".into(), &"accuracy".into()));
        assert_eq!(json["untested"][0], serde_json::json!({ "a": 0, "b": 3, "figure": "accuracy", "reason": "one_value" }));
    }

    #[test]
    fn identical_runs_are_not_tested() {
        let root = tempfile::tempdir().unwrap();
        let named = |name: &'static str| move |of: &mut RunDescription| of.task = name.parse().unwrap();
        let twice =
            [replications(root.path(), "a", &[1, 2], named("one")), replications(&root.path().join("other"), "a", &[1, 2], named("two"))];
        let comparison = compare(&twice.concat());
        assert_eq!((comparison.tests.len(), comparison.factors.len(), comparison.pairs_left_out), (0, 0, 0));
        assert_eq!(comparison.untested.iter().map(|pair| pair.reason).collect::<Vec<_>>(), [Reason::NoSpread; 2]);
    }

    #[test]
    fn number_of_tested_pairs_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let rounds = |rounds: usize| {
            let set = move |of: &mut RunDescription| set(of, "federated.rounds", Hyperparameter::Number(rounds as f64));
            replications(&root.path().join(rounds.to_string()), if rounds.is_multiple_of(2) { "a" } else { "b" }, &[1, 2], set)
        };
        let comparison = compare(&(0..GROUPS_TESTED_MAX + 2).flat_map(rounds).collect::<Vec<_>>());
        assert_eq!(comparison.groups.len(), 22);
        assert_eq!((comparison.tests.len() + comparison.untested.len(), comparison.pairs_left_out), (2 * 190, 231 - 190));
        assert!(comparison.tests.iter().all(|test| test.b < GROUPS_TESTED_MAX));
    }
}
