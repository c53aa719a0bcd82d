//! Tests of updates that are ready at another place: they count as soon as they are ready, and are brought when their turn comes.

mod support;

use std::{collections::BTreeMap, time::Duration};

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::{FaultsConfig, FederatedConfig, ParticipationConfig},
    ids::{ClientId, Round},
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, ClientUpdate, Event, Failure, Federation, ProtocolError, Record, Timestamp},
};
use proptest::prelude::*;

use support::{answer, bits, config, dummy, federation, final_state, run_in_order};

/// The updates of clients at another place, and what became of the run.
#[derive(Default)]
struct Elsewhere {
    /// By round and client, as they are ready.
    ready: BTreeMap<(Round, ClientId), ClientUpdate>,
    /// Those that were asked for and aren't here.
    num_on_their_way: usize,
    /// The largest number of updates that were asked for, or here and not recorded yet.
    num_held_max: usize,
    num_held: usize,
    records: Vec<Record>,
    failure: Option<Failure>,
}

/// Runs to the end: what is ready, and what is brought, comes after a time that `delay` draws; the update that `lost` names fails on its way.
fn run(mut federation: Federation, dummy: &Dummy, delay: &mut dyn FnMut() -> u64, lost: &dyn Fn(Round, ClientId) -> bool) -> Elsewhere {
    let mut outcome = Elsewhere::default();
    let mut events = BTreeMap::from([((0, 0), Event::Started)]);
    let mut num_events = 0_u64;
    while let Some(((now, _), event)) = events.pop_first() {
        let mut later = |event| {
            num_events += 1;
            events.insert((now + delay(), num_events), event);
        };
        if let Event::ClientTrained(_) | Event::ClientFailed { .. } = event {
            outcome.num_on_their_way -= 1;
        }
        let actions = match federation.step(Timestamp(Duration::from_millis(now)), event) {
            Ok(actions) => actions,
            Err(refusal) => {
                assert!(refusal.is_lateness(), "{refusal}");
                continue;
            }
        };
        for action in actions {
            match action {
                Action::Train(order) => {
                    let update = dummy.answer(&order).expect("the order is for the dummy");
                    let (round, client) = (order.round, order.client);
                    outcome.ready.insert((round, client), update);
                    later(Event::ClientReady { round, client });
                }
                Action::Collect { round, client } => {
                    let update = outcome.ready.remove(&(round, client)).expect("each is asked for once");
                    outcome.num_on_their_way += 1;
                    outcome.num_held += 1;
                    outcome.num_held_max = outcome.num_held_max.max(outcome.num_held);
                    later(match lost(round, client) {
                        true => Event::ClientFailed { round, client, reason: "its machine is gone".to_owned() },
                        false => Event::ClientTrained(update),
                    });
                }
                Action::Record(record) => {
                    let settles = matches!(record, Record::ClientTrained(_))
                        || matches!(&record, Record::ClientAbsent(absent) if absent.absence == Absence::Failed);
                    outcome.num_held -= usize::from(settles);
                    outcome.records.push(record);
                }
                Action::Fail(failure) => {
                    outcome.failure = Some(failure);
                    return outcome;
                }
                other => {
                    if let Some(event) = answer(dummy, &other) {
                        later(event);
                    }
                }
            }
        }
    }
    outcome
}

proptest! {
    #[test]
    fn whatever_comes_first_the_model_is_the_same_and_few_updates_are_held(delays in proptest::collection::vec(0_u64..50, 300)) {
        for strategy in ["FedAvg", "FedNova", "Krum"] {
            let strategy = Choice::new(strategy);
            let config = FederatedConfig { strategy, ..config() };
            let dummy = dummy(12);
            let mut delays = delays.iter().copied().cycle();
            let outcome = run(federation(&config, &dummy), &dummy, &mut || delays.next().expect("it goes on"), &|_, _| false);
            prop_assert_eq!(outcome.num_on_their_way, 0);
            // Records of a round's last updates come after the orders of the next round.
            prop_assert!(outcome.num_held_max <= 4, "{}", outcome.num_held_max);
            let here = run_in_order(federation(&config, &dummy), &dummy);
            prop_assert_eq!(bits(final_state(&outcome.records)), bits(final_state(&here)));
        }
    }
}

