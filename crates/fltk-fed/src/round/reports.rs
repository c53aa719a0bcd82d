//! Rounds that are trained but not recorded yet: evaluations may arrive late, but records are emitted in order.

use std::{collections::VecDeque, sync::Arc};

use fltk_core::{ids::Round, metrics::Evaluation, model_state::ModelState, server_state::ServerState};

use super::{ProtocolError, Record, RoundRecord};

/// A global model, and the strategy's state after the same round.
pub(super) type ToCheckpoint = (Arc<ModelState>, Arc<ServerState>);

/// Rounds to be recorded, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reports {
    queue: VecDeque<Report>,
}

#[derive(Clone, Debug, PartialEq)]
struct Report {
    record: RoundRecord,
    /// True if the evaluation of the round is still awaited.
    awaits_evaluation: bool,
    /// The checkpoint that is due after the record.
    checkpoint: Option<ToCheckpoint>,
}

impl Reports {
    pub(super) fn push(&mut self, record: RoundRecord, awaits_evaluation: bool, checkpoint: Option<ToCheckpoint>) {
        self.queue.push_back(Report { record, awaits_evaluation, checkpoint });
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the number of global models that are still held for an evaluation or a checkpoint.
    pub(super) fn num_models_held(&self) -> usize {
        self.queue.iter().filter(|report| report.awaits_evaluation || report.checkpoint.is_some()).count()
    }

    /// Checks that the evaluation of `round` is awaited.
    pub(super) fn expect_evaluation(&self, round: Round) -> Result<(), ProtocolError> {
        let is_due = self.queue.iter().any(|report| report.record.round == round && report.awaits_evaluation);
        if is_due { Ok(()) } else { Err(ProtocolError::NoEvaluationDue { round }) }
    }

    /// Adds an evaluation.
    pub(super) fn evaluated(&mut self, round: Round, evaluation: Evaluation, seconds: f64) -> Result<(), ProtocolError> {
        let due = self.queue.iter_mut().find(|report| report.record.round == round && report.awaits_evaluation);
        let report = due.ok_or(ProtocolError::NoEvaluationDue { round })?;
        let number = |what, value| Err(ProtocolError::EvaluationNumber { round, what, value });
        if evaluation.num_samples == 0 {
            return number("number of samples", 0.0);
        }
        if !evaluation.loss.is_finite() {
            return number("loss", evaluation.loss);
        }
        if !(0.0..=1.0).contains(&evaluation.accuracy) {
            return number("accuracy", evaluation.accuracy);
        }
        if !seconds.is_finite() || seconds < 0.0 {
            return number("time in seconds", seconds);
        }
        report.awaits_evaluation = false;
        report.record.test = Some(evaluation);
        report.record.test_seconds = seconds;
        Ok(())
    }

    /// Removes and returns the rounds that can be recorded: those before the first that awaits its evaluation.
    pub(super) fn take_complete(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(report) = self.queue.pop_front_if(|report| !report.awaits_evaluation) {
            let (round, learning_rate) = (report.record.round, report.record.learning_rate.value);
            records.push(Record::RoundEnded(report.record));
            records.extend(report.checkpoint.map(|(state, server)| Record::Checkpoint { round, state, server, learning_rate }));
        }
        records
    }
}
