//! Rounds that are trained but not recorded yet: evaluations may arrive late, but records are emitted in order.

use std::{collections::VecDeque, sync::Arc};

use fltk_core::{
    client_test::{ClientEvaluation, ClientTestSummary},
    experiment::ClientFigure,
    ids::Round,
    metrics::Evaluation,
    model_state::ModelState,
    server_state::ServerState,
};

use super::{ClientTestRecord, ProtocolError, Record, RoundRecord};

/// The limit on predictions of an evaluation: with it, those of all clients can't overflow when they are summed.
const NUM_SAMPLES_MAX: u64 = 1 << 40;

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
    /// The figures that are recorded of each client's test.
    clients: Vec<ClientTestRecord>,
    awaits: Awaits,
    /// The checkpoint that is due after the record.
    checkpoint: Option<ToCheckpoint>,
}

/// The evaluations of a round that are still awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaits {
    /// True if it is that on the test set.
    pub(super) evaluation: bool,
    /// True if it is that of clients on samples of their own.
    pub(super) clients: bool,
}

impl Awaits {
    fn any(self) -> bool {
        self.evaluation || self.clients
    }
}

impl Reports {
    pub(super) fn push(&mut self, record: RoundRecord, awaits: Awaits, checkpoint: Option<ToCheckpoint>) {
        self.queue.push_back(Report { record, clients: Vec::new(), awaits, checkpoint });
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the number of global models that are still held for an evaluation or a checkpoint.
    pub(super) fn num_models_held(&self) -> usize {
        self.queue.iter().filter(|report| report.awaits.any() || report.checkpoint.is_some()).count()
    }

    /// Checks that an evaluation of `round` is awaited.
    pub(super) fn expect_evaluation(&self, round: Round) -> Result<(), ProtocolError> {
        let is_due = self.queue.iter().any(|report| report.record.round == round && report.awaits.any());
        if is_due { Ok(()) } else { Err(ProtocolError::NoEvaluationDue { round }) }
    }

    /// Adds an evaluation.
    pub(super) fn evaluated(&mut self, round: Round, evaluation: Evaluation, seconds: f64) -> Result<(), ProtocolError> {
        let due = self.queue.iter_mut().find(|report| report.record.round == round && report.awaits.evaluation);
        let report = due.ok_or(ProtocolError::NoEvaluationDue { round })?;
        let number = |(what, value)| ProtocolError::EvaluationNumber { round, what, value };
        check(evaluation.num_samples, evaluation.loss, evaluation.accuracy).map_err(number)?;
        check_seconds(seconds).map_err(number)?;
        report.awaits.evaluation = false;
        report.record.test = Some(evaluation);
        report.record.test_seconds += seconds;
        Ok(())
    }

    /// Adds the evaluations of clients, which are among `num_clients`, on test samples of their own. Of each, the `allowed` figures are recorded.
    pub(super) fn clients_tested(
        &mut self,
        round: Round,
        tested: &[ClientEvaluation],
        seconds: f64,
        allowed: &[ClientFigure],
        num_clients: usize,
    ) -> Result<(), ProtocolError> {
        let due = self.queue.iter_mut().find(|report| report.record.round == round && report.awaits.clients);
        let report = due.ok_or(ProtocolError::NoEvaluationDue { round })?;
        let mut earlier = None;
        for &ClientEvaluation { client, num_samples, loss, accuracy } in tested {
            if client.0 as usize >= num_clients {
                return Err(ProtocolError::UnknownClient { client, num_clients });
            }
            if earlier >= Some(client) {
                return Err(ProtocolError::ClientTestOrder { round, client });
            }
            earlier = Some(client);
            check(num_samples, loss, accuracy).map_err(|(what, value)| ProtocolError::ClientTestNumber { round, client, what, value })?;
        }
        check_seconds(seconds).map_err(|(what, value)| ProtocolError::EvaluationNumber { round, what, value })?;
        let nobody = ProtocolError::EvaluationNumber { round, what: "number of clients", value: 0.0 };
        report.record.client_test = Some(ClientTestSummary::of(tested).ok_or(nobody)?);
        let record = |own: &ClientEvaluation| Some(ClientTestRecord { round, client: own.client, figures: own.figures(allowed)? });
        report.clients = tested.iter().filter_map(record).collect();
        report.awaits.clients = false;
        report.record.test_seconds += seconds;
        Ok(())
    }

    /// Removes and returns the rounds that can be recorded: those before the first that awaits an evaluation.
    pub(super) fn take_complete(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(report) = self.queue.pop_front_if(|report| !report.awaits.any()) {
            let (round, learning_rate) = (report.record.round, report.record.learning_rate.value);
            records.extend(report.clients.into_iter().map(Record::ClientTested));
            records.push(Record::RoundEnded(report.record));
            records.extend(report.checkpoint.map(|(state, server)| Record::Checkpoint { round, state, server, learning_rate }));
        }
        records
    }
}

/// Returns the first number of an evaluation that can't be, with its name.
#[expect(clippy::cast_precision_loss, reason = "a number of samples for an error")]
fn check(num_samples: u64, loss: f64, accuracy: f64) -> Result<(), (&'static str, f64)> {
    if num_samples == 0 || num_samples > NUM_SAMPLES_MAX {
        return Err(("number of samples", num_samples as f64));
    }
    if !loss.is_finite() {
        return Err(("loss", loss));
    }
    if !(0.0..=1.0).contains(&accuracy) {
        return Err(("accuracy", accuracy));
    }
    Ok(())
}

fn check_seconds(seconds: f64) -> Result<(), (&'static str, f64)> {
    if seconds.is_finite() && seconds >= 0.0 { Ok(()) } else { Err(("time in seconds", seconds)) }
}
