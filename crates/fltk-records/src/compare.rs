//! Compares runs: aligns their rounds or epochs, and computes mean and deviation over the seeds of the same task.

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::client_test::ClientTestSummary;
use serde::Serialize;

use crate::{
    RunRef,
    history::{Status, Unit},
    summary::{RunSummary, finite},
};

/// Several runs, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The runs, in the order they were given.
    pub runs: Vec<RunSummary>,
    /// Runs of the same experiment, task and settings, which differ only in their seeds; in the order of their first run.
    pub groups: Vec<Group>,
    /// Every round or epoch that any of the runs evaluated, ascending.
    pub steps: Vec<AlignedStep>,
    /// Ten simulated times up to the longest of the runs, ascending; none if time was the wall clock's for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<AlignedTime>,
}

/// Replications of one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The experiment's name.
    pub experiment: String,
    /// The task's name.
    pub task: String,
    /// The runs that count, as indices into [`Comparison::runs`].
    pub runs: Vec<usize>,
    /// The runs that don't count, because another run of the same seed replaces them: a later one, or one that finished where they didn't; indices
    /// as above.
    pub repeated: Vec<usize>,
    /// Final test accuracy, over the finished runs that count.
    pub accuracy: Option<MeanStd>,
    /// Final test loss, over the same runs.
    pub loss: Option<MeanStd>,
    /// Mean accuracy of the clients on test samples of their own, over the same runs; absent if clients weren't tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_accuracy: Option<MeanStd>,
    /// Mean accuracy of the worst tenth of the clients, over the same runs; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_worst_decile: Option<MeanStd>,
    /// Seconds of training, over the same runs.
    pub train_seconds: Option<MeanStd>,
    /// Simulated seconds of the whole run, over the same runs; absent if time was the wall clock's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_seconds: Option<MeanStd>,
}

/// A simulated time of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlignedTime {
    /// The time in seconds since each run began.
    pub virtual_seconds: f64,
    /// The last test accuracy at that time, for each of [`Comparison::runs`]; absent for a run without simulated time, and after a run's end.
    pub accuracy: Vec<Option<f64>>,
    /// The same over the runs that count, finished or not, for each of [`Comparison::groups`].
    pub groups: Vec<Option<MeanStd>>,
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
    /// Test accuracy over the runs that count, finished or not, for each of [`Comparison::groups`].
    pub groups: Vec<Option<MeanStd>>,
}

/// A mean and the spread around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanStd {
    /// The number of values; at least 1.
    pub count: usize,
    /// The mean of the values.
    pub mean: f64,
    /// The sample standard deviation (over `count - 1`); absent for a single value.
    pub std: Option<f64>,
}

impl MeanStd {
    /// Computes mean and deviation of these numbers; `None` if there are none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 numbers")]
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len();
        if count == 0 {
            return None;
        }
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        Some(Self { count, mean, std: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()) })
    }
}

/// Compares runs.
#[must_use]
pub fn compare(runs: &[RunRef]) -> Comparison {
    let summaries: Vec<_> = runs.iter().map(RunSummary::of).collect();
    let groups = group(runs, &summaries);
    let keys: BTreeSet<(Unit, u32)> =
        runs.iter().flat_map(|run| run.history.rows()).filter(|row| row.accuracy().is_some()).map(|row| (row.unit, row.step)).collect();
    let steps = keys.into_iter().map(|(unit, step)| {
        let accuracy: Vec<_> = runs.iter().map(|run| accuracy(run, unit, step)).collect();
        let of_group = |group: &Group| MeanStd::of(&group.runs.iter().filter_map(|run| accuracy[*run]).collect::<Vec<_>>());
        AlignedStep { unit, step, groups: groups.iter().map(of_group).collect(), accuracy }
    });
    let times = times(runs, &summaries, &groups);
    Comparison { steps: steps.collect(), times, groups, runs: summaries }
}

