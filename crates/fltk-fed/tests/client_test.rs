//! Evaluations of clients on test samples of their own, as a protocol: when they are due, what is recorded of them, and which answers are refused.

mod support;

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool},
};

use fltk_core::{
    catalogue::Choice,
    client_test::{ClientEvaluation, ClientFigures, ClientTestSummary},
    experiment::{ClientFigure, FederatedConfig},
    ids::{ClientId, Round},
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, EvaluationOrder, Event, Federation, ProtocolError, Record, TestSamples},
    transport::in_process,
};
use support::{NOW, answer, config, dummy, federation, final_state, run_in_order, setup};

/// Six rounds; the global model is evaluated after every second, clients after every third.
fn tested(figures: &[ClientFigure]) -> FederatedConfig {
    FederatedConfig { client_test_fraction: Some(0.2), client_test_every: Some(3), client_figures: Some(figures.to_vec()), ..config() }
}

/// The rounds whose records have `what`.
fn rounds(records: &[Record], what: impl Fn(&fltk_fed::round::RoundRecord) -> bool) -> Vec<u32> {
    let ended = records.iter().filter_map(|record| if let Record::RoundEnded(ended) = record { Some(ended) } else { None });
    ended.filter(|ended| what(ended)).map(|ended| ended.round.0).collect()
}

#[test]
fn clients_are_tested_every_so_many_rounds_and_only_what_may_be_recorded_is() {
    let dummy = dummy(12);
    let records = run_in_order(federation(&tested(&[ClientFigure::Accuracy]), &dummy), &dummy);
    assert_eq!(rounds(&records, |ended| ended.test.is_some()), [0, 2, 4, 6]);
    assert_eq!(rounds(&records, |ended| ended.client_test.is_some()), [0, 3, 6]);
    let last = ClientTestSummary::of(&dummy.score_clients(final_state(&records))).expect("12 clients");
    assert!(records.iter().any(|record| matches!(record, Record::RoundEnded(ended) if ended.client_test == Some(last))));

    // The rows of all clients come right before the end of their round.
    let places: Vec<usize> = (0..records.len()).filter(|&place| matches!(records[place], Record::ClientTested(_))).collect();
    assert_eq!(places.len(), 3 * 12);
    for of_round in places.chunks(12) {
        for (client, &place) in (0..).zip(of_round) {
            let Record::ClientTested(row) = &records[place] else { panic!("a row") };
            assert_eq!(row.client, ClientId(client));
            assert!(matches!(row.figures, ClientFigures { num_samples: None, loss: None, accuracy: Some(_) }), "{row:?}");
        }
        let Record::ClientTested(row) = &records[of_round[11]] else { panic!("a row") };
        assert!(matches!(&records[of_round[11] + 1], Record::RoundEnded(ended) if ended.round == row.round));
    }
}

#[test]
fn an_empty_list_leaves_the_summary() {
    let dummy = dummy(12);
    let records = run_in_order(federation(&tested(&[]), &dummy), &dummy);
    assert_eq!(rounds(&records, |ended| ended.client_test.is_some()), [0, 3, 6]);
    assert!(!records.iter().any(|record| matches!(record, Record::ClientTested(_))));
}

#[test]
fn without_own_samples_nobody_is_tested_and_by_default_they_are_when_the_global_model_is() {
    let dummy = dummy(12);
    let records = run_in_order(federation(&config(), &dummy), &dummy);
    assert_eq!(rounds(&records, |ended| ended.client_test.is_some()), Vec::<u32>::new());
    let config = FederatedConfig { client_test_every: None, client_figures: None, ..tested(&[]) };
    let records = run_in_order(federation(&config, &dummy), &dummy);
    assert_eq!(rounds(&records, |ended| ended.client_test.is_some()), [0, 2, 4, 6]);
    let row = records.iter().find_map(|record| if let Record::ClientTested(row) = record { Some(row.figures) } else { None });
    assert!(matches!(row, Some(ClientFigures { num_samples: Some(_), loss: Some(_), accuracy: Some(_) })), "{row:?}");
}

