//! Asynchronous strategies on the wall clock: what it decided is repeated by a run that goes on after an interruption.

mod support;

use std::collections::BTreeMap;

use fltk_core::{catalogue::Choice, experiment::FederatedConfig, ids::Round};
use fltk_fed::round::{ClientRecord, Failure, Record, RoundRecord};

use support::{
    config, dummy, federation,
    timed::{Behavior, Does, drive, resume},
};

/// The updates of the rounds that have all of theirs, and the records of these rounds without times.
fn ended(records: &[Record]) -> BTreeMap<Round, (Vec<ClientRecord>, RoundRecord)> {
    let parts = |round| {
        let of = |record: &Record| if let Record::ClientTrained(record) = record { Some(record.clone()) } else { None };
        records.iter().filter_map(of).filter(|record| record.round == round).collect()
    };
    let end = |record: &Record| match record {
        Record::RoundEnded(record) => Some((record.round, (parts(record.round), RoundRecord { train_seconds: 0.0, ..record.clone() }))),
        _ => None,
    };
    records.iter().filter_map(end).collect()
}

#[test]
fn rounds_that_ended_are_repeated_whatever_the_clock_says() {
    let dummy = dummy(12);
    for strategy in [Choice::new("FedBuff").with("buffer_size", 3), Choice::new("FedAsync")] {
        let config = FederatedConfig { rounds: 12, strategy, evaluate_every: 1, ..config() };
        // Some fail, and answers come in any order.
        let behavior: &Behavior<'_> = &|round, client| match (round.0 * 31 + client.0 * 57) % 97 {
            90.. => Does::Fails(3),
            delay => Does::Answers(delay.into()),
        };
        let contrary: &Behavior<'_> = &|round, client| Does::Answers(u64::from((client.0 * 13 + round.0 * 7) % 29));
        let whole = drive(federation(&config, &dummy), &dummy, behavior, usize::MAX);
        assert_eq!(whole.failure, None);
        let other = drive(federation(&config, &dummy), &dummy, contrary, usize::MAX);
        assert_ne!(ended(&other.records), ended(&whole.records), "the clock decides");
        let mut num_repeated = 0;
        for stop_at in 1..whole.records.len() {
            let begun = drive(federation(&config, &dummy), &dummy, behavior, stop_at).records;
            let resumed = drive(resume(&config, &dummy, &begun), &dummy, contrary, usize::MAX);
            assert_eq!(resumed.failure, None, "killed after {stop_at} records");
            let (repeated, before) = (ended(&resumed.records), ended(&begun));
            for (round, expected) in before {
                let Some(found) = repeated.get(&round).filter(|_| round.0 > 0) else { continue };
                assert_eq!(found, &expected, "round {round}, killed after {stop_at} records");
                num_repeated += 1;
            }
            let is_trained = begun.iter().any(|record| matches!(record, Record::Checkpoint { round: Round(12), .. }));
            assert_eq!(repeated.last_key_value().map(|(round, _)| round.0), if is_trained { None } else { Some(12) });
        }
        assert!(num_repeated > 20, "{num_repeated}");
    }
}

/// Answers that count in later rounds come before a checkpoint of a run that repeats them; it is killed again, and the third start repeats them, too.
#[test]
fn a_second_interruption_loses_nothing_that_is_to_be_repeated() {
    let dummy = dummy(12);
    let strategy = Choice::new("FedBuff").with("buffer_size", 2);
    let config = FederatedConfig { rounds: 12, strategy, evaluate_every: 1, ..config() };
    // One client is slow, and so counts in later rounds than it begins in.
    let behavior: &Behavior<'_> =
        &|round, client| Does::Answers(if client.0 % 4 == 1 { 40 } else { 5 + u64::from((round.0 + client.0) % 7) });
    let at_once: &Behavior<'_> = &|_, client| Does::Answers(client.0.into());
    let begun = drive(federation(&config, &dummy), &dummy, behavior, usize::MAX).records;
    let end_of = |records: &[Record], round| {
        records.iter().position(|record| matches!(record, Record::RoundEnded(ended) if ended.round == Round(round))).expect("it ended")
    };
    // Of three checkpoints, the first; everything until round 11 is recorded.
    let first = begun.iter().position(|record| matches!(record, Record::Checkpoint { .. })).expect("there is one");
    let until = end_of(&begun, 11);
    let mut known: Vec<Record> = begun[..=first].to_vec();
    known.extend(begun[first + 1..=until].iter().filter(|record| !matches!(record, Record::Checkpoint { .. })).cloned());
    let second = drive(resume(&config, &dummy, &known), &dummy, at_once, usize::MAX).records;
    let checkpoint = second.iter().position(|record| matches!(record, Record::Checkpoint { .. })).expect("there is one");
    known.extend(second[..=checkpoint].iter().cloned());
    let third = drive(resume(&config, &dummy, &known), &dummy, at_once, usize::MAX);
    assert_eq!(third.failure, None);
    let (expected, found) = (ended(&begun), ended(&third.records));
    let repeated: Vec<_> = found.keys().filter(|round| round.0 <= 11).collect();
    assert!(repeated.len() >= 4 && repeated.iter().all(|round| found[round] == expected[round]), "{repeated:?}");
    assert!(expected.values().any(|(parts, _)| parts.iter().any(|part| part.staleness > Some(2))));
}

/// The trainer of a client that counted fails in the repetition: the run ends, instead of waiting for it for ever.
#[test]
fn a_client_that_counted_and_fails_ends_the_run() {
    let dummy = dummy(12);
    let config = FederatedConfig { rounds: 6, strategy: Choice::new("FedBuff").with("buffer_size", 3), evaluate_every: 1, ..config() };
    let answers: &Behavior<'_> = &|_, client| Does::Answers(client.0.into());
    let begun = drive(federation(&config, &dummy), &dummy, answers, usize::MAX).records;
    let until = begun.iter().position(|record| matches!(record, Record::RoundEnded(ended) if ended.round == Round(2))).expect("it ended");
    let resumed = drive(resume(&config, &dummy, &begun[..=until]), &dummy, &|_, _| Does::Fails(1), usize::MAX);
    assert!(matches!(resumed.failure, Some(Failure::Client { round: Round(1), .. })), "{:?}", resumed.failure);
}
