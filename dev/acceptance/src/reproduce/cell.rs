//! Published tables as plain data.

use serde::Serialize;
use serde_json::{Value, json};

use super::summary::Figure;

/// A published table, or the part of it that is reproduced.
pub struct Table {
    /// The heading on the page.
    pub title: &'static str,
    /// The publication, and where the figures are in it, in Markdown.
    pub source: &'static str,
    /// The setting of all cells, in a few sentences.
    pub setting: &'static str,
    /// The differences from the source in every cell; each is a sentence.
    pub differs: &'static [&'static str],
    /// The cells, the most important first.
    pub cells: Vec<Cell>,
}

/// A published figure, and the experiment that reproduces it.
pub struct Cell {
    /// The name, by which it is run and under which its records are.
    pub name: String,
    /// The data set, the division and the strategy, for people.
    pub what: String,
    /// The published figure.
    pub published: Published,
    /// The task of an experiment file. Name and seeds are added where it is run.
    pub task: Value,
    /// The number of seeds that are run, counted from 1.
    pub seeds: u32,
    /// The processor time of a round in seconds, measured on one core of the machine that CI runs on.
    pub core_seconds_per_round: f64,
    /// A difference from the source in this cell, in addition to those that its table names.
    pub differs: Option<&'static str>,
}

/// A published figure.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Published {
    /// The figure: an accuracy in percent, or a number of rounds. `None` if the source has a curve without numbers.
    pub figure: Option<f64>,
    /// The deviation that the source gives, in the same unit.
    pub deviation: Option<f64>,
    /// The meaning of the figure.
    #[serde(flatten)]
    pub measure: Measure,
}

/// A property of a run that sources report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "measure", rename_all = "snake_case")]
pub enum Measure {
    /// The best test accuracy over all rounds.
    Best,
    /// The test accuracy after the last round.
    Last,
    /// The number of rounds until the test accuracy is reached.
    RoundsTo {
        /// The accuracy, `0..=1`.
        accuracy: f64,
    },
}

impl Published {
    /// Returns a best accuracy over rounds, in percent.
    pub const fn best(figure: f64, deviation: f64) -> Self {
        Self { figure: Some(figure), deviation: Some(deviation), measure: Measure::Best }
    }

    /// Returns an accuracy after the last round, in percent, without a deviation.
    pub const fn last(figure: f64) -> Self {
        Self { figure: Some(figure), deviation: None, measure: Measure::Last }
    }

    /// Returns a curve without numbers, of which the accuracy after the last round is compared.
    pub const fn curve() -> Self {
        Self { figure: None, deviation: None, measure: Measure::Last }
    }

    /// Returns the text of the figure.
    pub fn told(self) -> String {
        let Self { figure, deviation, measure } = self;
        figure.map_or_else(|| "a curve".to_owned(), |mean| Figure { mean, deviation }.told(measure))
    }
}

impl Cell {
    /// Returns the number of rounds of a run.
    pub fn num_rounds(&self) -> u32 {
        self.task["federated"]["rounds"].as_u64().and_then(|rounds| u32::try_from(rounds).ok()).unwrap_or(0)
    }

    /// Returns the estimated time of a run on one core, in seconds.
    pub fn core_seconds(&self) -> f64 {
        f64::from(self.num_rounds()) * self.core_seconds_per_round
    }

    /// Returns the experiment file of one run.
    pub fn experiment(&self, seed: u64) -> Value {
        json!({ "name": self.name, "seeds": [seed], "tasks": [self.task] })
    }
}
