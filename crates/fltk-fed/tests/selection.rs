//! Tests of selections that remember earlier rounds: a run that is killed at any record selects the same clients and ends with the same bits.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::{Duration, FederatedConfig, ParticipationConfig},
    ids::{ClientId, Round},
    server_state::ServerState,
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, Event, Failure, Federation, ProtocolError, Record, TrainOrder},
};

use support::{
    NOW, bits, config, dummy, federation, final_state, order, run_in_order, setup,
    timed::{Does, check_killed_at_every_record, check_killed_measuring, drive, drive_measuring},
};

/// 3 of 12 clients in each of 15 rounds.
fn with(selection: Choice) -> FederatedConfig {
    FederatedConfig { rounds: 15, clients_per_round: 3, selection, ..config() }
}

/// Three of six candidates, by their losses of the current model.
fn by_current_losses() -> FederatedConfig {
    with(Choice::new("power_of_choice").with("candidates", 6).with("losses", "current"))
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

/// Of 12 candidates those with the largest losses of the global model with which the round begins; the dummy's losses are known in closed form.
#[test]
fn the_largest_losses_of_the_current_model_are_selected() {
    let dummy = dummy(12);
    let config = with(Choice::new("power_of_choice").with("candidates", 12).with("losses", "current"));
    let outcome = drive(federation(&config, &dummy), &dummy, &|_, _| Does::Answers(1), usize::MAX);
    let mut by_round: BTreeMap<Round, Vec<&TrainOrder>> = BTreeMap::new();
    outcome.orders.iter().for_each(|order| by_round.entry(order.round).or_default().push(order));
    assert_eq!(by_round.len(), 15);
    for (round, orders) in by_round {
        let losses = dummy.score_clients(&orders[0].state);
        let mut expected: Vec<ClientId> = losses.iter().map(|tested| tested.client).collect();
        expected.sort_by(|one, other| losses[other.0 as usize].loss.total_cmp(&losses[one.0 as usize].loss));
        expected.truncate(3);
        expected.sort_unstable();
        assert_eq!(orders.iter().map(|order| order.client).collect::<Vec<_>>(), expected, "{round}");
    }
}

#[test]
fn candidates_without_a_loss_are_absent_and_a_run_killed_at_any_record_repeats_that() {
    let dummy = dummy(12);
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: Some(Duration::from_millis(90)), over_select: 0.0 });
    let config = FederatedConfig { participation, ..by_current_losses() };
    let measuring = |round: Round, client: ClientId| match (round.0 * 31 + client.0 * 57) % 97 {
        0..20 => Does::Fails(1),
        20..30 => Does::NeverAnswers,
        delay => Does::Answers(delay.into()),
    };
    let run = check_killed_measuring(&config, &dummy, &|_, client| Does::Answers(u64::from(client.0) * 6), &measuring);
    let absences = |absence, reason: &str| {
        let is = |record: &&Record| matches!(record, Record::ClientAbsent(absent) if absent.absence == absence && absent.reason.as_deref() == Some(reason));
        run.records.iter().filter(is).count()
    };
    let counts = [absences(Absence::Unmeasured, "out of memory"), absences(Absence::Unmeasured, "no answer before the deadline")];
    assert!(counts.iter().all(|&count| count > 5), "{counts:?}");
    assert!(!run.revoked.is_empty());
    assert_eq!(cohorts(&run.records).len(), 15);
}

#[test]
fn answers_about_losses_are_no_answers_of_training() {
    let dummy = dummy(12);
    let mut federation = federation(&by_current_losses(), &dummy);
    let step = |federation: &mut Federation, event| federation.step(NOW, event);
    let begun = step(&mut federation, Event::Started).expect("it starts");
    let measures: Vec<&Action> = begun.iter().filter(|action| matches!(action, Action::Measure(_))).collect();
    assert_eq!(measures.len(), 6);
    assert!(!begun.iter().any(|action| matches!(action, Action::Train(_))));
    let client = |action: &Action| if let Action::Measure(order) = action { order.client } else { panic!("{action:?}") };
    let (round, first, last) = (Round(1), client(measures[0]), client(measures[5]));
    let measured = |client, loss| Event::LossMeasured { round, client, loss };
    let trained = Event::ClientTrained(dummy.answer(&order(&dummy, round, first)).expect("it is the dummy's"));
    let mut refused = |event| step(&mut federation, event).expect_err("it isn't awaited");
    assert_eq!(refused(trained), ProtocolError::NotTraining { round });
    assert!(matches!(refused(measured(first, f64::NAN)), ProtocolError::Number { what: "loss", .. }));
    assert!(matches!(refused(measured(ClientId(99), 1.0)), ProtocolError::UnknownClient { .. }));
    let other = (0..12).map(ClientId).find(|other| !measures.iter().any(|action| client(action) == *other)).expect("six aren't candidates");
    assert_eq!(refused(measured(other, 1.0)), ProtocolError::NotSelected { round, client: other });
    for action in &measures[..5] {
        assert!(step(&mut federation, measured(client(action), 1.0)).expect("it is awaited").is_empty());
    }
    assert_eq!(step(&mut federation, measured(first, 2.0)), Err(ProtocolError::Duplicate { round, client: first }));
    let trains = step(&mut federation, measured(last, 9.0)).expect("it is awaited");
    let selected: Vec<ClientId> =
        trains.iter().filter_map(|action| if let Action::Train(order) = action { Some(order.client) } else { None }).collect();
    assert!(selected.len() == 3 && selected.contains(&last), "{selected:?}");
    // A late one changes nothing.
    let late = step(&mut federation, measured(first, 2.0)).expect_err("the clients are selected");
    assert!(late == ProtocolError::LossPast { round, client: first } && late.is_lateness());
}

#[test]
fn without_participation_a_candidate_that_fails_ends_the_run() {
    let dummy = dummy(12);
    let failing = |_, client: ClientId| if client.0.is_multiple_of(2) { Does::Fails(0) } else { Does::Answers(0) };
    let outcome = drive_measuring(federation(&by_current_losses(), &dummy), &dummy, &|_, _| Does::Answers(0), &failing, usize::MAX);
    assert!(matches!(outcome.failure, Some(Failure::Client { round: Round(1), .. })), "{:?}", outcome.failure);
    // With it, too few are left in the end, and who is why is told.
    let participation = Some(ParticipationConfig { min_updates: 3, deadline: None, over_select: 0.0 });
    let config = FederatedConfig { participation, ..by_current_losses() };
    let outcome = drive_measuring(federation(&config, &dummy), &dummy, &|_, _| Does::Answers(0), &|_, _| Does::Fails(0), usize::MAX);
    let failure = outcome.failure.expect("nobody is left").to_string();
    assert!(failure.contains("6 measured no loss (client `") && failure.contains("out of memory"), "{failure}");
    assert_eq!(outcome.records.iter().filter(|record| matches!(record, Record::ClientAbsent(_))).count(), 6);
}
