use fltk_core::{
    attendance::Absence,
    client_test::{ClientFigures, ClientTestSummary},
    ids::{ClientId, Epoch, Round},
    metrics::{Evaluation, ParallelSummary, TrainSummary},
    milestone::Milestone,
    report::StepUnit,
};
use proptest::prelude::*;

use super::*;

/// [`super::replay`] for the journals of runs.
fn replay(path: &Path) -> Result<Replay, JournalError> {
    super::replay(path)
}

fn decode(bytes: &[u8], path: &Path) -> Result<Replay, JournalError> {
    super::decode(bytes, 0, path)
}

fn decode_line(line: &[u8], seq: u64) -> Result<Entry, LineProblem> {
    line::decode(line, seq)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn sample() -> Vec<RunEvent> {
    let train = TrainSummary { num_samples: 10, num_steps: 2, loss: Some(0.1 + 0.2) };
    let test = Evaluation { num_samples: 4, loss: f64::NAN, accuracy: 0.5, confusion: Some(vec![vec![1, 1], vec![1, 1]]) };
    vec![
        RunEvent::Started { from: Milestone::START, version: "0.1.0".into() },
        RunEvent::ClientTrained {
            round: Round(1),
            client: ClientId(3),
            train,
            seconds: 0.25,
            virtual_seconds: None,
            staleness: None,
            malicious: false,
        },
        RunEvent::ClientTrained {
            round: Round(1),
            client: ClientId(4),
            train,
            seconds: 0.25,
            virtual_seconds: None,
            staleness: None,
            malicious: true,
        },
        RunEvent::ClientAbsent { round: Round(1), client: ClientId(5), absence: Absence::Late, reason: None },
        RunEvent::ClientAbsent { round: Round(1), client: ClientId(6), absence: Absence::Failed, reason: Some("out of \"memory\"".into()) },
        RunEvent::ClientTested {
            round: Round(1),
            client: ClientId(3),
            test: ClientFigures { num_samples: Some(7), loss: Some(0.1 + 0.2), accuracy: None },
        },
        RunEvent::RoundEnded {
            round: Round(1),
            clients: vec![ClientId(3)],
            train: Some(train),
            learning_rate: 0.01,
            test: Some(test.clone()),
            client_test: Some(ClientTestSummary {
                num_clients: 3,
                num_samples: 30,
                accuracy: 0.1 + 0.2,
                worst_decile: 0.1,
                variance: 1e-300,
                weighted_accuracy: 1.0 / 3.0,
            }),
            train_seconds: 0.3,
            virtual_seconds: None,
            test_seconds: f64::INFINITY,
            sent_bytes: None,
        },
        RunEvent::EpochEnded {
            epoch: Epoch(1),
            train,
            learning_rate: -0.0,
            test,
            train_seconds: 1.0,
            test_seconds: 0.5,
            parallel: Some(ParallelSummary { ranks: 2, communication_seconds: 0.5, waiting_seconds: 0.25, sent_bytes: 8 }),
        },
        RunEvent::CheckpointSaved { at: 1.into(), parameters_sha256: "00ff".into() },
        RunEvent::CheckpointSaved { at: Milestone { completed: 1, steps: 5 }, parameters_sha256: "00ff".into() },
        RunEvent::Reported { unit: StepUnit::Step, step: 3, figures: [("a/b".to_owned(), 0.1 + 0.2), ("c".to_owned(), -0.0)].into() },
        RunEvent::ProgramEnded { seconds: 0.5 },
        RunEvent::Failed { reason: "no \"space\"\nleft \u{1f4a5}".into(), for_good: false },
        RunEvent::Finished { parameters_sha256: "00ff".into(), seconds: 1e-9 },
    ]
}

fn written(events: &[RunEvent]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for (second, event) in events.iter().enumerate() {
        journal.append(event, at(second as i64)).unwrap();
    }
    (folder, path)
}

/// NaN is not equal to itself, but its text is.
fn text(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{entry:?}")).collect()
}

#[test]
fn appended_events_are_replayed() {
    let (_folder, path) = written(&sample());
    let replay = replay(&path).unwrap();
    let expected: Vec<_> = sample().into_iter().enumerate().map(|(i, event)| Entry { seq: i as u64, at: at(i as i64), event }).collect();
    assert_eq!(text(&replay.entries), text(&expected));
    assert_eq!(replay.torn, None);
}

#[test]
fn all_kinds_of_events_are_known() {
    for event in sample() {
        let line = line::encode(0, at(0), &event).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert!(RunEvent::KINDS.contains(&value["event"].as_str().unwrap()), "{value}");
    }
}

#[test]
fn group_append_writes_the_same_bytes_as_single_appends() {
    let (_folder, path) = written(&[]);
    let (mut journal, _) = Journal::open_append(&path).unwrap();
    journal.append_all(&sample(), at(5)).unwrap();
    let (_other_folder, other) = written(&[]);
    let (mut journal, _) = Journal::open_append(&other).unwrap();
    for event in sample() {
        journal.append(&event, at(5)).unwrap();
    }
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(other).unwrap());
}

