//! The journal folded: what is known about a run after its last event.
//!
//! A run that is taken up again goes on from its last checkpoint and does the rounds after it once more: a
//! [`RunEvent::Started`] with `from: k` voids whatever was recorded of later rounds or epochs, and of an end.

use std::collections::BTreeMap;

use fltk_core::{
    event::RunEvent,
    ids::{ClientId, Round},
    metrics::{Evaluation, ParallelSummary, TrainSummary},
    milestone::Milestone,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{files::printable, journal::Entry};

/// What a run's steps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Federated rounds.
    Round,
    /// Epochs of a distributed task.
    Epoch,
}

impl Unit {
    /// `round` or `epoch`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Round => "round",
            Self::Epoch => "epoch",
        }
    }
}

/// One round or epoch, as last recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which kind of step.
    pub unit: Unit,
    /// Counted from 1; 0 is the initial model.
    pub step: u32,
    /// When it was recorded.
    pub at: Timestamp,
    /// Clients that took part, ascending; empty for epochs.
    pub clients: Vec<ClientId>,
    /// Of training in this step alone; absent for step 0.
    pub train: Option<TrainSummary>,
    /// Learning rate used in this step.
    pub learning_rate: f64,
    /// After this step, over the whole test set; absent where it was not evaluated.
    pub test: Option<Evaluation>,
    /// Seconds of training in this step alone.
    pub train_seconds: f64,
    /// Seconds of evaluating after this step.
    pub test_seconds: f64,
    /// What being several ranks cost; absent for one, and for federated rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<ParallelSummary>,
}

impl Row {
    /// The row that `entry` records, if it records one.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let at = entry.at;
        Some(match &entry.event {
            RunEvent::EpochEnded { epoch, train, learning_rate, test, train_seconds, test_seconds, parallel } => Self {
                unit: Unit::Epoch,
                step: epoch.0,
                at,
                clients: Vec::new(),
                train: Some(measured(*train)),
                learning_rate: *learning_rate,
                test: Some(test.clone()),
                train_seconds: *train_seconds,
                test_seconds: *test_seconds,
                parallel: *parallel,
            },
            RunEvent::RoundEnded { round, clients, train, learning_rate, test, train_seconds, test_seconds } => Self {
                unit: Unit::Round,
                step: round.0,
                at,
                clients: clients.clone(),
                train: train.map(measured),
                learning_rate: *learning_rate,
                test: test.clone(),
                train_seconds: *train_seconds,
                test_seconds: *test_seconds,
                parallel: None,
            },
            _ => return None,
        })
    }
}

/// One client's share of a round, as last recorded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClientRow {
    /// When it was recorded.
    pub at: Timestamp,
    /// Over its local epochs.
    pub train: TrainSummary,
    /// Seconds of local training.
    pub seconds: f64,
}

/// A start, or a resumption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    /// When.
    pub at: Timestamp,
    /// The checkpoint that it went on from; 0 for a fresh start.
    pub from: Milestone,
    /// `fltk` version.
    pub version: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// It went through.
    Finished {
        /// When.
        at: Timestamp,
        /// SHA-256 of the final parameters, lower-case hex.
        parameters_sha256: String,
        /// Wall clock since the last start, in seconds.
        seconds: f64,
    },
    /// It gave up.
    Failed {
        /// When.
        at: Timestamp,
        /// Why, one line.
        reason: String,
        /// Whether it would end so again: [`RunEvent::Failed`].
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        for_good: bool,
    },
}

impl End {
    /// The end that `entry` records, if it records one.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let at = entry.at;
        match &entry.event {
            RunEvent::Finished { parameters_sha256, seconds } => {
                Some(Self::Finished { at, parameters_sha256: printable(parameters_sha256), seconds: *seconds })
            }
            RunEvent::Failed { reason, for_good } => Some(Self::Failed { at, reason: printable(reason), for_good: *for_good }),
            _ => None,
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A process is writing it.
    Running,
    /// It went through.
    Finished,
    /// It gave up.
    Failed,
    /// It has no end and no process: it was killed, and can be resumed.
    Interrupted,
}

impl Status {
    /// Lower case, as in tables and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An event that can't follow the ones before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} can't be recorded here: {problem}")]
pub struct OrderError {
    /// Its number in the journal, counted from 0.
    pub seq: u64,
    /// Why not.
    pub problem: &'static str,
}

/// What an event changed, for those who keep something derived from a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// What was derived before may be void: derive it again.
    Rewritten,
    /// This step's row is new, and the last.
    RowAdded(u32),
    /// The run ended.
    Ended,
    /// Nothing that a row or an end shows.
    Noted,
}

/// What is known about a run: a fold over its journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    starts: Vec<Start>,
    rows: BTreeMap<u32, Row>,
    clients: BTreeMap<(Round, ClientId), ClientRow>,
    checkpoints: BTreeMap<Milestone, String>,
    end: Option<End>,
    num_events: u64,
}

impl History {
    /// Folds a whole journal.
    ///
    /// # Errors
    /// If the events can't have happened in this order.
    pub fn fold(entries: &[Entry]) -> Result<Self, OrderError> {
        let mut history = Self::default();
        for entry in entries {
            history.apply(entry)?;
        }
        Ok(history)
    }

