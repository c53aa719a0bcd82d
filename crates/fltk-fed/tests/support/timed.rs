//! A driver with a simulated clock: each client answers after a time of its own, fails or stays silent. Runs can be killed at any record and
//! resumed, with a clock that decides otherwise.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use fltk_core::{
    attendance::{Absence, Attendance, Attended},
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    server_state::ServerState,
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, Event, Failure, Federation, Record, Timestamp, TrainOrder},
};

use super::{answer, bits, final_state, setup};

/// A client's reaction to an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    /// An answer after so many milliseconds.
    Answers(u64),
    /// A failure after so many milliseconds.
    Fails(u64),
    /// No answer.
    NeverAnswers,
}

pub type Behavior<'a> = dyn Fn(Round, ClientId) -> Does + 'a;

/// The outcome of a run.
pub struct Outcome {
    pub records: Vec<Record>,
    pub orders: Vec<TrainOrder>,
    /// The rounds that ended while somebody hadn't answered.
    pub revoked: Vec<Round>,
    /// The failure that ended it, if one did.
    pub failure: Option<Failure>,
}

/// Drives `federation` to its end, or until it has made `stop_at` records.
pub fn drive(federation: Federation, dummy: &Dummy, behavior: &Behavior<'_>, stop_at: usize) -> Outcome {
    drive_measuring(federation, dummy, behavior, &|_, _| Does::Answers(0), stop_at)
}

/// The same, where candidates react to orders to measure a loss as `measuring` says.
pub fn drive_measuring(
    mut federation: Federation,
    dummy: &Dummy,
    behavior: &Behavior<'_>,
    measuring: &Behavior<'_>,
    stop_at: usize,
) -> Outcome {
    let (mut outcome, mut now) = (Outcome { records: Vec::new(), orders: Vec::new(), revoked: Vec::new(), failure: None }, 0_u64);
    // Answers by time; those of one time in the order of their orders.
    let mut answers: BTreeMap<u64, VecDeque<Event>> = BTreeMap::new();
    let mut next = Some(Event::Started);
    while let Some(event) = next {
        let is_deadline = matches!(event, Event::DeadlinePassed { .. });
        match federation.step(Timestamp(Duration::from_millis(now)), event) {
            Err(refusal) => assert!(refusal.is_lateness() && !is_deadline, "{refusal}"),
            Ok(actions) => {
                for action in actions {
                    match &action {
                        Action::Train(order) => {
                            outcome.orders.push(order.clone());
                            let (round, client) = (order.round, order.client);
                            let failed = Event::ClientFailed { round, client, reason: "out of memory".to_owned() };
                            let (delay, event) = match behavior(round, client) {
                                Does::Answers(delay) => (delay, answer(dummy, &action)),
                                Does::Fails(delay) => (delay, Some(failed)),
                                Does::NeverAnswers => (0, None),
                            };
                            answers.entry(now + delay).or_default().extend(event);
                        }
                        Action::Measure(order) => {
                            let (round, client) = (order.round, order.client);
                            let failed = Event::LossFailed { round, client, reason: "out of memory".to_owned() };
                            let (delay, event) = match measuring(round, client) {
                                Does::Answers(delay) => (delay, answer(dummy, &action)),
                                Does::Fails(delay) => (delay, Some(failed)),
                                Does::NeverAnswers => (0, None),
                            };
                            answers.entry(now + delay).or_default().extend(event);
                        }
                        Action::Evaluate(_) => answers.entry(now).or_default().extend(answer(dummy, &action)),
                        Action::Record(record) => outcome.records.push(record.clone()),
                        Action::Fail(failure) => outcome.failure = Some(failure.clone()),
                        Action::Revoke { round } => outcome.revoked.push(*round),
                        Action::Collect { .. } => panic!("updates come by themselves here"),
                    }
                    let is_over = outcome.failure.is_some() || matches!(outcome.records.last(), Some(Record::Finished { .. }));
                    if is_over || outcome.records.len() == stop_at {
                        return outcome;
                    }
                }
            }
        }
        answers.retain(|_, events| !events.is_empty());
        let deadline = federation.deadline().map(|(round, at)| (u64::try_from(at.0.as_millis()).expect("it is near"), round));
        let first = answers.first_key_value().map(|(at, _)| *at);
        next = match (first, deadline) {
            // An answer at the deadline itself is in time.
            (Some(at), Some((limit, _))) if at <= limit => {
                now = at;
                answers.get_mut(&at).and_then(VecDeque::pop_front)
            }
            (_, Some((limit, round))) => {
                now = limit;
                Some(Event::DeadlinePassed { round })
            }
            (Some(at), None) => {
                now = at;
                answers.get_mut(&at).and_then(VecDeque::pop_front)
            }
            (None, None) => panic!("nobody answers, and there is no deadline"),
        };
    }
    outcome
}