/// Trains to the end, answering the evaluations last, in an order of theirs.
fn run_with_late_evaluations(mut federation: Federation, dummy: &Dummy, reversed: bool) -> Vec<Record> {
    let (mut records, mut held) = (Vec::new(), Vec::new());
    let mut events = std::collections::VecDeque::from([Event::Started]);
    loop {
        let Some(event) = events.pop_front() else {
            if held.is_empty() {
                return records;
            }
            let next = if reversed { held.len() - 1 } else { 0 };
            events.push_back(held.remove(next));
            continue;
        };
        for action in federation.step(NOW, event).expect("the events are possible") {
            match &action {
                Action::Evaluate(_) => held.extend(answer(dummy, &action)),
                _ => events.extend(answer(dummy, &action)),
            }
            match action {
                Action::Record(record) => records.push(record),
                Action::Fail(failure) => panic!("{failure}"),
                _ => {}
            }
        }
    }
}

#[test]
fn records_are_the_same_whenever_evaluations_come() {
    let dummy = dummy(12);
    let config = tested(&ClientFigure::ALL);
    let expected = run_in_order(federation(&config, &dummy), &dummy);
    let of_rounds = |records: &[Record]| -> Vec<Record> {
        records.iter().filter(|record| !matches!(record, Record::ClientTrained(_))).cloned().collect()
    };
    for reversed in [false, true] {
        let found = run_with_late_evaluations(federation(&config, &dummy), &dummy, reversed);
        assert_eq!(of_rounds(&found), of_rounds(&expected));
    }
}

#[test]
fn on_threads_it_is_the_same_and_an_evaluator_without_such_samples_fails_the_run() {
    let dummy = dummy(12);
    let config = tested(&ClientFigure::ALL);
    let expected = run_in_order(federation(&config, &dummy), &dummy);
    let tests = |records: &[Record]| -> Vec<Record> {
        records.iter().filter(|record| matches!(record, Record::ClientTested(_))).cloned().collect()
    };
    let mut records = Vec::new();
    let mut observer = |record: &Record| {
        records.push(record.clone());
        Ok(())
    };
    let workers = NonZeroUsize::new(3).expect("not zero");
    let make = |_| Ok(Box::new(&dummy) as Box<dyn fltk_fed::client::ClientTrainer>);
    let stop = AtomicBool::new(false);
    in_process::run(federation(&config, &dummy), workers, &make, Box::new(&dummy), &stop, &mut observer).expect("it finishes");
    assert_eq!(tests(&records), tests(&expected));

    struct Global;
    impl fltk_fed::client::Evaluator for Global {
        fn evaluate(
            &mut self,
            _: Round,
            _: &fltk_core::model_state::ModelState,
        ) -> Result<fltk_core::metrics::Evaluation, fltk_fed::BoxError> {
            Ok(fltk_core::metrics::Evaluation { num_samples: 1, loss: 1.0, accuracy: 0.5, confusion: None })
        }
    }
    let error =
        in_process::run(federation(&config, &dummy), workers, &make, Box::new(Global), &stop, &mut |_| Ok(())).expect_err("it refuses");
    assert!(error.to_string().contains("no test samples of clients"), "{error}");
}