#[test]
fn truncated_journal_gives_a_prefix_and_can_continue() {
    let (_folder, path) = written(&sample());
    let bytes = std::fs::read(&path).unwrap();
    let whole = text(&replay(&path).unwrap().entries);
    for length in 0..=bytes.len() {
        let num_lines = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
        let cut = decode(&bytes[..length], &path).unwrap();
        assert_eq!(text(&cut.entries), whole[..num_lines], "cut at {length}");
        assert_eq!(cut.torn.is_some(), length > 0 && bytes[length - 1] != b'\n', "cut at {length}");

        // Opening for appending costs several syncs, so it is tried only at the ends of lines and at some bytes between.
        if length % 64 != 0 && cut.torn.is_some_and(|torn| torn.num_bytes > 1) {
            continue;
        }
        std::fs::write(&path, &bytes[..length]).unwrap();
        let (mut journal, opened) = Journal::open_append(&path).unwrap();
        assert_eq!(text(&opened.entries), text(&cut.entries));
        journal.append(&RunEvent::Started { from: Milestone::START, version: "2".into() }, at(99)).unwrap();
        let after = replay(&path).unwrap();
        assert_eq!((after.entries.len(), after.torn), (num_lines + 1, None), "cut at {length}");
        assert_eq!(after.entries[num_lines].event, RunEvent::Started { from: Milestone::START, version: "2".into() });
    }
}

#[test]
fn flipped_bits_are_detected() {
    let (_folder, path) = written(&sample());
    let bytes = std::fs::read(&path).unwrap();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            match decode(&flipped, &path) {
                Err(JournalError::Damaged { .. }) => {}
                // The last newline was hit: the line looks like an interrupted append.
                Ok(Replay { torn: Some(_), .. }) => assert_eq!(position, bytes.len() - 1),
                other => panic!("byte {position}, bit {bit}: {other:?}"),
            }
        }
    }
}

#[test]
fn missing_and_swapped_lines_are_detected() {
    let (_folder, path) = written(&sample());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let check = |lines: &[&str], line_expected: u64| {
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        match replay(&path) {
            Err(JournalError::Damaged { line, problem, .. }) => {
                assert_eq!(line, line_expected);
                assert!(problem.contains("was expected"), "{problem}");
            }
            other => panic!("{other:?}"),
        }
    };
    check(&[lines[0], lines[2]], 2);
    check(&[lines[0], lines[0]], 2);
    check(&[lines[1], lines[0]], 1);
}

fn sealed(body: &str) -> String {
    format!("{{\"crc\":\"{:08x}\",{body}\n", crc32c::crc32c(body.as_bytes()))
}

#[test]
fn events_of_newer_versions_are_named() {
    let (_folder, path) = written(&[]);
    std::fs::write(&path, sealed("\"seq\":0,\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"client_lost\",\"client\":3}")).unwrap();
    let error = replay(&path).unwrap_err();
    assert!(matches!(&error, JournalError::UnknownEvent { line: 1, event, .. } if event == "client_lost"), "{error}");
    assert!(error.to_string().contains("hint: it was written by a newer version"), "{error}");
}

#[test]
fn non_square_confusion_matrices_are_refused() {
    let (_folder, path) = written(&[]);
    let body = "\"seq\":0,\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"epoch_ended\",\"epoch\":1,\
        \"train\":{\"num_samples\":1,\"num_steps\":1,\"loss\":1},\"learning_rate\":1,\
        \"test\":{\"num_samples\":1,\"loss\":1,\"accuracy\":1,\"confusion\":[[1,0],[1]]},\"train_seconds\":1,\"test_seconds\":1}";
    std::fs::write(&path, sealed(body)).unwrap();
    let error = replay(&path).unwrap_err().to_string();
    assert!(error.contains("line 1: damaged: confusion matrix with 2 rows has a row of 1"), "{error}");
    std::fs::write(&path, sealed(&body.replace("[1]]", "[1,1]]"))).unwrap();
    assert_eq!(replay(&path).unwrap().entries.len(), 1);
}

#[test]
fn unreadable_events_are_not_written() {
    let (_folder, path) = written(&sample());
    let (mut journal, _) = Journal::open_append(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = journal.append(&RunEvent::Failed { reason: "x".repeat(LINE_BYTES_MAX), for_good: false }, at(0)).unwrap_err();
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // The event was refused before anything was written, so the journal can still be appended to.
    journal.append(&RunEvent::Failed { reason: "full".into(), for_good: false }, at(0)).unwrap();
}

proptest! {
    #[test]
    fn numbers_and_texts_round_trip(
        loss in any::<f64>(), accuracy in any::<f64>(), seconds in any::<f64>(), samples in any::<u64>(), text in ".*", nanos in any::<i32>(),
    ) {
        let train = TrainSummary { num_samples: samples, num_steps: samples, loss: Some(loss) };
        let test = Evaluation { num_samples: samples, loss, accuracy, confusion: None };
        let events = [
            RunEvent::EpochEnded { epoch: Epoch(1), train, learning_rate: loss, test, train_seconds: seconds, test_seconds: seconds, parallel: None },
            RunEvent::Failed { reason: text, for_good: false },
        ];
        for event in events {
            let time = Timestamp::from_nanosecond(i128::from(nanos) * 1_000_000_007).unwrap();
            let line = line::encode(9, time, &event).unwrap();
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let entry = decode_line(&line[..line.len() - 1], 9).unwrap();
            prop_assert_eq!(format!("{entry:?}"), format!("{:?}", Entry { seq: 9, at: time, event }));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_line(&bytes, 0);
        let mut line = b"{\"crc\":\"00000000\",".to_vec();
        line.extend_from_slice(&bytes);
        prop_assert!(decode_line(&line, 0).is_err());
    }
}
