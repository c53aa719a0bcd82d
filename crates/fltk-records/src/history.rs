//! The journal, folded: the state of a run after its last event.
//!
//! A run that is resumed continues from its last checkpoint and repeats the rounds after it: a [`RunEvent::Started`] with `from: k` voids
//! whatever was recorded of later rounds or epochs, and any end. Who counted in a federated round is kept even so: a wall clock may have decided
//! it, and the resumed run repeats it ([`History::attendance`]).

mod nodes;

use std::collections::BTreeMap;

use fltk_core::{
    attendance::{Absence, Attendance, Attended},
    client_test::{ClientFigures, ClientTestSummary},
    event::RunEvent,
    ids::{ClientId, Round},
    metrics::{Evaluation, ParallelSummary, TrainSummary},
    milestone::Milestone,
    report::StepUnit,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::nodes::Nodes;
use crate::{files::printable, journal::Entry};

pub use nodes::{NodeEnd, NodeStay};

/// The unit of a run's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Federated rounds.
    Round,
    /// Epochs of a distributed task.
    Epoch,
    /// Steps of a program of the user's own.
    Step,
}

impl From<StepUnit> for Unit {
    fn from(unit: StepUnit) -> Self {
        match unit {
            StepUnit::Round => Self::Round,
            StepUnit::Epoch => Self::Epoch,
            StepUnit::Step => Self::Step,
        }
    }
}

impl Unit {
    /// Returns `round`, `epoch` or `step`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Round => "round",
            Self::Epoch => "epoch",
            Self::Step => "step",
        }
    }
}

/// One round or epoch, as last recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The unit of the step.
    pub unit: Unit,
    /// The number of the round or epoch, counted from 1; 0 is the initial model.
    pub step: u32,
    /// The time at which it was recorded.
    pub at: Timestamp,
    /// Clients that took part, ascending; empty for epochs.
    pub clients: Vec<ClientId>,
    /// The training in this step alone; absent for step 0.
    pub train: Option<TrainSummary>,
    /// The learning rate used in this step; absent if a program of the user's own computed it and didn't report one.
    pub learning_rate: Option<f64>,
    /// The evaluation after this step, over the whole test set; absent if the step was not evaluated.
    pub test: Option<Evaluation>,
    /// The accuracy over all clients on test samples of their own, after this round; absent if they weren't tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_test: Option<ClientTestSummary>,
    /// Seconds of training in this step alone.
    pub train_seconds: f64,
    /// The simulated time at which the round's model was complete, in seconds since the run began; absent if time was the wall clock's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_seconds: Option<f64>,
    /// Seconds of evaluation after this step, of clients included.
    pub test_seconds: f64,
    /// The bytes of the updates that count, as they are sent; absent for epochs, and for rounds of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_bytes: Option<u64>,
    /// The cost of running on several ranks; absent for a single rank, and for federated rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<ParallelSummary>,
    /// The figures that a program of the user's own reported, by name; empty for any other run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}

/// The names of reported figures that stand for what other runs measure.
pub(crate) const ACCURACY: &str = "accuracy";
pub(crate) const LOSS: &str = "loss";
pub(crate) const TRAIN_LOSS: &str = "train_loss";
pub(crate) const LEARNING_RATE: &str = "learning_rate";

impl Row {
    /// Returns the accuracy on the whole test set, or what a program of the user's own reported as `accuracy`.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        self.test.as_ref().map(|test| test.accuracy).or_else(|| self.figure(ACCURACY))
    }

    /// Returns the mean loss on the whole test set, or what a program of the user's own reported as `loss`.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        self.test.as_ref().map(|test| test.loss).or_else(|| self.figure(LOSS))
    }

    /// Returns the mean loss of training, or what a program of the user's own reported as `train_loss`.
    #[must_use]
    pub fn train_loss(&self) -> Option<f64> {
        self.train.and_then(|train| train.loss).or_else(|| self.figure(TRAIN_LOSS))
    }

    /// Returns the reported figures other than those that stand for what other runs measure.
    pub fn other_figures(&self) -> impl Iterator<Item = (&str, f64)> {
        let known = [ACCURACY, LOSS, TRAIN_LOSS, LEARNING_RATE];
        self.figures.iter().filter(move |(name, _)| !known.contains(&name.as_str())).map(|(name, value)| (name.as_str(), *value))
    }

    fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// Returns the row that `entry` records, if it records one.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let at = entry.at;
        Some(match &entry.event {
            RunEvent::EpochEnded { epoch, train, learning_rate, test, train_seconds, test_seconds, parallel } => Self {
                unit: Unit::Epoch,
                step: epoch.0,
                at,
                clients: Vec::new(),
                train: Some(measured(*train)),
                learning_rate: Some(*learning_rate),
                test: Some(test.clone()),
                client_test: None,
                train_seconds: *train_seconds,
                virtual_seconds: None,
                test_seconds: *test_seconds,
                sent_bytes: None,
                parallel: *parallel,
                figures: BTreeMap::new(),
            },
            RunEvent::RoundEnded {
                round,
                clients,
                train,
                learning_rate,
                test,
                client_test,
                train_seconds,
                virtual_seconds,
                test_seconds,
                sent_bytes,
            } => Self {
                unit: Unit::Round,
                step: round.0,
                at,
                clients: clients.clone(),
                train: train.map(measured),
                learning_rate: Some(*learning_rate),
                test: test.clone(),
                client_test: *client_test,
                train_seconds: *train_seconds,
                virtual_seconds: *virtual_seconds,
                test_seconds: *test_seconds,
                sent_bytes: *sent_bytes,
                parallel: None,
                figures: BTreeMap::new(),
            },
            RunEvent::Reported { unit, step, figures } => Self {
                unit: Unit::from(*unit),
                step: *step,
                at,
                clients: Vec::new(),
                train: None,
                learning_rate: figures.get(LEARNING_RATE).copied(),
                test: None,
                client_test: None,
                train_seconds: 0.0,
                virtual_seconds: None,
                test_seconds: 0.0,
                sent_bytes: None,
                parallel: None,
                figures: figures.iter().map(|(name, value)| (printable(name), *value)).collect(),
            },
            _ => return None,
        })
    }
}

