//! Tests of faults to order: drop-outs, crashes and attacks, in whole runs that are killed at every record.

mod support;

use std::collections::BTreeSet;

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::{CrashConfig, FaultsConfig, FederatedConfig, ParticipationConfig},
    ids::{ClientId, Round},
    model_state::ModelState,
};
use fltk_fed::{
    attack,
    dummy::Dummy,
    round::{Record, TrainOrder},
};

use support::{
    bits, config, dummy, federation, final_state, run_in_order, setup,
    timed::{Does, check_killed_at_every_record, drive, parts},
};

fn with(drop_out: f64, crash: Option<CrashConfig>, attack: Option<Choice>) -> FederatedConfig {
    FederatedConfig { faults: Some(FaultsConfig { drop_out, crash, attack }), ..config() }
}

/// Answers in the order of clients, or against it in every second round.
fn behavior(round: Round, client: ClientId) -> Does {
    Does::Answers(if round.0.is_multiple_of(2) { u64::from(client.0) } else { 20 - u64::from(client.0) })
}

fn absences(records: &[Record]) -> Vec<(Round, ClientId, Absence)> {
    let of = |record: &Record| {
        if let Record::ClientAbsent(record) = record { Some((record.round, record.client, record.absence)) } else { None }
    };
    records.iter().filter_map(of).collect()
}

#[test]
fn thirty_percent_drop_out_of_each_round_and_the_run_completes() {
    let dummy = dummy(12);
    let config = FederatedConfig { rounds: 40, ..with(0.3, None, None) };
    let run = check_killed_at_every_record(&config, &dummy, &behavior);
    let absences = absences(&run.records);
    assert!(absences.iter().all(|(_, _, absence)| *absence == Absence::DroppedOut));
    // Binomial(200, 0.3): mean 60, standard deviation 6.5; deviations of up to five times that are allowed.
    assert!((28..=92).contains(&absences.len()), "{}", absences.len());
    // No client that drops out is given an order, and it costs nothing but its update.
    assert_eq!(run.orders.len() + absences.len(), 200);
    assert_eq!(run.records.iter().filter(|record| matches!(record, Record::RoundEnded(_))).count(), 41);
}

#[test]
fn who_drops_out_does_not_depend_on_who_is_fast() {
    let (dummy, config) = (dummy(12), with(0.3, None, None));
    let expected = drive(federation(&config, &dummy), &dummy, &behavior, usize::MAX).records;
    for salt in 0..5 {
        let other = |round: Round, client: ClientId| Does::Answers(u64::from((round.0 * 7 + client.0 * 5 + salt) % 11));
        let found = drive(federation(&config, &dummy), &dummy, &other, usize::MAX).records;
        assert_eq!(bits(final_state(&found)), bits(final_state(&expected)));
        assert_eq!(parts(&found), parts(&expected));
    }
}

#[test]
fn crashed_clients_never_come_back() {
    let dummy = dummy(12);
    let crash = CrashConfig { fraction: 0.5, first_round: 2, last_round: Some(5) };
    let config = FederatedConfig { rounds: 20, clients_per_round: 9, ..with(0.0, Some(crash), None) };
    let run = check_killed_at_every_record(&config, &dummy, &behavior);
    let crashed: BTreeSet<ClientId> = absences(&run.records).iter().map(|(_, client, _)| *client).collect();
    assert_eq!(crashed.len(), 6);
    let mut answered_before = 0;
    for client in crashed {
        let first = absences(&run.records).iter().find(|(_, of, _)| *of == client).map(|(round, ..)| *round).expect("it crashed");
        assert!(first >= Round(2));
        let last = run.orders.iter().filter(|order| order.client == client).map(|order| order.round).max();
        assert!(last.is_none_or(|last| last < first), "client {client} answers in round {last:?}, and crashed in round {first}");
        answered_before += u32::from(last.is_some());
    }
    assert!(answered_before >= 3, "{answered_before}");
}

#[test]
fn too_many_drop_outs_end_the_run_at_once() {
    let dummy = dummy(12);
    let participation = Some(ParticipationConfig { min_updates: 5, deadline: None, over_select: 0.0 });
    let run = drive(federation(&FederatedConfig { participation, ..with(0.3, None, None) }, &dummy), &dummy, &behavior, usize::MAX);
    let text = run.failure.expect("five of five never answer for long").to_string();
    assert!(text.contains("can't have the 5 updates that it needs") && text.contains(" dropped out; hint: "), "{text}");
}

