//! The summary of a run that `runs list` shows, and the report that `runs show` shows.

mod curve;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use fltk_core::{attendance::Absence, ids::ClientId, metrics::Evaluation};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::curve::{Curve, CurveFigure, POINTS_MAX};
use crate::{
    Hyperparameters, PartitionCounts, RunDescription, RunError, RunRef,
    checkpoint::Listed,
    files,
    history::{End, NodeStay, Row, Start, Status, Unit},
};

/// One run in one line. Measurements are absent if nothing was measured or the value is not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The name of the run's folder.
    pub run: String,
    /// The run's folder.
    pub path: PathBuf,
    /// The experiment's name.
    pub experiment: String,
    /// The task's name.
    pub task: String,
    /// `distributed`, `federated` or `command`.
    pub kind: String,
    /// The net.
    pub network: String,
    /// The data set.
    pub dataset: String,
    /// The root seed.
    pub seed: u64,
    /// The id of the run's group, in lower-case hex: the same for all runs of one invocation.
    pub group: String,
    /// The status of the run.
    pub status: Status,
    /// The unit of its steps; absent before the first.
    pub unit: Option<Unit>,
    /// The last round or epoch that is recorded.
    pub step: Option<u32>,
    /// The number of rounds or epochs planned.
    pub num_steps: Option<u32>,
    /// Test accuracy of the last evaluation, `0..=1`.
    pub accuracy: Option<f64>,
    /// Test loss of the last evaluation, mean per prediction.
    pub loss: Option<f64>,
    /// The best test accuracy of any round or epoch.
    pub best_accuracy: Option<f64>,
    /// The first round or epoch with that accuracy.
    pub best_step: Option<u32>,
    /// The course of the test accuracy, or of the loss; absent if neither was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// Seconds of training, summed over rounds or epochs.
    pub train_seconds: f64,
    /// The simulated time of the last round, in seconds since the run began; absent if time was the wall clock's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_seconds: Option<f64>,
    /// Seconds of evaluation, summed over rounds or epochs.
    pub test_seconds: f64,
    /// The time at which the run first started.
    pub started_at: Timestamp,
    /// The time at which it ended.
    pub ended_at: Option<Timestamp>,
    /// The number of times it was resumed.
    pub num_resumptions: u32,
    /// SHA-256 of the final parameters, if it finished.
    pub parameters_sha256: Option<String>,
    /// The reason why it failed, if it did.
    pub failure: Option<String>,
}

impl RunSummary {
    /// Summarizes `run`.
    #[must_use]
    pub fn of(run: &RunRef) -> Self {
        let RunRef { folder, history, status } = run;
        let description = folder.description();
        let last = history.rows().rev().find(|row| row.accuracy().is_some() || row.loss().is_some());
        let best = best(history.rows());
        let (train_seconds, test_seconds) = match history.end() {
            // The time of a program of the user's own is known as a whole.
            Some(End::Finished { parameters_sha256: None, seconds, .. }) => (*seconds, 0.0),
            _ => history.seconds(),
        };
        let (ended_at, parameters_sha256, failure) = match history.end() {
            Some(End::Finished { at, parameters_sha256, .. }) => (Some(*at), parameters_sha256.clone(), None),
            Some(End::Failed { at, reason, .. }) => (Some(*at), None, Some(reason.clone())),
            None => (None, None, None),
        };
        Self {
            run: folder.name(),
            path: folder.path().to_owned(),
            experiment: description.experiment.to_string(),
            task: description.task.to_string(),
            kind: description.hyperparameters.text("kind").to_owned(),
            network: network(&description.hyperparameters),
            dataset: description.hyperparameters.dataset(),
            seed: description.seed.0,
            group: description.group.clone(),
            status: *status,
            unit: history.unit(),
            step: history.rows().next_back().map(|row| row.step),
            num_steps: description.hyperparameters.num_steps(),
            accuracy: last.and_then(Row::accuracy).and_then(finite),
            loss: last.and_then(Row::loss).and_then(finite),
            best_accuracy: best.map(|(_, accuracy)| accuracy),
            best_step: best.map(|(step, _)| step),
            curve: Curve::of(history.rows()),
            train_seconds: finite(train_seconds).unwrap_or(0.0),
            virtual_seconds: history.rows().next_back().and_then(|row| row.virtual_seconds).and_then(finite),
            test_seconds: finite(test_seconds).unwrap_or(0.0),
            started_at: description.started_at,
            ended_at,
            num_resumptions: u32::try_from(history.starts().len().saturating_sub(1)).unwrap_or(u32::MAX),
            parameters_sha256,
            failure,
        }
    }
}