#[test]
fn who_is_ready_first_counts_whatever_is_brought_first() {
    let config =
        FederatedConfig { participation: Some(ParticipationConfig { min_updates: 3, deadline: None, over_select: 0.6 }), ..config() };
    let dummy = dummy(12);
    let mut federation = federation(&config, &dummy);
    let now = Timestamp::default();
    let actions = federation.step(now, Event::Started).expect("it starts");
    let orders: Vec<_> = actions.iter().filter_map(|action| if let Action::Train(order) = action { Some(order) } else { None }).collect();
    assert_eq!(orders.len(), 8);
    let round = Round(1);
    // The last five are ready first: the three before them, and whatever they still say, don't count.
    let mut asked = Vec::new();
    for order in orders[3..].iter().rev() {
        let actions = federation.step(now, Event::ClientReady { round, client: order.client }).expect("it is awaited");
        asked
            .extend(actions.into_iter().filter_map(|action| if let Action::Collect { client, .. } = action { Some(client) } else { None }));
    }
    assert_eq!(asked, [orders[3].client, orders[4].client], "those whose turn it is");
    let refused = federation.step(now, Event::ClientReady { round, client: orders[0].client });
    assert!(matches!(refused, Err(ProtocolError::Absent { absence: Absence::Surplus, .. })), "{refused:?}");
    let refused = federation.step(now, Event::ClientReady { round, client: orders[5].client });
    assert!(matches!(refused, Err(ProtocolError::Duplicate { .. })), "{refused:?}");
    // Of the two that are on their way, the later comes first: nothing can be added yet.
    let bring = |order: &_| Event::ClientTrained(dummy.answer(order).expect("the order is for the dummy"));
    assert_eq!(federation.step(now, bring(orders[4])).expect("it is awaited"), []);
    let next = federation.step(now, bring(orders[3])).expect("it is awaited");
    assert!(matches!(next[..2], [Action::Collect { .. }, Action::Collect { .. }]), "{next:?}");
    let twice = federation.step(now, bring(orders[3]));
    assert!(matches!(twice, Err(ProtocolError::Duplicate { .. })), "{twice:?}");
}

#[test]
fn an_update_that_is_lost_on_its_way_costs_no_more_than_itself() {
    let config =
        FederatedConfig { participation: Some(ParticipationConfig { min_updates: 4, deadline: None, over_select: 0.0 }), ..config() };
    let dummy = dummy(12);
    let is_lost = |round: Round, client: ClientId| round == Round(2) && client.0 < 3;
    let outcome = run(federation(&config, &dummy), &dummy, &mut || 1, &is_lost);
    let lost: Vec<_> = outcome.records.iter().filter(|record| matches!(record, Record::ClientAbsent(_))).collect();
    match outcome.failure {
        // More than one of the round's five were lost.
        Some(failure) => assert!(matches!(failure, Failure::TooFewUpdates { min_updates: 4, .. }), "{failure}"),
        None => assert!(lost.len() <= 1, "{lost:?}"),
    }
    // Without `participation`, every client has to count.
    let all = run(federation(&support::config(), &dummy), &dummy, &mut || 1, &|round, _| round == Round(3));
    let failure = all.failure.expect("it fails").to_string();
    assert!(failure.contains("its machine is gone") && failure.contains("round `3`"), "{failure}");
}

#[test]
fn malicious_clients_that_agree_wait_for_all_updates() {
    let attack = Some(Choice::new("a_little_is_enough").with("fraction", 0.2));
    let config = FederatedConfig { faults: Some(FaultsConfig { drop_out: 0.0, crash: None, attack }), ..config() };
    let dummy = dummy(12);
    let mut delays = [9, 3, 7, 1, 8, 2].into_iter().cycle();
    let outcome = run(federation(&config, &dummy), &dummy, &mut || delays.next().expect("it goes on"), &|_, _| false);
    let here = run_in_order(federation(&config, &dummy), &dummy);
    assert_eq!(bits(final_state(&outcome.records)), bits(final_state(&here)));
}
