//! Tests of rounds under robust rules: a client that fails costs its update, and the server may train beside the clients.

mod support;

use std::{collections::VecDeque, sync::Arc};

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    server_state::ServerState,
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, Event, Failure, Federation, Record, Setup, TrainOrder},
};

use support::{NOW, RATES, SEED, answer, bits, config, dummy, federation, final_state};

/// Answers every order, but for those that `fails`, whose clients fail. Returns what was recorded, or why the run failed.
fn run(mut federation: Federation, dummy: &Dummy, fails: &dyn Fn(&TrainOrder) -> bool) -> Result<Vec<Record>, Failure> {
    let (mut records, mut events) = (Vec::new(), VecDeque::from([Event::Started]));
    while let Some(event) = events.pop_front() {
        for action in federation.step(NOW, event).expect("the events are in order") {
            match action {
                Action::Train(order) if fails(&order) => {
                    let (round, client) = (order.round, order.client);
                    events.push_back(Event::ClientFailed { round, client, reason: "its update isn't finite".to_owned() });
                }
                Action::Record(record) => records.push(record),
                Action::Fail(failure) => return Err(failure),
                action => events.extend(answer(dummy, &action)),
            }
        }
    }
    Ok(records)
}

fn with(strategy: Choice) -> FederatedConfig {
    FederatedConfig { strategy, ..config() }
}

#[test]
fn robust_rules_go_on_without_clients_that_fail() {
    let dummy = dummy(12);
    let start = |strategy| federation(&with(strategy), &dummy);
    // Two of five may fail in a round: more than half are left.
    let fails = |order: &TrainOrder| order.client.0 < 2;
    for strategy in [Choice::new("Median"), Choice::new("GeometricMedian"), Choice::new("NormClipping").with("max_norm", 5.0)] {
        let records = run(start(strategy.clone()), &dummy, &fails).expect("it goes on");
        let absent =
            |record: &Record| matches!(record, Record::ClientAbsent(absent) if absent.absence == Absence::Failed && absent.client.0 < 2);
        assert!(records.iter().any(absent), "{strategy:?}");
        let ended =
            records.iter().filter(|record| matches!(record, Record::RoundEnded(ended) if ended.clients.iter().all(|client| client.0 >= 2)));
        assert_eq!(ended.count(), 7, "{strategy:?}");
        let _ = final_state(&records);
    }
    // Others don't, and no rule goes on with fewer updates than it needs: Krum has 2f + 3 = 5, which are all.
    assert!(matches!(run(start(Choice::new("FedAvg")), &dummy, &fails), Err(Failure::Client { .. })));
    let failed = run(start(Choice::new("Krum").with("f", 1)), &dummy, &fails);
    assert!(matches!(failed, Err(Failure::TooFewUpdates { min_updates: 5, at_most: 4, .. })), "{failed:?}");
    run(start(Choice::new("Krum").with("f", 0)), &dummy, &fails).expect("3 updates are enough");
}

/// 12 clients, and the server, whose samples are those of the dummy's last client.
fn trusting(dummy: &Dummy) -> Setup {
    let samples = dummy.samples[..12].to_vec();
    Setup::new(with(Choice::new("FLTrust")), RATES, SEED, samples, 2).expect("the settings are possible")
}

#[test]
fn the_server_trains_beside_the_clients_and_is_none_of_them() {
    let dummy = dummy(13);
    let new = || Federation::new(trusting(&dummy), Arc::new(dummy.initial())).expect("it is sound");
    let whole = run(new(), &dummy, &|_| false).expect("it goes on");
    let of_root = |record: &Record| match record {
        Record::ClientTrained(trained) => trained.client == ClientId(12),
        Record::RoundEnded(ended) => ended.clients.contains(&ClientId(12)) || !(ended.clients.is_empty() || ended.clients.len() == 5),
        _ => false,
    };
    assert!(!whole.iter().any(of_root), "the server isn't recorded as a client");
    assert_ne!(bits(final_state(&whole)), bits(&dummy.initial()));

    // It goes on from any checkpoint with the same bits.
    let mut num_resumed = 0;
    for record in &whole {
        let Record::Checkpoint { round, state, server, .. } = record else { continue };
        let resumed = Federation::resume(trusting(&dummy), *round, Arc::clone(state), ServerState::clone(server)).expect("it is sound");
        assert_eq!(bits(final_state(&run(resumed, &dummy, &|_| false).expect("it goes on"))), bits(final_state(&whole)));
        num_resumed += 1;
    }
    assert_eq!(num_resumed, 3);

    // Clients may fail, and the server mustn't.
    run(new(), &dummy, &|order| order.client.0 < 2).expect("it goes on");
    let most = run(new(), &dummy, &|order| order.client.0 < 9);
    assert!(matches!(most, Err(Failure::TooFewUpdates { min_updates: 3, .. })), "{most:?}");
    let failed = run(new(), &dummy, &|order| order.client == ClientId(12) && order.round == Round(2));
    assert!(matches!(failed, Err(Failure::Client { client: ClientId(12), round: Round(2), .. })), "{failed:?}");
    let mut federation = new();
    let actions = federation.step(NOW, Event::Started).expect("it has not been started");
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Train(_))).count(), 6);
    let unknown = Event::ClientFailed { round: Round(1), client: ClientId(13), reason: String::new() };
    assert!(federation.step(NOW, unknown).is_err());
}
