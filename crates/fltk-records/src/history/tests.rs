use fltk_core::ids::Epoch;

use super::*;

fn started(from: u32) -> RunEvent {
    RunEvent::Started { from: from.into(), version: "0".into() }
}

fn epoch(epoch: u32, accuracy: f64) -> RunEvent {
    RunEvent::EpochEnded {
        epoch: Epoch(epoch),
        train: TrainSummary { num_samples: 10, num_steps: 1, loss: Some(1.0) },
        learning_rate: 0.1,
        test: Evaluation { num_samples: 5, loss: 1.0, accuracy, confusion: None },
        train_seconds: 2.0,
        test_seconds: 0.5,
        parallel: None,
    }
}

fn round(round: u32) -> RunEvent {
    RunEvent::RoundEnded {
        round: Round(round),
        clients: vec![],
        train: None,
        learning_rate: 0.1,
        test: None,
        client_test: None,
        train_seconds: 0.0,
        virtual_seconds: None,
        test_seconds: 0.0,
        sent_bytes: None,
    }
}

fn counted(round: u32, client: u32, staleness: Option<u32>) -> RunEvent {
    RunEvent::ClientTrained {
        round: Round(round),
        client: ClientId(client),
        train: TrainSummary { num_samples: 1, num_steps: 1, loss: Some(1.0) },
        seconds: 0.1,
        virtual_seconds: None,
        staleness,
        malicious: false,
    }
}

fn finished() -> RunEvent {
    RunEvent::Finished { parameters_sha256: "aa".into(), seconds: 9.0 }
}

fn fold(events: &[RunEvent]) -> Result<History, OrderError> {
    let entries: Vec<_> = (0..).zip(events).map(|(seq, event)| Entry { seq, at: Timestamp::UNIX_EPOCH, event: event.clone() }).collect();
    History::fold(&entries)
}

fn accuracies(history: &History) -> Vec<(u32, f64)> {
    history.rows().map(|row| (row.step, row.test.as_ref().unwrap().accuracy)).collect()
}

#[test]
fn resumption_voids_rows_after_its_checkpoint() {
    let saved = |at: u32| RunEvent::CheckpointSaved { at: at.into(), parameters_sha256: format!("{at:02}") };
    let before = [started(0), epoch(1, 0.1), epoch(2, 0.2), saved(2), epoch(3, 0.3), saved(3), finished()];
    let history = fold(&before).unwrap();
    assert_eq!(history.status(false), Status::Finished);
    assert_eq!(history.seconds(), (6.0, 1.5));

    let history = fold(&[&before[..], &[started(2), epoch(3, 0.9)]].concat()).unwrap();
    assert_eq!(accuracies(&history), [(1, 0.1), (2, 0.2), (3, 0.9)]);
    assert_eq!(history.checkpoints().keys().copied().collect::<Vec<_>>(), [2.into()]);
    assert_eq!((history.status(true), history.status(false)), (Status::Running, Status::Interrupted));
    assert_eq!(history.last_evaluated().unwrap().0.step, 3);

    let history = fold(&[&before[..], &[started(0), epoch(1, 0.5)]].concat()).unwrap();
    assert_eq!(accuracies(&history), [(1, 0.5)]);

    // Resumed within the third epoch: the two epochs before it stay.
    let within = Milestone { completed: 2, steps: 7 };
    let saved_within = RunEvent::CheckpointSaved { at: within, parameters_sha256: "07".into() };
    let resumed = RunEvent::Started { from: within, version: "0".into() };
    let events = [started(0), epoch(1, 0.1), epoch(2, 0.2), saved(2), saved_within, epoch(3, 0.3), saved(3), resumed];
    let history = fold(&events).unwrap();
    assert_eq!(accuracies(&history), [(1, 0.1), (2, 0.2)]);
    assert_eq!(history.checkpoints().keys().copied().collect::<Vec<_>>(), [2.into(), within]);
    // Resumed within the first epoch: nothing comes before it except its checkpoint.
    let within = Milestone { completed: 0, steps: 7 };
    let saved_within = RunEvent::CheckpointSaved { at: within, parameters_sha256: "07".into() };
    let resumed = RunEvent::Started { from: within, version: "0".into() };
    let history = fold(&[started(0), saved_within, epoch(1, 0.1), saved(1), resumed]).unwrap();
    assert_eq!((accuracies(&history), history.checkpoints().len()), (vec![], 1));
}