impl RunSummary {
    /// Returns true if its texts can be displayed as they are: a summary that was deserialized may come from another machine.
    pub(crate) fn is_printable(&self) -> bool {
        let Self { run, experiment, task, kind, network, dataset, group, parameters_sha256, failure, .. } = self;
        let given = [run, experiment, task, kind, network, dataset, group];
        given.into_iter().chain(parameters_sha256).chain(failure).all(|text| files::is_printable(text))
    }
}

pub(crate) fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// Returns the name of the net for display.
pub(crate) fn network(settings: &Hyperparameters) -> String {
    let name = [settings.text("network"), settings.text("network.torchscript"), settings.text("network.python")]
        .into_iter()
        .find(|name| !name.is_empty());
    let is_lstm = || settings.0.keys().any(|key| key.starts_with("network.lstm."));
    name.map_or_else(|| if is_lstm() { "lstm".into() } else { String::new() }, str::to_owned)
}

fn best<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<(u32, f64)> {
    let mut best: Option<(u32, f64)> = None;
    for (step, accuracy) in rows.filter_map(|row| Some((row.step, finite(row.accuracy()?)?))) {
        if best.is_none_or(|(_, highest)| accuracy > highest) {
            best = Some((step, accuracy));
        }
    }
    best
}

/// One class of the test set, in the last evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassRow {
    /// The index of the class.
    pub class: usize,
    /// The number of its samples in the test set.
    pub num_samples: u64,
    /// The fraction of the samples predicted as this class that belong to it; absent if there are none.
    pub precision: Option<f64>,
    /// The fraction of this class's samples that are predicted as it; absent if there are none.
    pub recall: Option<f64>,
}

/// The full report of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// The run in one line.
    pub summary: RunSummary,
    /// The task and its settings, and the machine.
    pub description: RunDescription,
    /// Starts and resumptions.
    pub starts: Vec<Start>,
    /// Rounds or epochs, ascending.
    pub rows: Vec<Row>,
    /// The number of selected clients that didn't count, by reason, summed over the rounds; left out if there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub absences: BTreeMap<Absence, u64>,
    /// The malicious clients that took part, ascending; left out if there are none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub malicious: BTreeSet<ClientId>,
    /// The samples of the clients of a federated run, by class; left out if they weren't recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionCounts>,
    /// The nodes of a federated run over a network, in the order in which they joined; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStay>,
    /// The rows per class, of the last evaluation; empty if there is no confusion matrix.
    pub classes: Vec<ClassRow>,
    /// The run's checkpoints on disk, the oldest first.
    pub checkpoints: Vec<Listed>,
}

impl RunReport {
    /// Builds the report of `run`.
    ///
    /// # Errors
    /// If its checkpoints can't be listed, or its partition can't be read.
    pub fn of(run: &RunRef) -> Result<Self, RunError> {
        let unit = run.history.unit().unwrap_or(match run.folder.description().hyperparameters.text("kind") {
            "distributed" => Unit::Epoch,
            _ => Unit::Round,
        });
        let mut absences = BTreeMap::new();
        for absence in run.history.absences().values() {
            *absences.entry(*absence).or_default() += 1;
        }
        let malicious = run.history.clients().iter().filter(|(_, row)| row.malicious).map(|((_, client), _)| *client).collect();
        Ok(Self {
            absences,
            malicious,
            partition: run.folder.partition()?,
            nodes: run.history.nodes().to_vec(),
            summary: RunSummary::of(run),
            description: run.folder.description().clone(),
            starts: run.history.starts().to_vec(),
            rows: run.history.rows().cloned().collect(),
            classes: run.history.last_evaluated().map(|(_, test)| classes(test)).unwrap_or_default(),
            checkpoints: run.folder.checkpoints(unit).list()?,
        })
    }
}

