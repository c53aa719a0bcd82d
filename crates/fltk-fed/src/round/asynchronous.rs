//! The rounds of asynchronous strategies: clients go on from round to round, and a full buffer ends one.

use std::sync::Arc;

use fltk_core::{
    attendance::Absence,
    ids::{ClientId, Round},
    model_state::ModelState,
};

use super::{Action, ClientUpdate, Failure, Federation, Phase, ProtocolError, Record, Setup, Timestamp, flow::Flow, script::Script};
use crate::state_check::check_state;

impl Federation {
    /// Begins the next round, in which `buffer` updates make the next model.
    pub(super) fn flow_on(
        &mut self,
        buffer: u32,
        now: Timestamp,
        state: Arc<ModelState>,
        actions: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        let flow = match self.paused.take() {
            Some(flow) => flow,
            None => {
                let script = Script::of(&self.attendance, self.current, buffer);
                let flow = Flow::new(&self.setup, self.current, state, &self.server, script);
                actions.extend(flow.orders(&self.setup).into_iter().map(Action::Train));
                Box::new(flow)
            }
        };
        self.current = Round(self.current.0 + 1);
        self.round_began = self.wall(now);
        self.phase = Phase::Flowing(flow);
        self.refill(now, actions)?;
        // Answers that count in this round may have come before, in a run that repeats an earlier one.
        let is_full = self.flow().is_ok_and(|flow| flow.is_full(&self.setup));
        if is_full { self.fill(now, actions) } else { Ok(()) }
    }

    /// Takes an update of a client that works.
    pub(super) fn client_answered(&mut self, now: Timestamp, update: ClientUpdate) -> Result<Vec<Action>, ProtocolError> {
        self.flow()?.check(&update, &self.setup)?;
        Ok(self.change_flow(now, |flow, setup| flow.take(update, setup, now)))
    }

    /// Has the update of a client that works brought.
    pub(super) fn client_ready(&self, round: Round, client: ClientId) -> Result<Vec<Action>, ProtocolError> {
        self.flow()?.check_awaited(round, client, &self.setup)?;
        Ok(vec![Action::Collect { round, client }])
    }

    /// Goes on without a client that failed, unless it has to count.
    pub(super) fn client_lost(
        &mut self,
        now: Timestamp,
        round: Round,
        client: ClientId,
        reason: String,
    ) -> Result<Vec<Action>, ProtocolError> {
        self.flow()?.check_awaited(round, client, &self.setup)?;
        if self.flow()?.has_to_count(client) {
            return Ok(self.fail(Failure::Client { round, client, reason }));
        }
        Ok(self.change_flow(now, |flow, _| Some(flow.lose(client, Absence::Failed, Some(reason)))))
    }

    /// Takes an answer of a client that works, ends the round if that fills it, and has others begin.
    fn change_flow(&mut self, now: Timestamp, change: impl FnOnce(&mut Flow, &Setup) -> Option<Record>) -> Vec<Action> {
        let Phase::Flowing(flow) = &mut self.phase else { return Vec::new() };
        let lost: Vec<Action> = change(flow, &self.setup).map(Action::Record).into_iter().collect();
        let mut actions = Vec::new();
        let is_full = flow.is_full(&self.setup);
        match if is_full { self.fill(now, &mut actions) } else { self.refill(now, &mut actions) } {
            Ok(()) => {
                actions.extend(lost);
                actions
            }
            Err(failure) => lost.into_iter().chain(self.fail(failure)).collect(),
        }
    }

    /// Ends a round whose buffer is full.
    fn fill(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> Result<(), Failure> {
        let Phase::Flowing(mut flow) = std::mem::replace(&mut self.phase, Phase::Over) else { return Ok(()) };
        let round = self.current;
        let server = Arc::make_mut(&mut self.server);
        let (combined, records) = flow.combine(&self.setup, server).map_err(|error| error.in_round(round))?;
        check_state(&combined.state).map_err(|source| Failure::Aggregate { round, source })?;
        // Those of the checkpoint from which the run went on, if it did.
        server.in_flight.clear();
        server.bases.clear();
        let (state, evaluations) = self.end_round(now, combined, Some(&flow));
        self.paused = Some(Box::new(flow.next(Arc::clone(&state))));
        let mut next = Vec::new();
        self.go_on(self.ready_at, state, &mut next)?;
        // Work comes first, and then the records: those of this round before any of the next.
        let (next_records, orders): (Vec<Action>, Vec<Action>) = next.into_iter().partition(|action| matches!(action, Action::Record(_)));
        actions.extend(orders);
        actions.extend(evaluations);
        actions.extend(records.into_iter().map(Action::Record));
        self.record(actions);
        actions.extend(next_records);
        Ok(())
    }

    /// Has clients begin until as many work as are to.
    pub(super) fn refill(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> Result<(), Failure> {
        let Phase::Flowing(flow) = &mut self.phase else { return Ok(()) };
        // Nobody begins from a model that isn't complete.
        let (orders, records) = flow.refill(&self.setup, &self.server, now.max(self.ready_at))?;
        actions.extend(orders.into_iter().map(Action::Train));
        actions.extend(records.into_iter().map(Action::Record));
        Ok(())
    }

    /// Returns the clients that work.
    fn flow(&self) -> Result<&Flow, ProtocolError> {
        if let Phase::Flowing(flow) = &self.phase { Ok(flow) } else { Err(ProtocolError::Over) }
    }
}