/// The clients that counted, according to records.
pub fn attendance(records: &[Record]) -> Attendance {
    let mut attendance = Attendance::default();
    for record in records {
        match record {
            Record::ClientTrained(record) => {
                let counted = Attended::Counted { staleness: record.staleness.unwrap_or(0) };
                attendance.note(record.round, record.client, counted);
            }
            Record::ClientAbsent(record) => {
                let attended = Attended::Absent { absence: record.absence, reason: record.reason.clone() };
                attendance.note(record.round, record.client, attended);
            }
            _ => {}
        }
    }
    attendance
}

/// Returns the run that goes on after `records` from their last checkpoint.
pub fn resume(config: &FederatedConfig, dummy: &Dummy, records: &[Record]) -> Federation {
    let checkpoint = records.iter().rev().find_map(|record| match record {
        Record::Checkpoint { round, state, server, .. } => Some((*round, Arc::clone(state), server.as_ref().clone())),
        _ => None,
    });
    let (round, state, server) = checkpoint.unwrap_or_else(|| (Round(0), Arc::new(dummy.initial()), ServerState::default()));
    let resumed = Federation::resume(setup(config, dummy), round, state, server).expect("a checkpoint is sound");
    resumed.repeating(attendance(records))
}

/// Records of clients, without times.
pub fn parts(records: &[Record]) -> Vec<Record> {
    records.iter().filter(|record| matches!(record, Record::ClientTrained(_) | Record::ClientAbsent(_))).cloned().collect()
}

/// Kills the run at every record, and resumes it with a clock that is against everything that was recorded: who counted answers last, and who was
/// absent at once. It ends with the same bits, and with the same records of clients.
pub fn check_killed_at_every_record(config: &FederatedConfig, dummy: &Dummy, behavior: &Behavior<'_>) -> Outcome {
    check_killed_measuring(config, dummy, behavior, &|_, _| Does::Answers(0))
}

/// The same, where candidates react to orders to measure a loss as `measuring` says.
pub fn check_killed_measuring(config: &FederatedConfig, dummy: &Dummy, behavior: &Behavior<'_>, measuring: &Behavior<'_>) -> Outcome {
    let new = || super::federation(config, dummy);
    let whole = drive_measuring(new(), dummy, behavior, measuring, usize::MAX);
    assert_eq!(whole.failure, None);
    for stop_at in 1..=whole.records.len() {
        let begun = drive_measuring(new(), dummy, behavior, measuring, stop_at).records;
        let recorded = attendance(&begun);
        let contrary = |round, client| match recorded.of(round).and_then(|of| of.get(&client)) {
            Some(Attended::Counted { .. }) => Does::Answers(1_000_000),
            Some(Attended::Absent { .. }) => Does::Answers(0),
            None => behavior(round, client),
        };
        let is_unmeasured = |attended: &Attended| matches!(attended, Attended::Absent { absence: Absence::Unmeasured, .. });
        let contrary_loss = |round, client| match recorded.of(round) {
            Some(of) if of.get(&client).is_some_and(is_unmeasured) => Does::Answers(0),
            Some(of) if !of.values().all(is_unmeasured) => Does::Answers(1_000_000),
            _ => measuring(round, client),
        };
        let resumed = drive_measuring(resume(config, dummy, &begun), dummy, &contrary, &contrary_loss, usize::MAX);
        assert_eq!(resumed.failure, None, "killed after {stop_at} records");
        assert_eq!(bits(final_state(&resumed.records)), bits(final_state(&whole.records)), "killed after {stop_at} records");
        let (repeated, expected) = (parts(&resumed.records), parts(&whole.records));
        assert_eq!(repeated[..], expected[expected.len() - repeated.len()..], "killed after {stop_at} records");
    }
    whole
}