fn classes(test: &Evaluation) -> Vec<ClassRow> {
    let (Some(confusion), Some(precision), Some(recall)) = (&test.confusion, test.precision(), test.recall()) else { return Vec::new() };
    let rows = confusion.iter().zip(precision).zip(recall).enumerate();
    rows.map(|(class, ((row, precision), recall))| ClassRow { class, num_samples: row.iter().sum(), precision, recall }).collect()
}

#[cfg(test)]
mod tests {
    use fltk_core::{event::RunEvent, ids::Round};

    use super::*;
    use crate::samples::{finished, recorded, round, saved, started};

    #[test]
    fn run_is_summarized_in_one_line_and_in_full() {
        let root = tempfile::tempdir().unwrap();
        let events = [started(0), round(0, 0.1), round(1, 0.7), saved(1), round(2, 0.7), round(3, 0.6), finished()];
        let folder = recorded(root.path(), 1, &events);
        folder.checkpoints(Unit::Round).save(1.into(), &[("model".to_owned(), vec![0; 8])].into()).unwrap();
        let report = RunReport::of(&folder.read().unwrap()).unwrap();
        let summary = &report.summary;
        assert_eq!((summary.step, summary.num_steps, summary.accuracy), (Some(3), Some(4), Some(0.6)));
        assert_eq!((summary.best_accuracy, summary.best_step), (Some(0.7), Some(1)));
        assert_eq!((summary.train_seconds, summary.test_seconds, summary.num_resumptions), (2.0, 1.0, 0));
        assert_eq!(summary.parameters_sha256, Some("f".repeat(64)));
        assert_eq!((summary.network.as_str(), summary.dataset.as_str(), summary.kind.as_str()), ("LeNet5", "mnist", "federated"));
        let classes: Vec<_> = report.classes.iter().map(|of| (of.class, of.num_samples, of.precision, of.recall)).collect();
        assert_eq!(classes, [(0, 2, Some(2.0 / 3.0), Some(1.0)), (1, 2, Some(1.0), Some(0.5))]);
        assert_eq!(report.checkpoints.iter().map(|listed| (listed.at, listed.num_bytes)).collect::<Vec<_>>(), [(1.into(), 8)]);
        assert_eq!(report.rows.len(), 4);
    }

    #[test]
    fn absent_and_malicious_clients_are_in_the_report() {
        let root = tempfile::tempdir().unwrap();
        let train = fltk_core::metrics::TrainSummary { num_samples: 1, num_steps: 1, loss: Some(1.0) };
        let counted = |client, malicious| RunEvent::ClientTrained {
            round: Round(1),
            client: ClientId(client),
            train,
            seconds: 0.1,
            virtual_seconds: None,
            staleness: None,
            malicious,
        };
        let absent = |client, absence| RunEvent::ClientAbsent { round: Round(1), client: ClientId(client), absence, reason: None };
        let events = [
            started(0),
            counted(4, true),
            absent(5, Absence::Late),
            absent(6, Absence::Late),
            absent(7, Absence::DroppedOut),
            counted(8, false),
        ];
        let report = RunReport::of(&recorded(root.path(), 1, &events).read().unwrap()).unwrap();
        assert_eq!(report.malicious, [ClientId(4)].into());
        assert_eq!(report.absences, [(Absence::DroppedOut, 1), (Absence::Late, 2)].into());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["absences"]["late"], &json["malicious"]), (&2.into(), &serde_json::json!([4])));
        assert_eq!((json.get("nodes"), json.get("partition")), (None, None));
        // Runs without any say nothing of it.
        let json = serde_json::to_value(RunReport::of(&recorded(root.path(), 2, &[started(0)]).read().unwrap()).unwrap()).unwrap();
        assert_eq!((json.get("absences"), json.get("malicious")), (None, None));
    }

    #[test]
    fn diverged_run_has_no_measurements() {
        let root = tempfile::tempdir().unwrap();
        let run = recorded(root.path(), 1, &[started(0), round(1, f64::NAN)]).read().unwrap();
        let summary = RunSummary::of(&run);
        assert_eq!((summary.accuracy, summary.loss, summary.best_accuracy), (None, None, None));
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<RunSummary>(&json).unwrap(), summary);
    }
}
