//! Groups of runs that differ only in their seeds.

use std::collections::BTreeMap;

use fltk_core::client_test::ClientTestSummary;
use serde::Serialize;

use super::MeanStd;
use crate::{RunRef, history::Status, summary::RunSummary};

/// Replications of one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The experiment's name.
    pub experiment: String,
    /// The task's name.
    pub task: String,
    /// The runs that count, as indices into [`Comparison::runs`](super::Comparison::runs).
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

/// The properties that the runs of a group have in common: experiment, task, settings, and the digests of the files that these name, among them that of a net.
type Key<'a> = (&'a str, &'a str, String, &'a BTreeMap<String, String>, Option<&'a str>);

/// Returns the groups of these runs.
pub(super) fn group(runs: &[RunRef], summaries: &[RunSummary]) -> Vec<Group> {
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
            let tested = finished(&counting, summaries).filter_map(|run| runs[run].history.last_client_test()).collect::<Vec<_>>();
            let over = |measure: fn(&RunSummary) -> Option<f64>| {
                MeanStd::of(&finished(&counting, summaries).filter_map(|run| measure(&summaries[run])).collect::<Vec<_>>())
            };
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

/// Returns those of these runs, given by index, that finished: they count for final figures.
pub(super) fn finished(counting: &[usize], summaries: &[RunSummary]) -> impl Iterator<Item = usize> {
    counting.iter().copied().filter(|run| summaries[*run].status == Status::Finished)
}