#[test]
fn repeated_row_replaces_the_first() {
    let entry = |seq, event| Entry { seq, at: Timestamp::UNIX_EPOCH, event };
    let mut history = fold(&[started(0), epoch(1, 0.1)]).unwrap();
    assert_eq!(history.apply(&entry(2, epoch(2, 0.2))), Ok(Change::RowAdded(2)));
    assert_eq!(history.apply(&entry(3, epoch(1, 0.7))), Ok(Change::Rewritten));
    assert_eq!(accuracies(&history), [(1, 0.7), (2, 0.2)]);
    assert_eq!(history.apply(&entry(4, finished())), Ok(Change::Ended));
}

#[test]
fn out_of_order_events_are_refused() {
    let check = |events: &[RunEvent], seq: u64, problem: &str| {
        let error = fold(events).unwrap_err();
        assert_eq!((error.seq, error.problem), (seq, problem));
        // A group of events is refused as a whole, with the number of the event that can't follow.
        assert_eq!(History::default().check(events), Err(error));
    };
    check(&[epoch(1, 0.0)], 0, "the run has not started");
    check(&[started(0), finished(), epoch(1, 0.0)], 2, "the run has ended");
    check(&[started(0), epoch(1, 0.0), round(2)], 2, "a run has rounds, epochs or steps, and no two of them");
    assert!(fold(&[started(0), finished(), started(1), epoch(2, 0.0)]).is_ok());
}

#[test]
fn control_characters_in_reasons_are_escaped() {
    let history = fold(&[started(0), RunEvent::Failed { reason: "a\x1b[2Jb\nc".into(), for_good: false }]).unwrap();
    assert!(matches!(history.end(), Some(End::Failed { reason, .. }) if reason == "a [2Jb c"));
}

#[test]
fn earlier_journals_have_no_loss_for_rounds_without_training() {
    let train = TrainSummary { num_samples: 0, num_steps: 0, loss: Some(0.0) };
    let client = RunEvent::ClientTrained {
        round: Round(1),
        client: ClientId(3),
        train,
        seconds: 0.1,
        virtual_seconds: None,
        staleness: None,
        malicious: false,
    };
    let history = fold(&[started(0), client]).unwrap();
    assert_eq!(history.clients()[&(Round(1), ClientId(3))].train.loss, None);
}

/// The clients of a round whose part is decided, and true for those that count.
fn decided(history: &History, round: u32) -> Vec<(u32, bool)> {
    let of_round = history.attendance().of(Round(round)).into_iter().flatten();
    of_round.map(|(client, attended)| (client.0, *attended == Attended::Counted { staleness: 0 })).collect()
}

#[test]
fn attendance_outlives_the_rows_of_an_interrupted_start() {
    let counted = |round, client| counted(round, client, None);
    let late =
        |round, client| RunEvent::ClientAbsent { round: Round(round), client: ClientId(client), absence: Absence::Late, reason: None };
    let saved = RunEvent::CheckpointSaved { at: 1.into(), parameters_sha256: "00".into() };
    let failed = RunEvent::Failed { reason: "too few".into(), for_good: false };
    let begun = [started(0), counted(1, 0), round(1), saved, counted(2, 0), late(2, 1), round(2), counted(3, 5), late(3, 6)];
    let history = fold(&begun).unwrap();
    assert_eq!((history.clients().len(), history.absences().len()), (3, 2));
    let expected = vec![(0, true), (1, false)];
    assert_eq!(decided(&history, 2), expected);

    // The rows after the checkpoint are void, and what was decided isn't: twice, as the second start is interrupted too.
    let again = [&begun[..], &[started(1), started(1)]].concat();
    let history = fold(&again).unwrap();
    assert_eq!((history.clients().len(), history.absences().len()), (1, 0));
    assert_eq!((decided(&history, 2), decided(&history, 3)), (expected.clone(), vec![(5, true), (6, false)]));

    // A round that made the run fail may be decided anew; one that ended in any start may not.
    let history = fold(&[&again[..], &[failed, started(1)]].concat()).unwrap();
    assert_eq!((decided(&history, 2), decided(&history, 3)), (expected, vec![]));
}

