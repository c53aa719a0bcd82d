//! Whole runs over simulated nodes and a network that delays, doubles and loses messages, in simulated time.

mod world;

use std::{collections::VecDeque, sync::Arc};

use fltk_core::{
    catalogue::Choice,
    experiment::{Duration, FederatedConfig, ParticipationConfig},
    model_state::ModelState,
    schedule::LearningRates,
    seed::Seed,
};
use fltk_fed::{
    client::with_state,
    compression::Compression,
    dummy::Dummy,
    round::{Action, ClientUpdate, EvaluationOrder, Event, Federation, Record, Setup, TestSamples, Timestamp, TrainOrder},
};
use proptest::prelude::*;

use self::world::{End, World};

const SEED: Seed = Seed(42);

fn dummy() -> Dummy {
    Dummy::new(SEED, 5, (0..12).map(|client| 1 + client % 5).collect())
}

fn config(strategy: &str) -> FederatedConfig {
    FederatedConfig { evaluate_every: 2, strategy: Choice::new(strategy), ..FederatedConfig::new(12, 7, 4) }
}

fn federation(config: &FederatedConfig, dummy: &Dummy) -> Federation {
    let rates = LearningRates { initial: 0.1, scheduler: None };
    let setup = Setup::new(config.clone(), rates, SEED, dummy.samples.clone(), 3).expect("the settings are possible");
    Federation::new(setup, Arc::new(dummy.initial())).expect("the dummy's state is sound")
}

fn evaluated(dummy: &Dummy, order: &EvaluationOrder) -> Event {
    let EvaluationOrder { round, state, on } = order;
    match on {
        TestSamples::TestSet => Event::Evaluated { round: *round, evaluation: dummy.score(state), seconds: 0.0 },
        TestSamples::OfClients { .. } => Event::ClientsTested { round: *round, clients: dummy.score_clients(state), seconds: 0.0 },
    }
}

/// Trains a client, and compresses its update.
fn trained(dummy: &Dummy, order: &TrainOrder, compression: Option<&Compression>) -> ClientUpdate {
    let answer = with_state(None, compression, order, |_| dummy.answer(order));
    answer.expect("it is the dummy's")
}

/// Runs without nodes: each order is answered at once.
fn in_order(mut federation: Federation, dummy: &Dummy) -> Arc<ModelState> {
    let compression = federation.setup().compression().cloned();
    let mut events = VecDeque::from([Event::Started]);
    while let Some(event) = events.pop_front() {
        for action in federation.step(Timestamp::default(), event).expect("the events are in order") {
            match action {
                Action::Train(order) => events.push_back(Event::ClientTrained(trained(dummy, &order, compression.as_ref()).stays())),
                Action::Measure(order) => {
                    let loss = dummy.loss(&order).expect("it is the dummy's");
                    events.push_back(Event::LossMeasured { round: order.round, client: order.client, loss });
                }
                Action::Evaluate(order) => events.push_back(evaluated(dummy, &order)),
                Action::Record(Record::Finished { state }) => return state,
                Action::Fail(failure) => panic!("{failure}"),
                Action::Record(_) | Action::Collect { .. } | Action::Revoke { .. } => {}
            }
        }
    }
    panic!("the run never ends")
}

fn bits(state: &ModelState) -> (Vec<u32>, Vec<i64>) {
    (state.floats.iter().map(|value| value.to_bits()).collect(), state.counters.clone())
}

/// Checks that a run over the network that follows from `seed` ends with the bits of a run without one.
fn check_bits(config: &FederatedConfig, seed: u64) {
    let dummy = dummy();
    let expected = in_order(federation(config, &dummy), &dummy);
    match World::new(federation(config, &dummy), &dummy, seed).run() {
        End::Finished(state) => assert_eq!(bits(&state), bits(&expected), "seed {seed}"),
        End::Failed(failure) => panic!("seed {seed}: {failure}"),
        // A single node had sent something that the round can't use, and there was nobody else.
        End::Unusable => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_model_is_the_one_of_a_run_in_order(seed: u64, strategy in 0_usize..6) {
        let config = match ["FedAvg", "FedNova", "Krum", "power of choice", "fp16", "int8"][strategy] {
            form @ ("fp16" | "int8") => FederatedConfig { compression: Some(Choice::new(form)), ..config("FedAvg") },
            "power of choice" => FederatedConfig { selection: Choice::new("power_of_choice").with("candidates", 9), ..config("FedAvg") },
            strategy => config(strategy),
        };
        check_bits(&config, seed);
    }

    #[test]
    fn runs_end_if_not_everybody_has_to_answer(seed: u64, has_deadline: bool, is_asynchronous: bool) {
        let deadline = has_deadline.then(|| Duration::from_millis(20_000));
        let participation = Some(ParticipationConfig { min_updates: 1, deadline, over_select: 0.5 });
        let strategy = Choice::new("FedBuff").with("buffer_size", 3);
        let config = if is_asynchronous { FederatedConfig { strategy, ..config("FedAvg") } } else { FederatedConfig { participation, ..config("FedAvg") } };
        let dummy = dummy();
        let _ = World::new(federation(&config, &dummy), &dummy, seed).run();
    }
}