#[test]
fn answers_that_cannot_be_are_refused_and_change_nothing() {
    let dummy = dummy(12);
    let mut machine = federation(&tested(&ClientFigure::ALL), &dummy);
    machine.step(NOW, Event::Started).expect("it starts");
    let of = |client, num_samples, loss, accuracy| ClientEvaluation { client: ClientId(client), num_samples, loss, accuracy };
    let mut refusal = |round, clients: Vec<ClientEvaluation>, seconds| {
        machine
            .step(NOW, Event::ClientsTested { round: Round(round), clients, seconds })
            .map(|_| ())
            .expect_err("it is refused")
            .to_string()
    };
    for (clients, seconds, words) in [
        (vec![], 0.0, "its number of clients is 0"),
        (vec![of(12, 1, 1.0, 0.5)], 0.0, "client `12` is unknown"),
        (vec![of(3, 1, 1.0, 0.5), of(3, 1, 1.0, 0.5)], 0.0, "that of client `3` is out of order"),
        (vec![of(3, 1, 1.0, 0.5), of(2, 1, 1.0, 0.5)], 0.0, "that of client `2` is out of order"),
        (vec![of(3, 0, 1.0, 0.5)], 0.0, "its number of samples is 0"),
        (vec![of(3, u64::MAX, 1.0, 0.5)], 0.0, "its number of samples is"),
        (vec![of(3, 1, f64::NAN, 0.5)], 0.0, "its loss is NaN"),
        (vec![of(3, 1, 1.0, 1.5)], 0.0, "its accuracy is 1.5"),
        (vec![of(3, 1, 1.0, 0.5)], -1.0, "its time in seconds is -1"),
    ] {
        let found = refusal(0, clients, seconds);
        assert!(found.contains(words), "{found}");
    }
    let good = || vec![of(3, 1, 1.0, 0.5)];
    assert!(refusal(1, good(), 0.0).contains("no evaluation of round `1` is awaited"));
    machine.step(NOW, Event::ClientsTested { round: Round(0), clients: good(), seconds: 0.5 }).expect("it is due");
    let again = machine.step(NOW, Event::ClientsTested { round: Round(0), clients: good(), seconds: 0.5 });
    assert_eq!(again, Err(ProtocolError::NoEvaluationDue { round: Round(0) }));
    let failed = machine.step(NOW, Event::EvaluationFailed { round: Round(0), reason: "no memory".to_owned() }).expect("one is awaited");
    assert!(matches!(&failed[..], [Action::Fail(_)]), "{failed:?}");
}

/// Each order says from which round the state of each client is: that of the round itself, whatever has been trained meanwhile.
#[test]
fn orders_have_the_last_rounds_of_their_own_round() {
    let dummy = dummy(12);
    let config = FederatedConfig { strategy: Choice::new("SCAFFOLD").with("learning_rate", 1.0), ..tested(&[]) };
    let setup = setup(&config, &dummy);
    assert!(setup.clients_keep_state());
    let mut machine = Federation::new(setup, Arc::new(dummy.initial())).expect("it is possible");
    let (mut orders, mut counted) = (Vec::new(), Vec::new());
    let mut events = std::collections::VecDeque::from([Event::Started]);
    while let Some(event) = events.pop_front() {
        for action in machine.step(NOW, event).expect("the events are in order") {
            match &action {
                Action::Train(_) => {
                    let Some(Event::ClientTrained(update)) = answer(&dummy, &action) else { panic!("an answer") };
                    events.push_back(Event::ClientTrained(update.with_arrays([("control_change".to_owned(), vec![0.0; 17])].into())));
                }
                Action::Evaluate(EvaluationOrder { round, on: TestSamples::OfClients { server }, .. }) => {
                    orders.push((*round, Arc::clone(server)));
                    events.extend(answer(&dummy, &action));
                }
                Action::Record(Record::ClientTrained(trained)) => counted.push((trained.client, trained.round)),
                other => events.extend(answer(&dummy, other)),
            }
        }
    }
    assert_eq!(orders.iter().map(|(round, _)| round.0).collect::<Vec<_>>(), [0, 3, 6]);
    for (round, server) in orders {
        for client in (0..12).map(ClientId) {
            let rounds = counted.iter().filter(|(of, in_round)| *of == client && *in_round <= round).map(|(_, round)| *round);
            assert_eq!(server.last_round(client), rounds.max(), "client {client} after round {round}");
        }
    }
}
