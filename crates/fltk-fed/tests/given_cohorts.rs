//! Tests of the selection `file`: the clients of each round are those that are given, in an interrupted run too, and impossible ones are refused.

mod support;

use std::sync::Arc;

use fltk_core::{
    catalogue::Choice,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    server_state::ServerState,
};
use fltk_fed::round::{Federation, Record, Setup};
use support::{config, dummy, run_in_order, setup};

/// Six rounds of two clients, as a file gives them.
const COHORTS: [[u32; 2]; 6] = [[0, 1], [0, 1], [3, 11], [2, 4], [10, 11], [5, 0]];

fn given() -> FederatedConfig {
    let selection = Choice::new("file").with("path", "cohorts.json");
    FederatedConfig { clients_per_round: 2, selection, ..config() }
}

fn clients(cohorts: &[[u32; 2]]) -> Vec<Vec<ClientId>> {
    cohorts.iter().map(|cohort| cohort.iter().copied().map(ClientId).collect()).collect()
}

fn trained(records: &[Record]) -> Vec<(u32, u32)> {
    let client = |record: &Record| match record {
        Record::ClientTrained(trained) => Some((trained.round.0, trained.client.0)),
        _ => None,
    };
    records.iter().filter_map(client).collect()
}

#[test]
fn given_clients_train_in_their_round() {
    let dummy = dummy(12);
    let with = |cohorts| setup(&given(), &dummy).with_cohorts(cohorts);
    let whole = Federation::new(with(clients(&COHORTS)), Arc::new(dummy.initial())).expect("they are possible");
    let mut expected: Vec<(u32, u32)> = (1..).zip(COHORTS).flat_map(|(round, cohort)| cohort.map(|client| (round, client))).collect();
    expected.sort_unstable();
    let mut found = trained(&run_in_order(whole, &dummy));
    found.sort_unstable();
    assert_eq!(found, expected);
    // From round 5 on.
    let rest = Federation::resume(with(clients(&COHORTS)), Round(4), Arc::new(dummy.initial()), ServerState::default())
        .expect("they are possible");
    let mut found = trained(&run_in_order(rest, &dummy));
    found.sort_unstable();
    assert_eq!(found, expected[8..]);
}

#[test]
fn impossible_cohorts_are_refused() {
    let mut dummy = dummy(12);
    dummy.samples[11] = 0;
    let check = |cohorts: Vec<Vec<ClientId>>, round: u32| {
        let setup: Setup = setup(&given(), &dummy).with_cohorts(cohorts);
        let error = Federation::new(setup, Arc::new(dummy.initial())).expect_err("they are impossible").to_string();
        assert!(error.contains(&format!("`{round}`")), "{error}");
    };
    check(Vec::new(), 1);
    check(clients(&COHORTS[..2]), 3);
    // Client 11 has no samples.
    check(clients(&COHORTS), 3);
    let with = |round: usize, cohort: &[u32]| {
        let mut cohorts = clients(&[[0, 1]; 6]);
        cohorts[round - 1] = cohort.iter().copied().map(ClientId).collect();
        cohorts
    };
    check(with(2, &[0]), 2);
    check(with(4, &[3, 3]), 4);
    check(with(4, &[3, 3, 4]), 4);
    check(with(6, &[0, 12]), 6);
}
