//! All runs with their settings, as columns.

use std::{collections::BTreeMap, sync::Arc};

use fltk_records::{
    Hyperparameter, Hyperparameters,
    history::Status,
    index::Listing,
    summary::{Curve, RunSummary},
};
use jiff::Timestamp;
use serde::Serialize;

use crate::words;

/// The limit on the settings of a table, by their paths: records from elsewhere could have a thousand others in each run.
const SETTINGS_MAX: usize = 1000;

/// Every run in one line, and the settings of all.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The runs.
    pub runs: Vec<Line>,
    /// The settings by path; of more than a thousand, those that come first in the alphabet.
    pub settings: BTreeMap<String, Column>,
    /// The folders that could not be read.
    pub skipped: Vec<Skipped>,
}

/// The line of a run in a table, by the names of [`RunSummary`]. It has half the bytes of a summary, since a browser reads thousands.
#[derive(Debug, Serialize)]
pub struct Line {
    run: String,
    experiment: String,
    task: String,
    kind: String,
    network: String,
    dataset: String,
    seed: u64,
    status: Status,
    step: Option<u32>,
    num_steps: Option<u32>,
    accuracy: Option<f64>,
    loss: Option<f64>,
    best_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<Curve>,
    train_seconds: f64,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl From<RunSummary> for Line {
    fn from(run: RunSummary) -> Self {
        Self {
            run: run.run,
            experiment: run.experiment,
            task: run.task,
            kind: run.kind,
            network: run.network,
            dataset: run.dataset,
            seed: run.seed,
            status: run.status,
            step: run.step,
            num_steps: run.num_steps,
            accuracy: run.accuracy,
            loss: run.loss,
            best_accuracy: run.best_accuracy,
            curve: run.curve.as_ref().map(Curve::sketch),
            train_seconds: run.train_seconds,
            started_at: run.started_at,
            failure: run.failure,
        }
    }
}

/// One setting of all runs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Column {
    /// The values that runs have, each once, in the order of the runs.
    pub values: Vec<Hyperparameter>,
    /// The index of the value of each run; `None` for a run without the setting. Left out if every run has the same value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Vec<Option<usize>>>,
}

/// A folder that could not be read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The name of the folder.
    pub run: String,
    /// The reason, for a person to read.
    pub problem: String,
}

impl Table {
    /// Arranges `listing`.
    #[must_use]
    pub fn of(listing: Listing) -> Self {
        let Listing { runs, settings, skipped } = listing;
        let skipped = skipped.into_iter().map(|(path, error)| Skipped {
            run: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            problem: words(&error),
        });
        Self { runs: runs.into_iter().map(Line::from).collect(), settings: columns(&settings), skipped: skipped.collect() }
    }
}

/// Returns a column for each setting that any run has. Runs of a sweep share few sets of settings, so each set is looked at once.
fn columns(of_runs: &[Arc<Hyperparameters>]) -> BTreeMap<String, Column> {
    let mut sets: Vec<&Hyperparameters> = Vec::new();
    let mut known: BTreeMap<*const Hyperparameters, usize> = BTreeMap::new();
    let mut set_of_run = Vec::with_capacity(of_runs.len());
    for settings in of_runs {
        let next = sets.len();
        let set = *known.entry(Arc::as_ptr(settings)).or_insert(next);
        if set == next {
            sets.push(settings);
        }
        set_of_run.push(set);
    }
    let mut building: BTreeMap<&str, Building> = BTreeMap::new();
    for (index, set) in sets.iter().enumerate() {
        for (path, value) in &set.0 {
            building.entry(path).or_default().add(index, value);
            if building.len() > SETTINGS_MAX {
                building.pop_last();
            }
        }
    }
    let done = |(path, column): (&str, Building)| (path.to_owned(), column.done(&set_of_run, sets.len()));
    building.into_iter().map(done).collect()
}

/// A column of which not all sets of settings were looked at yet.
#[derive(Default)]
struct Building {
    values: Vec<Hyperparameter>,
    /// The index of each value, by its JSON.
    known: BTreeMap<String, usize>,
    /// The value of each set of settings that has one.
    of_set: BTreeMap<usize, usize>,
}

impl Building {
    fn add(&mut self, set: usize, value: &Hyperparameter) {
        let json = serde_json::to_string(value).expect("texts, numbers and switches have a JSON form");
        let next = self.values.len();
        let index = *self.known.entry(json).or_insert(next);
        if index == next {
            self.values.push(value.clone());
        }
        self.of_set.insert(set, index);
    }

    fn done(self, set_of_run: &[usize], num_sets: usize) -> Column {
        let is_same_for_all = self.values.len() == 1 && self.of_set.len() == num_sets;
        let of = (!is_same_for_all).then(|| set_of_run.iter().map(|set| self.of_set.get(set).copied()).collect());
        Column { values: self.values, of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, Hyperparameter)]) -> Arc<Hyperparameters> {
        Arc::new(Hyperparameters(pairs.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect()))
    }

    fn text(text: &str) -> Hyperparameter {
        Hyperparameter::Text(text.to_owned())
    }

    #[test]
    fn columns_have_each_value_once() {
        let number = Hyperparameter::Number;
        let first = settings(&[("kind", text("federated")), ("rate", number(0.1)), ("on", Hyperparameter::Bool(true))]);
        let second = settings(&[("kind", text("federated")), ("rate", number(0.2)), ("one", text("a"))]);
        let columns = columns(&[Arc::clone(&first), Arc::clone(&second), first, second]);
        let check = |path: &str, values: &[Hyperparameter], of: Option<&[Option<usize>]>| {
            assert_eq!(columns[path], Column { values: values.to_vec(), of: of.map(<[_]>::to_vec) }, "{path}");
        };
        check("kind", &[text("federated")], None);
        check("rate", &[number(0.1), number(0.2)], Some(&[Some(0), Some(1), Some(0), Some(1)]));
        // A setting that some runs don't have is not the same for all.
        check("on", &[Hyperparameter::Bool(true)], Some(&[Some(0), None, Some(0), None]));
        check("one", &[text("a")], Some(&[None, Some(0), None, Some(0)]));
        assert_eq!(columns.len(), 4);
    }

    #[test]
    fn settings_are_limited() {
        let many = |prefix: &str| {
            let pairs: Vec<_> = (0..SETTINGS_MAX).map(|index| (format!("{prefix}{index:04}"), text("a"))).collect();
            Arc::new(Hyperparameters(pairs.into_iter().collect()))
        };
        let columns = columns(&[many("b"), many("a")]);
        assert_eq!(columns.len(), SETTINGS_MAX);
        assert!(columns.keys().all(|path| path.starts_with('a')));
    }
}
