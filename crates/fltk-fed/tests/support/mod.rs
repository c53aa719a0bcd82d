//! The setup that the protocol tests share: a small federation over the dummy model.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod timed;

use std::{sync::Arc, time::Duration};

use fltk_core::{
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    model_state::ModelState,
    schedule::LearningRates,
    seed::Seed,
    server_state::ServerState,
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, EvaluationOrder, Event, Federation, Record, SettingsDigest, Setup, TestSamples, Timestamp, TrainOrder},
};

pub const SEED: Seed = Seed(42);

/// A learning rate that f32 can't represent exactly.
pub const RATES: LearningRates = LearningRates { initial: 0.1, scheduler: None };

/// 12 clients, 5 per round, 6 rounds, evaluated every second round, checkpoint every third.
pub fn config() -> FederatedConfig {
    FederatedConfig { evaluate_every: 2, ..FederatedConfig::new(12, 5, 6) }
}

/// Creates clients with 1 to 5 local steps each.
pub fn dummy(clients: u32) -> Dummy {
    Dummy::new(SEED, 17, (0..clients).map(|client| 1 + client % 5).collect())
}

pub fn setup(config: &FederatedConfig, dummy: &Dummy) -> Setup {
    Setup::new(config.clone(), RATES, SEED, dummy.samples.clone(), 3).expect("the settings are possible")
}

pub fn federation(config: &FederatedConfig, dummy: &Dummy) -> Federation {
    Federation::new(setup(config, dummy), Arc::new(dummy.initial())).expect("the dummy's state is sound")
}

/// Creates an order that the federation never gave.
pub fn order(dummy: &Dummy, round: Round, client: ClientId) -> TrainOrder {
    let terms = Arc::new(setup(&config(), dummy).terms(round, &ServerState::default()));
    let settings = SettingsDigest::default();
    TrainOrder { round, client, seed: SEED, state: Arc::new(dummy.initial()), terms, kept: None, flips_labels: false, given: NOW, settings }
}

/// A clock that stands still.
pub const NOW: Timestamp = Timestamp(Duration::ZERO);

/// Returns the answer to an order; `None` for actions that ask for none.
pub fn answer(dummy: &Dummy, action: &Action) -> Option<Event> {
    match action {
        Action::Train(order) => Some(Event::ClientTrained(dummy.answer(order).expect("the order is for the dummy"))),
        Action::Measure(order) => {
            let loss = dummy.loss(order).expect("the order is for the dummy");
            Some(Event::LossMeasured { round: order.round, client: order.client, loss })
        }
        Action::Evaluate(EvaluationOrder { round, state, on }) => Some(match on {
            TestSamples::TestSet => Event::Evaluated { round: *round, evaluation: dummy.score(state), seconds: 0.0 },
            TestSamples::OfClients { .. } => Event::ClientsTested { round: *round, clients: dummy.score_clients(state), seconds: 0.0 },
        }),
        Action::Collect { .. } | Action::Revoke { .. } | Action::Record(_) | Action::Fail(_) => None,
    }
}

/// Answers every order at once, in the order in which they came, and returns everything recorded.
pub fn run_in_order(mut federation: Federation, dummy: &Dummy) -> Vec<Record> {
    let mut records = Vec::new();
    let mut events = std::collections::VecDeque::from([Event::Started]);
    while let Some(event) = events.pop_front() {
        for action in federation.step(NOW, event).expect("the events are in order") {
            events.extend(answer(dummy, &action));
            match action {
                Action::Record(record) => records.push(record),
                Action::Fail(failure) => panic!("{failure}"),
                Action::Train(_) | Action::Measure(_) | Action::Collect { .. } | Action::Revoke { .. } | Action::Evaluate(_) => {}
            }
        }
    }
    records
}

/// Returns the final model of a finished run.
pub fn final_state(records: &[Record]) -> &ModelState {
    match records.last() {
        Some(Record::Finished { state }) => state,
        other => panic!("the run ended with {other:?}"),
    }
}

pub fn bits(state: &ModelState) -> (Vec<u32>, Vec<i64>) {
    (state.floats.iter().map(|value| value.to_bits()).collect(), state.counters.clone())
}

/// Splits records into client records and round records: how the two interleave depends on when answers arrive.
pub fn by_kind(records: &[Record]) -> (Vec<Record>, Vec<Record>) {
    records.iter().cloned().partition(|record| matches!(record, Record::ClientTrained(_) | Record::ClientAbsent(_)))
}
