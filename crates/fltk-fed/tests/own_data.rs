//! Tests of clients that have data of their own, and come and go: rounds wait for them, and whoever is away isn't selected.

mod support;

use std::collections::VecDeque;

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::{Clients, DataPlace, FederatedConfig},
    ids::{ClientId, Round},
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, Event, Federation, Record, Setup},
};

use support::{NOW, RATES, SEED, answer, bits, dummy, federation, final_state, run_in_order, setup};

/// 6 clients with names, 2 a round, 4 rounds, of whom 3 have to be there.
fn config() -> FederatedConfig {
    let clients = Clients::Named((0..6).map(|client| format!("hospital-{client}")).collect());
    FederatedConfig { clients, data: DataPlace::Here, min_available: Some(3), max_samples: Some(500), ..FederatedConfig::new(6, 2, 4) }
}

fn came(dummy: &Dummy, client: u32) -> Event {
    Event::ClientCame { client: ClientId(client), num_samples: dummy.samples[client as usize] }
}

/// Passes an event, and the answers to all orders that follow, and returns the records.
fn run(federation: &mut Federation, dummy: &Dummy, event: Event) -> Vec<Record> {
    let (mut events, mut records) = (VecDeque::from([event]), Vec::new());
    while let Some(event) = events.pop_front() {
        for action in federation.step(NOW, event).expect("it is awaited") {
            match action {
                Action::Record(record) => records.push(record),
                action => events.extend(answer(dummy, &action)),
            }
        }
    }
    records
}

fn rounds(records: &[Record]) -> Vec<(Round, Vec<ClientId>)> {
    let of = |record: &Record| match record {
        Record::RoundEnded(round) if round.round.0 > 0 => Some((round.round, round.clients.clone())),
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

fn away(records: &[Record]) -> Vec<(Round, ClientId)> {
    let of = |record: &Record| match record {
        Record::ClientAbsent(absent) if absent.absence == Absence::Away => Some((absent.round, absent.client)),
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

#[test]
fn rounds_begin_once_enough_are_there_and_never_select_who_is_away() {
    let dummy = dummy(6);
    let mut federation = federation(&config(), &dummy);
    assert!(rounds(&run(&mut federation, &dummy, Event::Started)).is_empty());
    for client in [5, 1] {
        assert_eq!(run(&mut federation, &dummy, came(&dummy, client)), [], "two aren't enough");
    }
    assert_eq!(run(&mut federation, &dummy, Event::ClientLeft { client: ClientId(1) }), []);
    assert_eq!(run(&mut federation, &dummy, came(&dummy, 2)), [], "one has gone");
    // One that has nothing to train on, and one that isn't there at all, change nothing.
    assert_eq!(run(&mut federation, &dummy, Event::ClientCame { client: ClientId(3), num_samples: 0 }), []);
    assert_eq!(run(&mut federation, &dummy, Event::ClientCame { client: ClientId(6), num_samples: 9 }), []);
    let records = run(&mut federation, &dummy, came(&dummy, 4));
    let trained = rounds(&records);
    assert_eq!(trained.iter().map(|(round, _)| round.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(
        trained.iter().all(|(_, clients)| clients.len() == 2 && clients.iter().all(|client| [2, 4, 5].contains(&client.0))),
        "{trained:?}"
    );
    let expected: Vec<(Round, ClientId)> = (1..=4).flat_map(|round| [0, 1, 3].map(|client| (Round(round), ClientId(client)))).collect();
    assert_eq!(away(&records), expected);
}

#[test]
fn who_leaves_and_comes_between_rounds_is_away_in_between() {
    let dummy = dummy(6);
    let mut federation = federation(&FederatedConfig { min_available: None, ..config() }, &dummy);
    let _ = run(&mut federation, &dummy, Event::Started);
    let _ = run(&mut federation, &dummy, came(&dummy, 0));
    // Answers are held back: others come and go in the middle of a round.
    let mut orders: VecDeque<Action> = federation.step(NOW, came(&dummy, 1)).expect("it is awaited").into();
    let mut records = Vec::new();
    let mut num_trained = 0;
    while let Some(action) = orders.pop_front() {
        let Some(event) = answer(&dummy, &action) else {
            records.extend(if let Action::Record(record) = action { Some(record) } else { None });
            continue;
        };
        if let Event::ClientTrained(update) = &event {
            num_trained += 1;
            if num_trained == 1 {
                // It is still trained, and counts.
                let left = federation.step(NOW, Event::ClientLeft { client: update.client }).expect("it is possible");
                assert_eq!(left, []);
                assert_eq!(federation.step(NOW, came(&dummy, 3)).expect("it is possible"), []);
            }
        }
        orders.extend(federation.step(NOW, event).expect("it is awaited"));
    }
    let trained = rounds(&records);
    assert_eq!(trained[0].1, [ClientId(0), ClientId(1)], "who left in the middle of the round counts in it");
    assert!(trained[1..].iter().all(|(_, clients)| !clients.contains(&ClientId(0)) && clients.contains(&ClientId(3))), "{trained:?}");
    assert_eq!(trained.len(), 4);
}

#[test]
fn claimed_samples_are_capped_and_the_model_is_the_one_of_clients_with_so_many() {
    let dummy = dummy(6);
    let capped: Vec<u64> = dummy.samples.iter().map(|samples| (*samples).min(500)).collect();
    assert_ne!(capped, dummy.samples);
    let mut own = federation(&FederatedConfig { min_available: Some(6), ..config() }, &dummy);
    let mut records = run(&mut own, &dummy, Event::Started);
    for client in 0..6 {
        records.extend(run(&mut own, &dummy, came(&dummy, client)));
    }
    let usual = Setup::new(FederatedConfig::new(6, 2, 4), RATES, SEED, capped, 3).expect("the settings are possible");
    let usual = Federation::new(usual, std::sync::Arc::new(dummy.initial())).expect("the dummy's state is sound");
    assert_eq!(bits(final_state(&records)), bits(final_state(&run_in_order(usual, &dummy))));
}

#[test]
fn clients_of_other_runs_neither_come_nor_go() {
    let dummy = dummy(12);
    let mut federation = federation(&support::config(), &dummy);
    assert!(federation.step(NOW, Event::Started).is_ok());
    let begun = federation.clone();
    for event in [came(&dummy, 3), Event::ClientLeft { client: ClientId(3) }] {
        assert_eq!(federation.step(NOW, event), Ok(Vec::new()));
        assert_eq!(federation, begun);
    }
}

#[test]
fn what_is_not_possible_is_refused() {
    let dummy = dummy(6);
    for (strategy, expected) in [
        (
            Choice::new("FLTrust"),
            "under `FLTrust`, the server trains itself, and the clients' data isn't there; hint: use another strategy with `data: here`",
        ),
        (
            Choice::new("FedBuff").with("buffer_size", 2),
            "the strategy `FedBuff` is asynchronous: clients with data of their own need rounds that begin together",
        ),
    ] {
        let config = FederatedConfig { strategy, ..config() };
        let refused = Setup::new(config, RATES, SEED, dummy.samples.clone(), 3).expect_err(expected);
        assert_eq!(refused.to_string(), expected);
    }
    assert!(setup(&config(), &dummy).has_own_data());
}
