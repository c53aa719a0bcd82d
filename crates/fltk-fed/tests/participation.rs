//! Tests of rounds in which not everybody counts: clients that fail, are late or are not needed, under a simulated clock.

mod support;

use std::collections::BTreeMap;

use fltk_core::{
    attendance::{Absence, Attendance, Attended},
    experiment::{Duration, FederatedConfig, ParticipationConfig},
    ids::{ClientId, Round},
};
use fltk_fed::{
    dummy::Dummy,
    round::{ClientRecord, Record},
};

use support::{
    bits, config, dummy, federation, final_state, run_in_order,
    timed::{Does, Outcome, check_killed_at_every_record, drive},
};

/// 5 of 12 clients in each of 6 rounds.
fn with(min_updates: u32, deadline_millis: Option<u64>, over_select: f64) -> FederatedConfig {
    let deadline = deadline_millis.map(Duration::from_millis);
    FederatedConfig { participation: Some(ParticipationConfig { min_updates, deadline, over_select }), ..config() }
}

/// A time from 0 to 96 ms that looks random.
fn delay(round: Round, client: ClientId) -> u64 {
    u64::from((round.0 * 31 + client.0 * 57) % 97)
}

/// The clients that counted, and those that didn't.
type Parts = (Vec<ClientId>, Vec<(ClientId, Absence)>);

/// The clients with a record, by round.
fn rounds(records: &[Record]) -> BTreeMap<Round, Parts> {
    let mut rounds: BTreeMap<Round, Parts> = BTreeMap::new();
    for record in records {
        match record {
            Record::ClientTrained(record) => rounds.entry(record.round).or_default().0.push(record.client),
            Record::ClientAbsent(record) => rounds.entry(record.round).or_default().1.push((record.client, record.absence)),
            _ => {}
        }
    }
    rounds
}

fn failure(config: &FederatedConfig, dummy: &Dummy, behavior: &dyn Fn(Round, ClientId) -> Does) -> String {
    let Outcome { failure, .. } = drive(federation(config, dummy), dummy, behavior, usize::MAX);
    failure.expect("it fails").to_string()
}

/// Fails where `client + round` is a multiple of 4.
fn some_fail(round: Round, client: ClientId) -> Does {
    if (round.0 + client.0).is_multiple_of(4) { Does::Fails(1) } else { Does::Answers(delay(round, client)) }
}

#[test]
fn without_failures_the_setting_changes_no_bit() {
    let dummy = dummy(12);
    let expected = run_in_order(federation(&config(), &dummy), &dummy);
    let found = drive(federation(&with(5, None, 0.0), &dummy), &dummy, &|round, client| Does::Answers(delay(round, client)), usize::MAX);
    assert_eq!(bits(final_state(&found.records)), bits(final_state(&expected)));
}

#[test]
fn failing_clients_cost_their_update_and_the_others_are_averaged() {
    let (config, dummy) = (with(1, None, 0.0), dummy(12));
    let run = check_killed_at_every_record(&config, &dummy, &some_fail);
    let mut num_failed = 0;
    for (round, (counted, absent)) in rounds(&run.records) {
        assert_eq!(counted.len() + absent.len(), 5);
        assert!(absent.iter().all(|(client, absence)| *absence == Absence::Failed && (round.0 + client.0).is_multiple_of(4)));
        num_failed += absent.len();
        let ended = run.records.iter().find_map(|record| match record {
            Record::RoundEnded(ended) if ended.round == round => Some(&ended.clients),
            _ => None,
        });
        assert_eq!(ended, Some(&counted));
    }
    assert!(num_failed >= 4, "{num_failed}");
}

/// The first round's next model is the mean of those that counted, weighted by their samples alone.
#[test]
fn weights_are_those_of_who_counted() {
    let (config, dummy) = (with(1, None, 0.0), dummy(12));
    let run = drive(federation(&FederatedConfig { rounds: 1, ..config }, &dummy), &dummy, &some_fail, usize::MAX);
    let (counted, absent) = rounds(&run.records)[&Round(1)].clone();
    assert!(!absent.is_empty() && counted.len() > 1);
    let of = |client: ClientId| run.orders.iter().find(|order| order.client == client).expect("it was ordered");
    let updates: Vec<_> = counted.iter().map(|&client| dummy.answer(of(client)).expect("it can train")).collect();
    let total: u64 = counted.iter().map(|client| dummy.samples[client.0 as usize]).sum();
    for (place, found) in final_state(&run.records).floats.iter().enumerate() {
        let weighted = updates
            .iter()
            .map(|update| dummy.samples[update.client.0 as usize] as f64 * f64::from(update.state.floats[place]))
            .sum::<f64>();
        assert!((f64::from(*found) - weighted / total as f64).abs() < 1e-6, "{place}");
    }
}

