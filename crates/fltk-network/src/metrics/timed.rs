//! The times of the threads that drive and evaluate.

use std::time::Instant;

use fltk_core::{client_test::ClientEvaluation, ids::Round, metrics::Evaluation, model_state::ModelState, server_state::ServerState};
use fltk_fed::{BoxError, client::Evaluator};

use super::{Metrics, Phase};

/// An evaluator whose time is counted.
pub(crate) struct Timed<'a> {
    pub(crate) evaluator: Box<dyn Evaluator + 'a>,
    pub(crate) metrics: &'a Metrics,
}

impl Evaluator for Timed<'_> {
    fn evaluate(&mut self, round: Round, state: &ModelState) -> Result<Evaluation, BoxError> {
        timed(self.metrics, Phase::Evaluating, || self.evaluator.evaluate(round, state))
    }

    fn evaluate_clients(&mut self, round: Round, state: &ModelState, server: &ServerState) -> Result<Vec<ClientEvaluation>, BoxError> {
        timed(self.metrics, Phase::Evaluating, || self.evaluator.evaluate_clients(round, state, server))
    }
}

/// Calls `work`, and adds its time to a phase.
fn timed<T>(metrics: &Metrics, phase: Phase, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let outcome = work();
    metrics.took(phase, began.elapsed());
    outcome
}

/// The clock of a thread that is in one phase at a time.
pub(crate) struct Clock<'a> {
    metrics: &'a Metrics,
    phase: Phase,
    since: Instant,
}

impl<'a> Clock<'a> {
    /// Begins with a phase.
    pub(crate) fn new(metrics: &'a Metrics, phase: Phase) -> Self {
        Self { metrics, phase, since: Instant::now() }
    }

    /// Goes on with another phase.
    pub(crate) fn turn(&mut self, phase: Phase) {
        let now = Instant::now();
        self.metrics.took(std::mem::replace(&mut self.phase, phase), now.saturating_duration_since(self.since));
        self.since = now;
    }
}