/// One client's share of a round, as last recorded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClientRow {
    /// The time at which it was recorded.
    pub at: Timestamp,
    /// The training over the client's local epochs.
    pub train: TrainSummary,
    /// Seconds of local training.
    pub seconds: f64,
    /// The simulated time of its answer, in seconds since the run began; absent if time was the wall clock's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_seconds: Option<f64>,
    /// The number of global models that were made since it began; absent unless the strategy is asynchronous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staleness: Option<u32>,
    /// True if the client is malicious.
    pub malicious: bool,
}

/// A start, or a resumption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    /// The time of the start.
    pub at: Timestamp,
    /// The checkpoint from which the run resumed; 0 for a fresh start.
    pub from: Milestone,
    /// The version of `fltk`.
    pub version: String,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// The run finished.
    Finished {
        /// The time of the end.
        at: Timestamp,
        /// SHA-256 of the final parameters, lower-case hex; absent for a program of the user's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        parameters_sha256: Option<String>,
        /// Wall-clock time since the last start, in seconds.
        seconds: f64,
    },
    /// The run failed.
    Failed {
        /// The time of the end.
        at: Timestamp,
        /// The reason, in one line.
        reason: String,
        /// True if the run would fail the same way again: see [`RunEvent::Failed`].
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        for_good: bool,
    },
}

impl End {
    /// Returns the end that `entry` records, if it records one.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let at = entry.at;
        match &entry.event {
            RunEvent::Finished { parameters_sha256, seconds } => {
                Some(Self::Finished { at, parameters_sha256: Some(printable(parameters_sha256)), seconds: *seconds })
            }
            RunEvent::ProgramEnded { seconds } => Some(Self::Finished { at, parameters_sha256: None, seconds: *seconds }),
            RunEvent::Failed { reason, for_good } => Some(Self::Failed { at, reason: printable(reason), for_good: *for_good }),
            _ => None,
        }
    }
}

/// The status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A process is writing the run.
    Running,
    /// The run finished.
    Finished,
    /// The run failed.
    Failed,
    /// The run has no end and no process: it was killed, and can be resumed.
    Interrupted,
}

impl Status {
    /// Returns the name in lower case, as in tables and JSON.
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
    /// The number of the event in the journal, counted from 0.
    pub seq: u64,
    /// The reason why it can't follow.
    pub problem: &'static str,
}

/// The effect of an event, for code that keeps something derived from a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Anything derived before may be void: derive it again.
    Rewritten,
    /// The row of this step is new, and is now the last row.
    RowAdded(u32),
    /// The run ended.
    Ended,
    /// No row and no end changed.
    Noted,
}

