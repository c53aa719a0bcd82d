//! Accuracies at simulated times, at which runs with rounds of different length can be compared.

use serde::Serialize;

use super::{Group, MeanStd, over_group};
use crate::{
    RunRef,
    history::Row,
    summary::{RunSummary, finite},
};

/// A simulated time of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlignedTime {
    /// The time in seconds since each run began.
    pub virtual_seconds: f64,
    /// The last test accuracy at that time, for each of [`Comparison::runs`](super::Comparison::runs); absent for a run without simulated time, and after a run's end.
    pub accuracy: Vec<Option<f64>>,
    /// The same over the runs that count, finished or not, for each of [`Comparison::groups`](super::Comparison::groups).
    pub groups: Vec<Option<MeanStd>>,
}

/// Returns the accuracies at ten times, up to the end of the run with the longest simulated time; nothing without any.
pub(super) fn times(runs: &[RunRef], summaries: &[RunSummary], groups: &[Group]) -> Vec<AlignedTime> {
    const NUM_TIMES: u32 = 10;
    let longest = summaries.iter().filter_map(|run| run.virtual_seconds).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Vec::new();
    }
    let at = |step: u32| {
        let virtual_seconds = if step == NUM_TIMES { longest } else { longest * f64::from(step) / f64::from(NUM_TIMES) };
        let accuracy: Vec<Option<f64>> = runs.iter().map(|run| accuracy_at(run, virtual_seconds)).collect();
        AlignedTime { virtual_seconds, groups: groups.iter().map(|group| over_group(group, &accuracy)).collect(), accuracy }
    };
    (1..=NUM_TIMES).map(at).collect()
}

/// Returns the last accuracy of a run at a time; `None` before its first evaluation, and after its end.
fn accuracy_at(run: &RunRef, virtual_seconds: f64) -> Option<f64> {
    run.history.rows().next_back()?.virtual_seconds.filter(|end| *end >= virtual_seconds)?;
    let is_past = |row: &&Row| row.virtual_seconds.is_some_and(|seconds| seconds <= virtual_seconds) && row.test.is_some();
    finite(run.history.rows().rev().find(is_past)?.test.as_ref()?.accuracy)
}
