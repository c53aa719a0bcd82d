//! The beginning of a round whose clients are selected by losses of the current model.

use std::sync::Arc;

use fltk_core::{
    attendance::Absence,
    ids::{ClientId, Round},
};

use super::{Action, Failure, Federation, Phase, ProtocolError, Record, Setup, Timestamp, probe::Probe};

impl Federation {
    /// Changes the losses that are awaited, and selects the clients of the round if that was the last.
    pub(super) fn change_probe(&mut self, now: Timestamp, change: impl FnOnce(&mut Probe, &Setup) -> Result<(), Failure>) -> Vec<Action> {
        let Phase::Measuring(probe) = &mut self.phase else { return Vec::new() };
        let mut actions = Vec::new();
        match change(probe, &self.setup).and_then(|()| self.select_if_measured(now, &mut actions)) {
            Ok(()) => {}
            Err(failure) => actions.extend(self.fail(failure)),
        }
        actions
    }

    /// Selects the clients of the round once each candidate has measured its loss, or can't. Who can't is recorded before anyone trains: a run that goes
    /// on after an interruption then selects the same clients.
    pub(super) fn select_if_measured(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> Result<(), Failure> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Measuring(probe) if probe.is_complete() => {
                let state = Arc::clone(probe.global());
                let measured = probe.finish();
                if measured.absent.iter().any(|absent| absent.absence == Absence::Unmeasured) {
                    actions.push(Action::Revoke { round: self.current });
                }
                actions.extend(measured.absent.iter().cloned().map(Record::ClientAbsent).map(Action::Record));
                self.select(now, state, measured, actions)
            }
            phase => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    /// Returns the candidates of `round` that measure a loss, for the answer of `client`.
    pub(super) fn probe(&self, round: Round, client: ClientId) -> Result<&Probe, ProtocolError> {
        match &self.phase {
            Phase::Measuring(probe) if round == self.current => Ok(probe),
            Phase::Training(_) if round == self.current => Err(ProtocolError::LossPast { round, client }),
            _ if round > self.current => Err(ProtocolError::FutureRound { round, current: self.current }),
            _ => Err(ProtocolError::PastRound { round, current: self.current }),
        }
    }
}
