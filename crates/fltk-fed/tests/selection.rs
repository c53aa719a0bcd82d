//! Tests of selections that remember earlier rounds: a run that is killed at any record selects the same clients and ends with the same bits.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    catalogue::Choice,
    experiment::{Duration, FederatedConfig, ParticipationConfig},
    ids::{ClientId, Round},
    server_state::ServerState,
};
use fltk_fed::{
    dummy::Dummy,
    round::{Federation, Record},
};

use support::{
    bits, config, dummy, federation, final_state, run_in_order, setup,
    timed::{Does, check_killed_at_every_record},
};

/// 3 of 12 clients in each of 15 rounds.
fn with(selection: Choice) -> FederatedConfig {
    FederatedConfig { rounds: 15, clients_per_round: 3, selection, ..config() }
}

fn remembering() -> [Choice; 2] {
    // The dummy's clients take 1 to 5 steps.
    [
        Choice::new("power_of_choice").with("candidates", 6),
        Choice::new("oort").with("pacer_step", 2).with("window", 3).with("epsilon_decay", 0.7),
    ]
}

/// The clients that counted, by round.
fn cohorts(records: &[Record]) -> BTreeMap<Round, Vec<ClientId>> {
    let mut cohorts: BTreeMap<Round, Vec<ClientId>> = BTreeMap::new();
    for record in records {
        if let Record::ClientTrained(record) = record {
            cohorts.entry(record.round).or_default().push(record.client);
        }
    }
    cohorts
}

#[test]
fn killed_at_every_record_it_ends_with_the_same_bits() {
    let dummy = dummy(12);
    for selection in remembering() {
        let run = check_killed_at_every_record(&with(selection), &dummy, &|_, client| Does::Answers(u64::from(client.0) % 5));
        assert_eq!(cohorts(&run.records).len(), 15);
    }
}

#[test]
fn only_updates_that_count_are_remembered() {
    let dummy = dummy(12);
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: Some(Duration::from_millis(60)), over_select: 0.6 });
    // Five are selected, and the first three in time count.
    let behavior = |round: Round, client: ClientId| match (round.0 * 31 + client.0 * 57) % 97 {
        90.. => Does::Fails(1),
        delay => Does::Answers(delay.into()),
    };
    for selection in remembering() {
        let config = FederatedConfig { participation, ..with(selection) };
        let run = check_killed_at_every_record(&config, &dummy, &behavior);
        let mut last_rounds = vec![0.0; 12];
        for (round, cohort) in cohorts(&run.records) {
            cohort.iter().for_each(|client| last_rounds[client.0 as usize] = f64::from(round.0));
        }
        let server =
            run.records.iter().rev().find_map(|record| if let Record::Checkpoint { server, .. } = record { Some(server) } else { None });
        assert_eq!(server.expect("the last round has one").arrays["selection.round"], last_rounds);
        assert!(run.records.iter().any(|record| matches!(record, Record::ClientAbsent(_))));
    }
}

#[test]
fn what_is_remembered_decides() {
    let dummy = dummy(12);
    for selection in remembering() {
        let config = with(selection);
        let whole = run_in_order(federation(&config, &dummy), &dummy);
        let (mut num_resumed, mut num_different) = (0, 0);
        for record in &whole {
            let Record::Checkpoint { round, state, server, .. } = record else { continue };
            let resume = |server| {
                let resumed = Federation::resume(setup(&config, &dummy), *round, Arc::clone(state), server).expect("it is sound");
                bits(final_state(&run_in_order(resumed, &dummy)))
            };
            assert_eq!(resume(server.as_ref().clone()), bits(final_state(&whole)));
            num_resumed += 1;
            num_different += u32::from(resume(ServerState::default()) != bits(final_state(&whole)));
        }
        // Only after the last round nothing is left to decide.
        assert_eq!((num_resumed, num_different), (5, 4), "{:?}", config.selection);
    }
}

/// The dummy's loss is larger the farther a client's target is from the model.
#[test]
fn clients_that_never_counted_have_their_turn_and_then_those_with_large_losses() {
    let dummy: Dummy = dummy(12);
    let config = with(Choice::new("power_of_choice").with("candidates", 12));
    let records = run_in_order(federation(&config, &dummy), &dummy);
    let mut losses: BTreeMap<ClientId, f64> = BTreeMap::new();
    let mut of_round: BTreeMap<Round, Vec<(ClientId, f64)>> = BTreeMap::new();
    for record in &records {
        if let Record::ClientTrained(record) = record {
            of_round.entry(record.round).or_default().push((record.client, record.train.loss.expect("it took steps")));
        }
    }
    for (round, reports) in of_round {
        let chosen: Vec<ClientId> = reports.iter().map(|(client, _)| *client).collect();
        if round.0 <= 4 {
            assert!(chosen.iter().all(|client| !losses.contains_key(client)), "{round}: {chosen:?}");
        } else {
            let mut expected: Vec<ClientId> = losses.keys().copied().collect();
            expected.sort_by(|one, other| losses[other].total_cmp(&losses[one]));
            expected.truncate(3);
            expected.sort_unstable();
            assert_eq!(chosen, expected, "{round}");
        }
        losses.extend(reports);
    }
}

#[test]
fn clients_take_turns_in_a_run() {
    let mut dummy = dummy(12);
    dummy.samples[4] = 0;
    let run = run_in_order(federation(&with(Choice::new("cyclic")), &dummy), &dummy);
    let first: Vec<u32> = cohorts(&run).into_values().take(4).flatten().map(|client| client.0).collect();
    assert_eq!(first, [0, 1, 2, 3, 5, 6, 7, 8, 9, 0, 10, 11]);
}