#[test]
fn tests_of_clients_after_the_checkpoint_are_void() {
    let tested = |round, client, accuracy| RunEvent::ClientTested {
        round: Round(round),
        client: ClientId(client),
        test: ClientFigures { num_samples: None, loss: None, accuracy: Some(accuracy) },
    };
    let of = |history: &History| -> Vec<(u32, u32, f64)> {
        history.client_tests().iter().map(|((round, client), test)| (round.0, client.0, test.accuracy.unwrap())).collect()
    };
    let begun = [started(0), tested(0, 1, 0.1), round(0), tested(1, 1, 0.2), round(1), tested(2, 1, 0.3), tested(2, 4, 0.4)];
    assert_eq!(of(&fold(&begun).unwrap()), [(0, 1, 0.1), (1, 1, 0.2), (2, 1, 0.3), (2, 4, 0.4)]);
    let resumed = fold(&[&begun[..], &[started(1), tested(2, 1, 0.5)]].concat()).unwrap();
    assert_eq!(of(&resumed), [(0, 1, 0.1), (1, 1, 0.2), (2, 1, 0.5)]);
    assert_eq!(of(&fold(&[&begun[..], &[started(0)]].concat()).unwrap()), []);
    assert!(fold(&[started(0), epoch(1, 0.5), tested(2, 1, 0.5)]).is_err(), "a run has rounds or epochs");
}

/// The remains of a round that never ended would mix with what the next start decides anew.
#[test]
fn parts_of_asynchronous_rounds_that_never_ended_are_forgotten_at_the_next_start() {
    let counted = |round, client| counted(round, client, Some(0));
    let begun = [started(0), counted(1, 0), counted(1, 3), round(1), counted(2, 5)];
    let history = fold(&begun).unwrap();
    assert_eq!(decided(&history, 2), [(5, true)]);
    let history = fold(&[&begun[..], &[started(0), counted(2, 6)]].concat()).unwrap();
    assert_eq!((decided(&history, 1), decided(&history, 2)), (vec![(0, true), (3, true)], vec![(6, true)]));
}

#[test]
fn nodes_come_and_leave_and_a_killed_federator_loses_them() {
    let joined = |node: &str| RunEvent::NodeJoined {
        node: node.into(),
        name: format!("lab-{node}"),
        processor: "x".into(),
        workers: 2,
        client: None,
        num_samples: None,
        ago_seconds: 0.0,
    };
    let left = |node: &str, num_updates, reason: Option<&str>| RunEvent::NodeLeft {
        node: node.into(),
        num_updates,
        busy_seconds: 1.5,
        bytes_sent: 10,
        bytes_received: 20,
        reason: reason.map(str::to_owned),
        ago_seconds: 0.0,
    };
    let events = [
        started(0),
        joined("a"),
        joined("b"),
        left("a", 3, Some("its\u{1b}connection ended")),
        joined("a"),
        left("unknown", 1, None),
        round(1),
        started(1),
        joined("a"),
        left("a", 4, None),
    ];
    let history = fold(&events).unwrap();
    let stays: Vec<_> = history
        .nodes()
        .iter()
        .map(|stay| (&stay.node[..], stay.end.as_ref().map(|end| (end.num_updates, end.reason.as_deref()))))
        .collect();
    let interrupted = Some("the federator was interrupted");
    let expected = [
        ("a", Some((3, Some("its connection ended")))),
        ("b", Some((0, interrupted))),
        ("a", Some((0, interrupted))),
        ("a", Some((4, None))),
    ];
    assert_eq!(stays, expected);
    assert!(history.nodes()[1].end.as_ref().is_some_and(|end| end.left_at.is_none()));
    assert_eq!(fold(&events[..3]).unwrap().nodes()[1].end, None);
}