#[test]
fn first_answers_count_and_the_others_are_not_needed() {
    // 5 times 1.4 is 7 clients.
    let (config, dummy) = (with(5, None, 0.4), dummy(12));
    let run = check_killed_at_every_record(&config, &dummy, &|round, client| Does::Answers(delay(round, client)));
    for (round, (counted, absent)) in rounds(&run.records) {
        assert_eq!((counted.len(), absent.len()), (5, 2));
        assert!(absent.iter().all(|(_, absence)| *absence == Absence::Surplus));
        let last = counted.iter().map(|client| delay(round, *client)).max();
        assert!(absent.iter().all(|(client, _)| Some(delay(round, *client)) >= last), "{round}");
    }
    assert_eq!(run.orders.len(), 6 * 7);
    assert_eq!(run.revoked, (1..=6).map(Round).collect::<Vec<_>>());
}

#[test]
fn answers_after_the_deadline_do_not_count() {
    let (config, dummy) = (with(1, Some(50), 0.0), dummy(12));
    let silent = |round: Round, client: ClientId| match delay(round, client) {
        80.. => Does::NeverAnswers,
        delay => Does::Answers(delay),
    };
    let run = check_killed_at_every_record(&config, &dummy, &silent);
    let mut num_late = 0;
    for (round, (counted, absent)) in rounds(&run.records) {
        assert!(counted.iter().all(|client| delay(round, *client) <= 50), "{round}");
        assert!(absent.iter().all(|(client, absence)| delay(round, *client) > 50 && *absence == Absence::Late), "{round}");
        num_late += absent.len();
    }
    assert!(num_late >= 6, "{num_late}");
}

#[test]
fn failures_deadline_and_over_selection_together_are_repeated_after_a_kill() {
    let (config, dummy) = (with(2, Some(60), 1.0), dummy(12));
    let run = check_killed_at_every_record(&config, &dummy, &some_fail);
    let absences: Vec<Absence> = rounds(&run.records).into_values().flat_map(|(_, absent)| absent).map(|(_, absence)| absence).collect();
    for absence in [Absence::Failed, Absence::Late, Absence::Surplus] {
        assert!(absences.contains(&absence), "{absence:?} in {absences:?}");
    }
}

#[test]
fn rounds_with_too_few_updates_end_the_run() {
    let dummy = dummy(12);
    // Nobody answers from round 3 on.
    let silent = |round: Round, _| if round >= Round(3) { Does::NeverAnswers } else { Does::Answers(1) };
    assert_eq!(
        failure(&with(2, Some(50), 0.0), &dummy, &silent),
        "round `3` can't have the 2 updates that it needs, at most 0: of 5 selected clients 5 were late; \
         hint: raise `deadline`, lower `min_updates`, or select more clients"
    );
    let text = failure(&with(4, None, 0.0), &dummy, &|_, client| if client.0 < 8 { Does::Fails(1) } else { Does::Answers(1) });
    assert!(
        text.starts_with("round `1` can't have the 4 updates that it needs, at most 3: of 5 selected clients 2 failed (client `"),
        "{text}"
    );
    assert!(text.contains("`: out of memory); hint: "), "{text}");
    // One is enough unless more are asked for.
    let run = drive(federation(&with(1, None, 0.0), &dummy), &dummy, &some_fail, usize::MAX);
    assert_eq!(run.failure, None);
}

#[test]
fn without_the_setting_a_failing_client_ends_the_run() {
    let text = failure(&config(), &dummy(12), &some_fail);
    assert!(text.starts_with("client `") && text.ends_with(": out of memory"), "{text}");
}

/// A client that counted before has to count again, so its failure can't be ignored.
#[test]
fn a_client_that_counted_has_to_count_again() {
    let (config, dummy) = (with(1, Some(50), 0.0), dummy(12));
    let begun = drive(federation(&config, &dummy), &dummy, &|_, _| Does::Answers(1), 3).records;
    let counted = begun
        .iter()
        .find_map(|record| if let Record::ClientTrained(ClientRecord { client, .. }) = record { Some(*client) } else { None })
        .expect("one has a record");
    let resumed = support::timed::resume(&config, &dummy, &begun);
    let fails = |_, client| if client == counted { Does::Fails(1) } else { Does::Answers(1) };
    let text = drive(resumed, &dummy, &fails, usize::MAX).failure.expect("it fails").to_string();
    assert_eq!(text, format!("client `{counted}` failed in round `1`: out of memory"));
}

#[test]
fn a_record_of_another_cohort_is_refused() {
    let (config, dummy) = (with(1, None, 0.0), dummy(12));
    let selected: Vec<ClientId> =
        drive(federation(&config, &dummy), &dummy, &|_, _| Does::Answers(1), 1).orders.iter().map(|order| order.client).collect();
    let stranger = dummy.clients().find(|client| !selected.contains(client)).expect("12 is more than 5");
    let mut attendance = Attendance::default();
    attendance.note(Round(1), stranger, Attended::Counted { staleness: 0 });
    let run = drive(federation(&config, &dummy).repeating(attendance), &dummy, &|_, _| Does::Answers(1), usize::MAX);
    let text = run.failure.expect("it can't be repeated").to_string();
    assert_eq!(text, format!("round `1` can't be repeated: client `{stranger}` has a record of it, and isn't selected for it"));
}