/// The state of a run: a fold over its journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    starts: Vec<Start>,
    rows: BTreeMap<u32, Row>,
    clients: BTreeMap<(Round, ClientId), ClientRow>,
    absences: BTreeMap<(Round, ClientId), Absence>,
    client_tests: BTreeMap<(Round, ClientId), ClientFigures>,
    attendance: Attendance,
    nodes: Nodes,
    /// True if clients begin and count in different rounds.
    is_asynchronous: bool,
    /// The last round that ever ended, in any start.
    last_ended: Round,
    checkpoints: BTreeMap<Milestone, String>,
    /// The SHA-256 of the parameters that a node made first.
    initial: Option<String>,
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

    /// Returns every start, in order.
    #[must_use]
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Returns the unit of the steps; `None` before the first step.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        let of_clients = (!self.clients.is_empty()).then_some(Unit::Round);
        self.rows.values().next().map(|row| row.unit).or(of_clients)
    }

    /// Returns the rounds or epochs, ascending.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> + Clone {
        self.rows.values()
    }

    /// Returns one round or epoch.
    #[must_use]
    pub fn row(&self, step: u32) -> Option<&Row> {
        self.rows.get(&step)
    }

    /// Returns the clients' training, by round and client.
    #[must_use]
    pub fn clients(&self) -> &BTreeMap<(Round, ClientId), ClientRow> {
        &self.clients
    }

    /// Returns the clients that were selected and didn't count, by round and client.
    #[must_use]
    pub fn absences(&self) -> &BTreeMap<(Round, ClientId), Absence> {
        &self.absences
    }

    /// Returns what was recorded of the clients' tests on samples of their own, by round and client.
    #[must_use]
    pub fn client_tests(&self) -> &BTreeMap<(Round, ClientId), ClientFigures> {
        &self.client_tests
    }

    /// Returns who counted, and who didn't, in every round that is recorded, also of earlier starts. A round in which the run failed is left
    /// out, so that a resumed run may decide it anew.
    #[must_use]
    pub fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// Returns the SHA-256 of the parameters of each recorded checkpoint. The files may have been removed since.
    #[must_use]
    pub fn checkpoints(&self) -> &BTreeMap<Milestone, String> {
        &self.checkpoints
    }

    /// Returns the SHA-256 of the parameters with which the run began, if a node made them.
    #[must_use]
    pub fn initial(&self) -> Option<&str> {
        self.initial.as_deref()
    }

    /// Returns the end of the run, if it ended.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Returns the status of the run, given whether a process holds the [lock](crate::RunFolder::is_locked).
    #[must_use]
    pub fn status(&self, locked: bool) -> Status {
        match (&self.end, locked) {
            (Some(End::Finished { .. }), _) => Status::Finished,
            (Some(End::Failed { .. }), _) => Status::Failed,
            (None, true) => Status::Running,
            (None, false) => Status::Interrupted,
        }
    }

    /// Returns the last row that was evaluated.
    #[must_use]
    pub fn last_evaluated(&self) -> Option<(&Row, &Evaluation)> {
        self.rows.values().rev().find_map(|row| Some((row, row.test.as_ref()?)))
    }

    /// Returns the figures of the last test of the clients; `None` if they weren't tested.
    #[must_use]
    pub fn last_client_test(&self) -> Option<ClientTestSummary> {
        self.rows.values().rev().find_map(|row| row.client_test)
    }

    /// Returns the nodes of a federated run over a network, in the order in which they joined; one that came back is there again.
    #[must_use]
    pub fn nodes(&self) -> &[NodeStay] {
        self.nodes.all()
    }

    /// Drops what was recorded of single clients, and all confusion matrices, so that many histories fit into the memory.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        if !self.rows.is_empty() {
            // Without rows, only clients tell the unit of the steps.
            self.clients.clear();
        }
        self.absences.clear();
        self.client_tests.clear();
        self.attendance = Attendance::default();
        self.rows.values_mut().filter_map(|row| row.test.as_mut()).for_each(|test| test.confusion = None);
        self
    }

    /// Returns seconds of training and of evaluation, summed over the rows; work that was lost to an interruption is not included.
    #[must_use]
    pub fn seconds(&self) -> (f64, f64) {
        self.rows.values().fold((0.0, 0.0), |(train, test), row| (train + row.train_seconds, test + row.test_seconds))
    }

    /// Checks that `events` could be recorded next.
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
                RunEvent::Reported { unit, .. } => Some(Unit::from(*unit)),
                RunEvent::RoundEnded { .. }
                | RunEvent::ClientTrained { .. }
                | RunEvent::ClientAbsent { .. }
                | RunEvent::ClientTested { .. } => Some(Unit::Round),
                RunEvent::NodeJoined { .. }
                | RunEvent::NodeLeft { .. }
                | RunEvent::CheckpointSaved { .. }
                | RunEvent::ModelInitialized { .. }
                | RunEvent::Finished { .. }
                | RunEvent::ProgramEnded { .. }
                | RunEvent::Failed { .. } => None,
            };
            if !started {
                return refuse("the run has not started");
            }
            if ended {
                return refuse("the run has ended");
            }
            if unit_of_event.is_some() && unit.is_some() && unit != unit_of_event {
                return refuse("a run has rounds, epochs or steps, and no two of them");
            }
            unit = unit.or(unit_of_event);
            ended = matches!(event, RunEvent::Finished { .. } | RunEvent::ProgramEnded { .. } | RunEvent::Failed { .. });
        }
        Ok(())
    }

    /// Adds the next event.
    ///
    /// # Errors
    /// If it can't follow the events before it; nothing has changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<Change, OrderError> {
        self.check(std::slice::from_ref(&entry.event))?;
        self.num_events += 1;
        let at = entry.at;
        Ok(match &entry.event {
            RunEvent::Started { from, version } => {
                self.void_after(*from);
                self.nodes.begin();
                if self.is_asynchronous {
                    // Rounds that never ended are decided anew.
                    self.attendance.forget_from(Round(self.last_ended.0.saturating_add(1)));
                }
                self.starts.push(Start { at, from: *from, version: printable(version) });
                Change::Rewritten
            }
            RunEvent::EpochEnded { .. } | RunEvent::RoundEnded { .. } => match Row::of(entry) {
                Some(row) => {
                    self.last_ended = self.last_ended.max(Round(row.step));
                    self.add_row(row)
                }
                None => Change::Noted,
            },
            RunEvent::Reported { .. } => match Row::of(entry) {
                Some(row) => self.add_figures(row),
                None => Change::Noted,
            },
            RunEvent::ClientTrained { round, client, train, seconds, virtual_seconds, staleness, malicious } => {
                let (virtual_seconds, staleness) = (*virtual_seconds, *staleness);
                self.is_asynchronous |= staleness.is_some();
                let row = ClientRow { at, train: measured(*train), seconds: *seconds, virtual_seconds, staleness, malicious: *malicious };
                self.clients.insert((*round, *client), row);
                self.attendance.note(*round, *client, Attended::Counted { staleness: staleness.unwrap_or(0) });
                Change::Noted
            }
            RunEvent::ClientAbsent { round, client, absence, reason } => {
                self.absences.insert((*round, *client), *absence);
                let attended = Attended::Absent { absence: *absence, reason: reason.as_deref().map(printable) };
                self.attendance.note(*round, *client, attended);
                Change::Noted
            }
            RunEvent::ClientTested { round, client, test } => {
                self.client_tests.insert((*round, *client), *test);
                Change::Noted
            }
            RunEvent::NodeJoined { .. } | RunEvent::NodeLeft { .. } => {
                self.nodes.apply(at, &entry.event);
                Change::Noted
            }
            RunEvent::ModelInitialized { parameters_sha256, .. } => {
                // Whoever makes it later makes the same.
                self.initial.get_or_insert_with(|| printable(parameters_sha256));
                Change::Noted
            }
            RunEvent::CheckpointSaved { at, parameters_sha256 } => {
                self.checkpoints.insert(*at, printable(parameters_sha256));
                Change::Noted
            }
            RunEvent::Finished { .. } | RunEvent::ProgramEnded { .. } | RunEvent::Failed { .. } => {
                self.end = End::of(entry);
                self.attendance.forget_from(Round(self.last_ended.0.saturating_add(1)));
                Change::Ended
            }
        })
    }

    fn void_after(&mut self, from: Milestone) {
        self.end = None;
        if self.rows.values().any(|row| !row.figures.is_empty()) {
            // A program goes on from wherever it likes: what it reported stays, until it reports the same step again.
            return;
        }
        if from == Milestone::START {
            // A fresh start also evaluates the initial model again.
            self.rows.clear();
            self.clients.clear();
            self.absences.clear();
            self.client_tests.clear();
            self.checkpoints.clear();
        } else {
            self.rows.retain(|step, _| *step <= from.completed);
            self.clients.retain(|(round, _), _| round.0 <= from.completed);
            self.absences.retain(|(round, _), _| round.0 <= from.completed);
            self.client_tests.retain(|(round, _), _| round.0 <= from.completed);
            self.checkpoints.retain(|at, _| *at <= from);
        }
    }

    /// Adds reported figures, to those of the same step if there are some.
    fn add_figures(&mut self, row: Row) -> Change {
        let earlier = self.rows.get(&row.step).map(|earlier| earlier.figures.clone()).unwrap_or_default();
        let figures: BTreeMap<String, f64> = earlier.into_iter().chain(row.figures.clone()).collect();
        let learning_rate = figures.get(LEARNING_RATE).copied();
        self.add_row(Row { figures, learning_rate, ..row })
    }

    fn add_row(&mut self, row: Row) -> Change {
        let step = row.step;
        let is_last = self.rows.last_key_value().is_none_or(|(last, _)| *last < step);
        self.rows.insert(step, row);
        if is_last { Change::RowAdded(step) } else { Change::Rewritten }
    }
}

/// Journals of earlier versions have a loss of 0 if no samples were trained.
fn measured(train: TrainSummary) -> TrainSummary {
    TrainSummary { loss: train.loss.filter(|_| train.num_samples > 0), ..train }
}

#[cfg(test)]
mod tests;