/// Returns the accuracies at ten times, up to the end of the run with the longest simulated time; nothing without any.
fn times(runs: &[RunRef], summaries: &[RunSummary], groups: &[Group]) -> Vec<AlignedTime> {
    const NUM_TIMES: u32 = 10;
    let longest = summaries.iter().filter_map(|run| run.virtual_seconds).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Vec::new();
    }
    let at = |step: u32| {
        let virtual_seconds = if step == NUM_TIMES { longest } else { longest * f64::from(step) / f64::from(NUM_TIMES) };
        let accuracy: Vec<Option<f64>> = runs.iter().map(|run| accuracy_at(run, virtual_seconds)).collect();
        let of_group = |group: &Group| MeanStd::of(&group.runs.iter().filter_map(|run| accuracy[*run]).collect::<Vec<_>>());
        AlignedTime { virtual_seconds, groups: groups.iter().map(of_group).collect(), accuracy }
    };
    (1..=NUM_TIMES).map(at).collect()
}

/// Returns the last accuracy of a run at a time; `None` before its first evaluation, and after its end.
fn accuracy_at(run: &RunRef, virtual_seconds: f64) -> Option<f64> {
    run.history.rows().next_back()?.virtual_seconds.filter(|end| *end >= virtual_seconds)?;
    let is_past = |row: &&crate::history::Row| row.virtual_seconds.is_some_and(|seconds| seconds <= virtual_seconds) && row.test.is_some();
    finite(run.history.rows().rev().find(is_past)?.test.as_ref()?.accuracy)
}

fn accuracy(run: &RunRef, unit: Unit, step: u32) -> Option<f64> {
    let row = run.history.row(step).filter(|row| row.unit == unit)?;
    finite(row.accuracy()?)
}

/// The properties that the runs of a group have in common: experiment, task, settings, and the digests of the files that these name, among them that of a net.
type Key<'a> = (&'a str, &'a str, String, &'a BTreeMap<String, String>, Option<&'a str>);

fn group(runs: &[RunRef], summaries: &[RunSummary]) -> Vec<Group> {
    // Per group, the most recently started run of each seed; of those that finished, if any did.
    let mut by_key: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        let description = run.folder.description();
        let settings = description.hyperparameters.key();
        let network = description.network_sha256.as_deref();
        by_key.entry((&description.experiment, &description.task, settings, &description.files_sha256, network)).or_default().push(index);
    }
    let mut groups: Vec<_> = by_key
        .into_iter()
        .map(|((experiment, task, ..), members)| {
            let is_replaced = |index: &usize| {
                let this = &summaries[*index];
                let replaces = |other: &usize| {
                    let that = &summaries[*other];
                    let rank = |run: &RunSummary, index| (run.status == Status::Finished, run.started_at, index);
                    that.seed == this.seed && rank(that, *other) > rank(this, *index)
                };
                members.iter().any(replaces)
            };
            let (repeated, counting): (Vec<_>, Vec<_>) = members.iter().copied().partition(is_replaced);
            let finished = || counting.iter().map(|run| &summaries[*run]).filter(|run| run.status == Status::Finished);
            let over = |measure: fn(&RunSummary) -> Option<f64>| MeanStd::of(&finished().filter_map(measure).collect::<Vec<_>>());
            let tested = counting.iter().filter(|run| summaries[**run].status == Status::Finished);
            let tested: Vec<_> = tested.filter_map(|run| runs[*run].history.last_client_test()).collect();
            let over_clients = |measure: fn(&ClientTestSummary) -> f64| {
                MeanStd::of(&tested.iter().map(measure).filter(|value| value.is_finite()).collect::<Vec<_>>())
            };
            Group {
                experiment: experiment.to_owned(),
                task: task.to_owned(),
                accuracy: over(|run| run.accuracy),
                loss: over(|run| run.loss),
                client_accuracy: over_clients(|clients| clients.accuracy),
                client_worst_decile: over_clients(|clients| clients.worst_decile),
                train_seconds: over(|run| Some(run.train_seconds)),
                virtual_seconds: over(|run| run.virtual_seconds),
                runs: counting,
                repeated,
            }
        })
        .collect();
    groups.sort_by_key(|group| group.runs.iter().chain(&group.repeated).min().copied());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{finished, recorded, round, started};

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
    fn mean_and_sample_deviation_are_computed() {
        let check = |numbers: &[f64], expected: Option<(f64, Option<f64>)>| {
            assert_eq!(MeanStd::of(numbers).map(|of| (of.mean, of.std)), expected);
        };
        check(&[], None);
        check(&[0.5], Some((0.5, None)));
        check(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], Some((5.0, Some((32.0f64 / 7.0).sqrt()))));
    }
}