    /// Every start, the first first.
    #[must_use]
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// What the steps are; `None` before the first.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        let of_clients = (!self.clients.is_empty()).then_some(Unit::Round);
        self.rows.values().next().map(|row| row.unit).or(of_clients)
    }

    /// The rounds or epochs, ascending.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.values()
    }

    /// One round or epoch.
    #[must_use]
    pub fn row(&self, step: u32) -> Option<&Row> {
        self.rows.get(&step)
    }

    /// What clients did, by round and client.
    #[must_use]
    pub fn clients(&self) -> &BTreeMap<(Round, ClientId), ClientRow> {
        &self.clients
    }

    /// SHA-256 of the parameters of each recorded checkpoint. The files may be gone since.
    #[must_use]
    pub fn checkpoints(&self) -> &BTreeMap<Milestone, String> {
        &self.checkpoints
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Where it stands, given whether a process holds the [lock](crate::RunFolder::is_locked).
    #[must_use]
    pub fn status(&self, locked: bool) -> Status {
        match (&self.end, locked) {
            (Some(End::Finished { .. }), _) => Status::Finished,
            (Some(End::Failed { .. }), _) => Status::Failed,
            (None, true) => Status::Running,
            (None, false) => Status::Interrupted,
        }
    }

    /// The last row that was evaluated.
    #[must_use]
    pub fn last_evaluated(&self) -> Option<(&Row, &Evaluation)> {
        self.rows.values().rev().find_map(|row| Some((row, row.test.as_ref()?)))
    }

    /// Seconds of training and of evaluation, summed over the rows; what was done and then lost to an interruption is not in it.
    #[must_use]
    pub fn seconds(&self) -> (f64, f64) {
        self.rows.values().fold((0.0, 0.0), |(train, test), row| (train + row.train_seconds, test + row.test_seconds))
    }

    /// Whether `events` could be recorded next.
    ///
    /// # Errors
    /// If one of them can't follow.
    pub fn check(&self, events: &[RunEvent]) -> Result<(), OrderError> {
        let mut started = !self.starts.is_empty();
        let mut ended = self.end.is_some();
        let mut unit = self.unit();
        for (seq, event) in (self.num_events..).zip(events) {
            let refuse = |problem| Err(OrderError { seq, problem });
            let unit_of_event = match event {
                RunEvent::Started { .. } => {
                    (started, ended) = (true, false);
                    continue;
                }
                RunEvent::EpochEnded { .. } => Some(Unit::Epoch),
                RunEvent::RoundEnded { .. } | RunEvent::ClientTrained { .. } => Some(Unit::Round),
                RunEvent::CheckpointSaved { .. } | RunEvent::Finished { .. } | RunEvent::Failed { .. } => None,
            };
            if !started {
                return refuse("the run has not started");
            }
            if ended {
                return refuse("the run has ended");
            }
            if unit_of_event.is_some() && unit.is_some() && unit != unit_of_event {
                return refuse("a run has rounds or epochs, not both");
            }
            unit = unit.or(unit_of_event);
            ended = matches!(event, RunEvent::Finished { .. } | RunEvent::Failed { .. });
        }
        Ok(())
    }

    /// Takes in the next event.
    ///
    /// # Errors
    /// If it can't follow the ones before; then nothing changed.
    pub fn apply(&mut self, entry: &Entry) -> Result<Change, OrderError> {
        self.check(std::slice::from_ref(&entry.event))?;
        self.num_events += 1;
        let at = entry.at;
        Ok(match &entry.event {
            RunEvent::Started { from, version } => {
                self.void_after(*from);
                self.starts.push(Start { at, from: *from, version: printable(version) });
                Change::Rewritten
            }
            RunEvent::EpochEnded { .. } | RunEvent::RoundEnded { .. } => match Row::of(entry) {
                Some(row) => self.add_row(row),
                None => Change::Noted,
            },
            RunEvent::ClientTrained { round, client, train, seconds } => {
                self.clients.insert((*round, *client), ClientRow { at, train: measured(*train), seconds: *seconds });
                Change::Noted
            }
            RunEvent::CheckpointSaved { at, parameters_sha256 } => {
                self.checkpoints.insert(*at, printable(parameters_sha256));
                Change::Noted
            }
            RunEvent::Finished { .. } | RunEvent::Failed { .. } => {
                self.end = End::of(entry);
                Change::Ended
            }
        })
    }

    fn void_after(&mut self, from: Milestone) {
        self.end = None;
        if from == Milestone::START {
            // A fresh start evaluates the initial model again too.
            self.rows.clear();
            self.clients.clear();
            self.checkpoints.clear();
        } else {
            self.rows.retain(|step, _| *step <= from.completed);
            self.clients.retain(|(round, _), _| round.0 <= from.completed);
            self.checkpoints.retain(|at, _| *at <= from);
        }
    }

    fn add_row(&mut self, row: Row) -> Change {
        let step = row.step;
        let is_last = self.rows.last_key_value().is_none_or(|(last, _)| *last < step);
        self.rows.insert(step, row);
        if is_last { Change::RowAdded(step) } else { Change::Rewritten }
    }
}

/// Journals of earlier versions have a loss of 0 where there was nothing to have one of.
fn measured(train: TrainSummary) -> TrainSummary {
    TrainSummary { loss: train.loss.filter(|_| train.num_samples > 0), ..train }
}

#[cfg(test)]
mod tests;
