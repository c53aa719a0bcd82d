//! Asynchronous strategies on the wall clock: what it decided is repeated by a run that goes on after an interruption.

mod support;

use std::collections::BTreeMap;

use fltk_core::{catalogue::Choice, experiment::FederatedConfig, ids::Round};
use fltk_fed::round::{ClientRecord, Record, RoundRecord};

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
