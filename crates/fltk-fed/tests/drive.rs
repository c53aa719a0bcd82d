//! Tests of the loop over an unreliable transport: late, duplicate and malformed answers are refused, counted, and change no bit.

mod support;

use std::collections::VecDeque;

use fltk_core::ids::{ClientId, Round};
use fltk_fed::{
    drive::{Answer, RunError, Transport, TransportError, Wait, drive},
    dummy::Dummy,
    round::{Action, EvaluationOrder, Event, LossOrder, ProtocolError, Record, Timestamp, TrainOrder},
};

use support::{NOW, answer, bits, config, dummy, federation, final_state, run_in_order};

/// A transport that answers every order, after delivering the events that `disturb` makes of the answer.
struct Unreliable<'a> {
    dummy: &'a Dummy,
    answers: VecDeque<Event>,
    disturb: &'a dyn Fn(&Event) -> Vec<Event>,
    /// True if a refusal is a failure of the client or the evaluation.
    answers_once: bool,
}

impl Unreliable<'_> {
    fn answer(&mut self, action: &Action) {
        let event = answer(self.dummy, action).expect("an order has an answer");
        self.answers.extend((self.disturb)(&event));
        self.answers.push_back(event);
    }
}

impl Transport for Unreliable<'_> {
    fn train(&mut self, order: TrainOrder) -> Result<(), TransportError> {
        self.answer(&Action::Train(order));
        Ok(())
    }

    fn measure(&mut self, order: LossOrder) -> Result<(), TransportError> {
        self.answer(&Action::Measure(order));
        Ok(())
    }

    fn evaluate(&mut self, order: EvaluationOrder) -> Result<(), TransportError> {
        self.answer(&Action::Evaluate(order));
        Ok(())
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    fn receive(&mut self, _: Wait) -> Result<Option<Event>, TransportError> {
        self.answers.pop_front().map(Some).ok_or(TransportError::Abandoned)
    }

    fn revoke(&mut self, _: Round) {}

    fn refused(&mut self, answer: Answer, reason: &ProtocolError) -> Option<Event> {
        let Answer::Training { round, client } = answer else { return None };
        self.answers_once.then(|| Event::ClientFailed { round, client, reason: reason.complaint() })
    }
}

/// Returns the outcome of a run over the transport, and the records.
fn run(disturb: &dyn Fn(&Event) -> Vec<Event>, answers_once: bool) -> (Result<(), RunError>, Vec<Record>) {
    let (config, dummy) = (config(), dummy(12));
    let mut transport = Unreliable { dummy: &dummy, answers: VecDeque::new(), disturb, answers_once };
    let mut records = Vec::new();
    let outcome = drive(federation(&config, &dummy), &mut transport, &mut |record| {
        records.push(record.clone());
        Ok(())
    });
    (outcome.map(drop), records)
}

fn broken(event: &Event) -> Option<Event> {
    let mut event = event.clone();
    match &mut event {
        Event::ClientTrained(update) => update.state.floats[0] = f32::INFINITY,
        Event::Evaluated { evaluation, .. } => evaluation.accuracy = 1.5,
        _ => return None,
    }
    Some(event)
}

fn by_a_stranger(event: &Event) -> Option<Event> {
    let Event::ClientTrained(mut update) = event.clone() else { return None };
    update.client = ClientId(99);
    Some(Event::ClientTrained(update))
}

#[test]
fn refused_answers_change_no_bit() {
    let (config, dummy) = (config(), dummy(12));
    let whole = run_in_order(federation(&config, &dummy), &dummy);
    let disturb = |event: &Event| broken(event).into_iter().chain(by_a_stranger(event)).collect();
    let (outcome, records) = run(&disturb, false);
    outcome.expect("the run finishes");
    assert_eq!(bits(final_state(&records)), bits(final_state(&whole)));
    let refusals: Vec<u64> = records
        .iter()
        .filter_map(|record| if let Record::Refused { num_refused, .. } = record { Some(*num_refused) } else { None })
        .collect();
    // 6 rounds of 5 clients, two bad answers each, and one for each of the evaluations of rounds 0, 2, 4 and 6.
    assert_eq!(refusals, (1..=64).collect::<Vec<_>>());

    // Duplicates: the second of each is refused, except for those after the end.
    let (outcome, records) = run(&|event| vec![event.clone()], false);
    outcome.expect("the run finishes");
    assert_eq!(bits(final_state(&records)), bits(final_state(&whole)));
    let text: Vec<String> = records
        .iter()
        .filter_map(|record| if let Record::Refused { reason, .. } = record { Some(reason.to_string()) } else { None })
        .collect();
    assert!(text.len() >= 30, "{text:?}");
    assert!(text.iter().all(|text| text.contains("already") || text.contains("too late") || text.contains("is awaited")), "{text:?}");
}

#[test]
fn refusal_without_a_retry_is_a_failure() {
    let (outcome, _) = run(&|event| broken(event).into_iter().collect(), true);
    let text = outcome.expect_err("a client can't answer").to_string();
    assert!(text.contains("failed in round `1`: its update can't be used: element 0 of `weight` is inf"), "{text}");
    // An unknown client's answer is refused, and so is the failure that follows from the refusal, once; nothing else happens.
    let (outcome, records) = run(&|event| by_a_stranger(event).into_iter().collect(), true);
    outcome.expect("the run finishes");
    assert_eq!(records.iter().filter(|record| matches!(record, Record::Refused { .. })).count(), 60);
}