#[test]
fn over_selection_makes_up_for_drop_outs() {
    let dummy = dummy(12);
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: None, over_select: 1.0 });
    let config = FederatedConfig { rounds: 20, participation, ..with(0.3, None, None) };
    let run = check_killed_at_every_record(&config, &dummy, &behavior);
    let full = run.records.iter().filter(|record| matches!(record, Record::RoundEnded(ended) if ended.clients.len() == 5)).count();
    // Of 10 clients 7 answer on average; fewer than 5 do with a probability of 0.05.
    assert!(full >= 15, "{full}");
}

fn attack(name: &str, fraction: f64) -> Choice {
    Choice::new(name).with("fraction", fraction)
}

#[test]
fn every_attack_is_recorded_and_survives_a_kill() {
    let dummy = dummy(12);
    let honest = run_in_order(federation(&config(), &dummy), &dummy);
    for known in attack::CATALOGUE {
        let config = with(0.1, None, Some(attack(known.entry.entry.name, 0.34)));
        let malicious: Vec<ClientId> = setup(&config, &dummy).malicious().collect();
        assert_eq!(malicious.len(), 4);
        let run = check_killed_at_every_record(&config, &dummy, &behavior);
        for record in &run.records {
            if let Record::ClientTrained(record) = record {
                assert_eq!(record.malicious, malicious.contains(&record.client));
            }
        }
        let flips = |order: &TrainOrder| order.flips_labels;
        let is_label_flip = known.entry.entry.name == "label_flip";
        assert_eq!(run.orders.iter().any(flips), is_label_flip);
        assert!(run.orders.iter().filter(|order| order.flips_labels).all(|order| malicious.contains(&order.client)));
        assert_ne!(bits(final_state(&run.records)), bits(final_state(&honest)), "{known:?}");
    }
}

/// The parameters after one round of everybody under the plain mean, with this attack, and the honest models.
fn one_round(dummy: &Dummy, attack: Option<Choice>) -> (ModelState, Vec<ModelState>, Vec<ClientId>) {
    let strategy = Choice::new("FedAvg").with("weights", "uniform");
    let config = FederatedConfig { clients_per_round: 12, rounds: 1, strategy, ..with(0.0, None, attack) };
    let run = drive(federation(&config, dummy), dummy, &behavior, usize::MAX);
    let honest = run.orders.iter().map(|order| dummy.answer(order).expect("it can train").state).collect();
    (final_state(&run.records).clone(), honest, setup(&config, dummy).malicious().collect())
}

#[test]
fn the_mean_is_that_of_what_malicious_clients_send() {
    let dummy = dummy(12);
    let check = |attack: Choice, sent: &dyn Fn(f64, &[f64]) -> f64| {
        let (found, honest, malicious) = one_round(&dummy, Some(attack));
        // The last float is the buffer: nobody lies about it.
        for (place, found) in found.floats.iter().enumerate() {
            let value = |client: &ClientId| f64::from(honest[client.0 as usize].floats[place]);
            let known: Vec<f64> = malicious.iter().map(value).collect();
            let of = |client: ClientId| match malicious.contains(&client) {
                true if place < 17 => sent(value(&client), &known),
                _ => value(&client),
            };
            let expected = if place < 17 {
                dummy.clients().map(of).sum::<f64>() / 12.0
            } else {
                let samples = |client: ClientId| dummy.samples[client.0 as usize] as f64;
                dummy.clients().map(|client| samples(client) * of(client)).sum::<f64>() / dummy.clients().map(samples).sum::<f64>()
            };
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{place}: {found}, not {expected}");
        }
    };
    // The global model is 0, so a model is its change.
    check(attack("sign_flip", 0.25), &|honest, _| -honest);
    check(attack("scale", 0.25).with("factor", 12.0), &|honest, _| 12.0 * honest);
    check(attack("a_little_is_enough", 0.25).with("z", 1.5), &|_, known| {
        let mean = known.iter().sum::<f64>() / 3.0;
        mean - 1.5 * (known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 3.0).sqrt()
    });
}

#[test]
fn an_attack_that_overflows_is_a_failure_of_its_client() {
    let dummy = dummy(12);
    let attack = attack("scale", 0.25).with("factor", 1e60);
    let config = FederatedConfig { clients_per_round: 12, rounds: 2, ..with(0.0, None, Some(attack)) };
    let run = drive(federation(&config, &dummy), &dummy, &behavior, usize::MAX);
    let text = run.failure.expect("without `participation` everybody is needed").to_string();
    assert!(text.contains("its attack can't be used: element ") && text.contains("inf"), "{text}");
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: None, over_select: 0.0 });
    let run = check_killed_at_every_record(&FederatedConfig { participation, ..config }, &dummy, &behavior);
    assert!(absences(&run.records).iter().all(|(_, _, absence)| *absence == Absence::Failed));
    assert_eq!(absences(&run.records).len(), 6);
}