#[test]
fn nodes_joined_when_they_did_and_not_when_it_was_recorded() {
    let joined = |ago_seconds| RunEvent::NodeJoined {
        node: "a".into(),
        name: "lab".into(),
        processor: "x".into(),
        workers: 2,
        client: Some("north".into()),
        num_samples: Some(7),
        ago_seconds,
    };
    let joined_at = |ago_seconds| fold(&[started(0), joined(ago_seconds)]).unwrap().nodes()[0].joined_at;
    assert_eq!(joined_at(0.0).duration_since(joined_at(12.5)).as_secs_f64(), 12.5);
    // A file may say anything.
    for impossible in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert_eq!(joined_at(impossible), joined_at(0.0), "{impossible}");
    }
}

fn reported(unit: StepUnit, step: u32, name: &str, value: f64) -> RunEvent {
    RunEvent::Reported { unit, step, figures: [(name.to_owned(), value)].into() }
}

#[test]
fn reported_figures_of_a_step_are_put_together() {
    let events = [
        started(0),
        reported(StepUnit::Epoch, 1, "accuracy", 0.5),
        reported(StepUnit::Epoch, 1, "learning_rate", 0.1),
        reported(StepUnit::Epoch, 2, "wer", 7.0),
        // The program goes on by its own checkpoint, and repeats a step.
        started(2),
        reported(StepUnit::Epoch, 1, "accuracy", 0.75),
        RunEvent::ProgramEnded { seconds: 2.0 },
    ];
    let history = fold(&events).unwrap();
    let row = |step| history.row(step).unwrap();
    assert_eq!((row(1).accuracy(), row(1).learning_rate, row(1).loss()), (Some(0.75), Some(0.1), None));
    assert_eq!((row(2).accuracy(), row(2).other_figures().collect::<Vec<_>>()), (None, vec![("wer", 7.0)]));
    assert_eq!(history.unit(), Some(Unit::Epoch));
    assert_eq!(history.end(), Some(&End::Finished { at: Timestamp::UNIX_EPOCH, parameters_sha256: None, seconds: 2.0 }));
    let error = fold(&[started(0), reported(StepUnit::Epoch, 1, "a", 1.0), reported(StepUnit::Step, 1, "a", 1.0)]).unwrap_err();
    assert_eq!(error.problem, "a run has rounds, epochs or steps, and no two of them");
}

#[test]
fn details_of_clients_and_classes_can_be_dropped() {
    let test = ClientFigures { num_samples: None, loss: None, accuracy: Some(0.5) };
    let tested = RunEvent::ClientTested { round: Round(1), client: ClientId(1), test };
    let absent = RunEvent::ClientAbsent { round: Round(1), client: ClientId(7), absence: Absence::Late, reason: None };
    let events = [started(0), counted(1, 0, None), absent, tested, round(1)];
    let full = fold(&events).unwrap();
    let lean = full.clone().without_details();
    assert!(lean.clients().is_empty() && lean.absences().is_empty() && lean.client_tests().is_empty());
    assert!(lean.rows().all(|row| row.test.as_ref().is_none_or(|test| test.confusion.is_none())));
    assert_eq!((lean.unit(), lean.rows().count()), (full.unit(), full.rows().count()));
    // Before its first row, only clients tell what the steps of a run are.
    let early = fold(&events[..2]).unwrap();
    assert_eq!((early.unit(), early.clone().without_details().unit()), (Some(Unit::Round), Some(Unit::Round)));
}
