//! Tests of the threads: any number of workers gives the same run, and anything that goes wrong in a thread is returned as an error.

mod support;

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::{FederatedConfig, ParticipationConfig},
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
};
use fltk_fed::{
    BoxError,
    client::{ClientTrainer, Evaluator, MakeTrainer},
    drive::RunError,
    dummy::Dummy,
    round::{ClientUpdate, Federation, Record, TrainOrder},
    transport::in_process::run,
};

use support::{bits, by_kind, config, dummy, federation, final_state, run_in_order};

fn workers(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("it is above 0")
}

/// Returns the records of a whole run, without the measured seconds.
fn run_all(federation: Federation, num_workers: usize, make: &MakeTrainer<'_>, evaluator: Box<dyn Evaluator + '_>) -> Vec<Record> {
    let mut records = Vec::new();
    let mut observer = |record: &Record| {
        records.push(record.clone());
        Ok(())
    };
    let state = run(federation, workers(num_workers), make, evaluator, &AtomicBool::new(false), &mut observer).expect("the run finishes");
    assert_eq!(final_state(&records), state.as_ref());
    for record in &mut records {
        match record {
            Record::ClientTrained(client) => {
                assert!(client.seconds > 0.0);
                client.seconds = 0.0;
            }
            Record::RoundEnded(round) => {
                assert_eq!(round.test.is_some(), round.test_seconds > 0.0);
                (round.train_seconds, round.test_seconds) = (0.0, 0.0);
            }
            Record::ClientTested(_) | Record::Checkpoint { .. } | Record::Finished { .. } => {}
            Record::ClientAbsent(absent) => panic!("{absent:?}"),
            Record::Refused { reason, .. } => panic!("{reason}"),
        }
    }
    records
}

#[test]
fn results_do_not_depend_on_the_number_of_workers() {
    for strategy in [Choice::new("FedAvg"), Choice::new("FedNova")] {
        let config = FederatedConfig { strategy, ..config() };
        let dummy = dummy(12);
        let expected = run_in_order(federation(&config, &dummy), &dummy);
        for num_workers in [1, 2, 7] {
            let found = run_all(federation(&config, &dummy), num_workers, &|_| Ok(Box::new(&dummy)), Box::new(&dummy));
            assert_eq!(bits(final_state(&found)), bits(final_state(&expected)), "{num_workers} workers");
            assert_eq!(by_kind(&found), by_kind(&expected), "{num_workers} workers");
        }
    }
}

/// Longer than any machine needs: either the awaited event comes, or the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits while `is_early` is true, then calls `act` on the value and notifies the other threads.
fn wait_while<T>(
    (value, changed): &(Mutex<T>, Condvar),
    is_early: impl FnMut(&mut T) -> bool,
    act: impl FnOnce(&mut T),
) -> Result<(), BoxError> {
    let (mut value, waited) = changed.wait_timeout_while(value.lock().expect("nobody panics"), PATIENCE, is_early).expect("nobody panics");
    act(&mut value);
    changed.notify_all();
    if waited.timed_out() { Err("what this test waits for did not come".into()) } else { Ok(()) }
}

/// A trainer whose clients of a round wait for each other, then finish in descending order: roughly the reverse of the order in which they
/// are summed.
struct Reversed<'a> {
    dummy: &'a Dummy,
    cohort: usize,
    /// The clients that are present, and true if they have begun to leave.
    training: &'a (Mutex<(BTreeSet<ClientId>, bool)>, Condvar),
}

impl ClientTrainer for Reversed<'_> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        let (client, cohort) = (order.client, self.cohort);
        wait_while(
            self.training,
            |_| false,
            |(there, leaving)| {
                there.insert(client);
                *leaving = there.len() == cohort;
            },
        )?;
        wait_while(
            self.training,
            |(there, leaving)| !*leaving || there.last() != Some(&client),
            |(there, _)| {
                there.remove(&client);
            },
        )?;
        self.dummy.answer(order)
    }
}

#[test]
fn results_do_not_depend_on_the_order_of_answers() {
    let (config, dummy) = (config(), dummy(12));
    let expected = run_in_order(federation(&config, &dummy), &dummy);
    let cohort = config.clients_per_round as usize;
    let training = (Mutex::default(), Condvar::new());
    let make =
        |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(Reversed { dummy: &dummy, cohort, training: &training })) };
    let found = run_all(federation(&config, &dummy), cohort, &make, Box::new(&dummy));
    assert_eq!(bits(final_state(&found)), bits(final_state(&expected)));
    assert_eq!(by_kind(&found), by_kind(&expected));
}

/// An evaluator that evaluates round 0 only once a client of round 2 trains.
struct Late<'a> {
    dummy: &'a Dummy,
    round_2: &'a (Mutex<bool>, Condvar),
}

impl Evaluator for Late<'_> {
    fn evaluate(&mut self, _: Round, state: &ModelState) -> Result<Evaluation, BoxError> {
        wait_while(self.round_2, |begun| !*begun, |_| ())?;
        Ok(self.dummy.score(state))
    }
}

impl ClientTrainer for Late<'_> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        wait_while(self.round_2, |_| false, |begun| *begun |= order.round >= Round(2))?;
        self.dummy.answer(order)
    }
}

/// This would time out if the next round waited for an evaluation.
#[test]
fn evaluation_runs_concurrently_with_training() {
    let (config, dummy) = (config(), dummy(12));
    let round_2 = (Mutex::new(false), Condvar::new());
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(Late { dummy: &dummy, round_2: &round_2 })) };
    let found = run_all(federation(&config, &dummy), 2, &make, Box::new(Late { dummy: &dummy, round_2: &round_2 }));
    assert_eq!(bits(final_state(&found)), bits(final_state(&run_in_order(federation(&config, &dummy), &dummy))));
}

/// This would time out if orders waited until a record is written.
#[test]
fn clients_train_while_records_are_written() {
    let (config, dummy) = (config(), dummy(12));
    let round_2 = (Mutex::new(false), Condvar::new());
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(Late { dummy: &dummy, round_2: &round_2 })) };
    let mut left = config.clients_per_round;
    let mut observer = |record: &Record| {
        if matches!(record, Record::ClientTrained(client) if client.round == Round(1)) {
            left -= 1;
            if left == 0 {
                wait_while(&round_2, |begun| !*begun, |_| ())?;
            }
        }
        Ok(())
    };
    let ended = run(federation(&config, &dummy), workers(2), &make, Box::new(&dummy), &AtomicBool::new(false), &mut observer);
    assert!(ended.is_ok(), "{ended:?}");
}

/// A trainer made from a function.
struct Trainer<F>(F);

impl<F: FnMut(&TrainOrder) -> Result<ClientUpdate, BoxError> + Send> ClientTrainer for Trainer<F> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        (self.0)(order)
    }
}

/// An evaluator made from a function.
struct Scorer<F>(F);

impl<F: FnMut(Round) -> Result<Evaluation, BoxError> + Send> Evaluator for Scorer<F> {
    fn evaluate(&mut self, round: Round, _: &ModelState) -> Result<Evaluation, BoxError> {
        (self.0)(round)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the batch can't be read")]
struct Unread(#[source] std::io::Error);

/// Returns the error that ends a run whose trainers call `train`, with 3 workers.
fn ending(train: impl Fn(&Dummy, &TrainOrder) -> Result<ClientUpdate, BoxError> + Sync + Send) -> String {
    let (config, dummy) = (config(), dummy(12));
    let train = &train;
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(Trainer(|order: &TrainOrder| train(&dummy, order)))) };
    let ended = run(federation(&config, &dummy), workers(3), &make, Box::new(&dummy), &AtomicBool::new(false), &mut |_| Ok(()));
    ended.expect_err("it fails").to_string()
}

#[test]
fn client_failures_are_errors_that_name_the_client() {
    let victim = first_client_of_round(3);
    let is_victim = |order: &TrainOrder| order.round == Round(3) && order.client == victim;
    let check = |ended: String, expected: &str| assert_eq!(ended, expected.replace("VICTIM", &victim.to_string()));
    check(
        ending(|dummy, order| if is_victim(order) { Err("out of memory".into()) } else { dummy.answer(order) }),
        "client `VICTIM` failed in round `3`: out of memory",
    );
    let unread = || Box::new(Unread(std::io::Error::other("disk on fire")));
    check(
        ending(|dummy, order| if is_victim(order) { Err(unread()) } else { dummy.answer(order) }),
        "client `VICTIM` failed in round `3`: the batch can't be read: disk on fire",
    );
    check(
        ending(|dummy, order| {
            assert!(!is_victim(order), "index {} is out of bounds", order.round);
            dummy.answer(order)
        }),
        "client `VICTIM` failed in round `3`: panicked: index 3 is out of bounds",
    );
    check(
        ending(|dummy, order| {
            let mut update = dummy.answer(order)?;
            if is_victim(order) {
                update.state.floats[1] = f32::NAN;
            }
            Ok(update)
        }),
        "client `VICTIM` failed in round `3`: its update can't be used: element 1 of `weight` is NaN; hint: training diverged, a lower learning rate may help",
    );
    check(
        ending(|dummy, order| {
            let mut update = dummy.answer(order)?;
            if is_victim(order) {
                update.client = ClientId(99);
            }
            Ok(update)
        }),
        "client `VICTIM` failed in round `3`: its trainer answered for client `99` in round `3`",
    );
}

fn first_client_of_round(wanted: u32) -> ClientId {
    let (config, dummy) = (config(), dummy(12));
    let records = run_in_order(federation(&config, &dummy), &dummy);
    let of_round = records.iter().find_map(|record| match record {
        Record::RoundEnded(round) if round.round == Round(wanted) => round.clients.first(),
        _ => None,
    });
    *of_round.expect("the run has the round")
}

#[test]
fn failing_workers_evaluators_and_observers_end_the_run() {
    let (config, dummy) = (config(), dummy(12));
    let good = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(&dummy)) };
    let ended = |make: &MakeTrainer<'_>, evaluator: Box<dyn Evaluator + '_>, observer: &mut dyn FnMut(&Record) -> Result<(), BoxError>| {
        run(federation(&config, &dummy), workers(2), make, evaluator, &AtomicBool::new(false), observer).expect_err("it fails").to_string()
    };
    let refuses =
        |worker| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { if worker == 1 { Err("no libtorch".into()) } else { good(worker) } };
    assert_eq!(ended(&refuses, Box::new(&dummy), &mut |_| Ok(())), "worker 1 could not start: no libtorch");
    let panics = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { panic!("no model") };
    let text = ended(&panics, Box::new(&dummy), &mut |_| Ok(()));
    assert!(text.starts_with("worker ") && text.ends_with("could not start: panicked: no model"), "{text}");

    let fails = Scorer(|round| if round == Round(4) { Err("the test set is gone".into()) } else { good_score() });
    assert_eq!(ended(&good, Box::new(fails), &mut |_| Ok(())), "the evaluation of round `4` failed: the test set is gone");
    let panics = Scorer(|round| {
        assert_ne!(round, Round(2), "no such class");
        good_score()
    });
    let text = ended(&good, Box::new(panics), &mut |_| Ok(()));
    assert!(text.starts_with("the evaluation of round `2` failed: panicked: ") && text.contains("no such class"), "{text}");

    let mut full = |record: &Record| if matches!(record, Record::Checkpoint { .. }) { Err("disk full".into()) } else { Ok(()) };
    assert_eq!(ended(&good, Box::new(&dummy), &mut full), "a record could not be written: disk full");
}

fn good_score() -> Result<Evaluation, BoxError> {
    Ok(Evaluation { num_samples: 1, loss: 0.0, accuracy: 1.0, confusion: None })
}

#[test]
fn panicking_observer_leaves_no_threads() {
    let (config, dummy) = (config(), dummy(12));
    let caught = std::panic::catch_unwind(|| {
        run(federation(&config, &dummy), workers(2), &|_| Ok(Box::new(&dummy)), Box::new(&dummy), &AtomicBool::new(false), &mut |_| {
            panic!("a bug in the observer")
        })
        .map(drop)
    });
    // Every thread has ended by now: the scope waits for them.
    assert!(caught.is_err());
}

#[test]
fn stop_flag_stops_the_run() {
    let (mut config, dummy) = (config(), dummy(12));
    config.rounds = u32::MAX;
    let stop = AtomicBool::new(false);
    let num_trained = AtomicU32::new(0);
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> {
        Ok(Box::new(Trainer(|order: &TrainOrder| {
            num_trained.fetch_add(1, Ordering::Relaxed);
            // A trainer that sees the flag gives up, which isn't counted as a failure.
            if stop.load(Ordering::Relaxed) { Err("interrupted".into()) } else { dummy.answer(order) }
        })))
    };
    let mut raise_at_10 = |record: &Record| {
        if matches!(record, Record::RoundEnded(round) if round.round == Round(10)) {
            stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    };
    match run(federation(&config, &dummy), workers(2), &make, Box::new(&dummy), &stop, &mut raise_at_10) {
        Err(RunError::Stopped { last_recorded: Some(round) }) => assert!(round >= Round(10), "{round}"),
        other => panic!("{other:?}"),
    }

    // The flag is raised before the start: nobody trains.
    num_trained.store(0, Ordering::Relaxed);
    let ended = run(federation(&config, &dummy), workers(2), &make, Box::new(&dummy), &stop, &mut |_| Ok(()));
    assert_eq!(ended.expect_err("it is stopped").to_string(), "stopped; the last round recorded is none");
    assert_eq!(num_trained.load(Ordering::Relaxed), 0);
}

#[test]
fn stopped_runs_resume_with_the_same_bits() {
    let (config, dummy) = (config(), dummy(12));
    let whole = run_in_order(federation(&config, &dummy), &dummy);
    for stop_after in 0..6 {
        let stop = AtomicBool::new(false);
        let mut checkpoint = (Round(0), Arc::new(dummy.initial()), Arc::default());
        let mut observer = |record: &Record| {
            match record {
                Record::Checkpoint { round, state, server, .. } => checkpoint = (*round, Arc::clone(state), Arc::clone(server)),
                Record::RoundEnded(record) if record.round == Round(stop_after) => stop.store(true, Ordering::Relaxed),
                _ => {}
            }
            Ok(())
        };
        // The flag may be noticed only after everything has happened.
        match run(federation(&config, &dummy), workers(3), &|_| Ok(Box::new(&dummy)), Box::new(&dummy), &stop, &mut observer) {
            Ok(_) | Err(RunError::Stopped { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        let (round, state, server) = checkpoint;
        let resumed =
            Federation::resume(support::setup(&config, &dummy), round, state, server.as_ref().clone()).expect("a checkpoint is sound");
        let records = run_all(resumed, 2, &|_| Ok(Box::new(&dummy)), Box::new(&dummy));
        assert_eq!(bits(final_state(&records)), bits(final_state(&whole)), "stopped after round {stop_after}");
    }
}

/// Runs two rounds in which the first client of the first round hangs until somebody is recorded as absent; returns the absences, and the
/// number of clients that were begun.
fn with_a_hanging_client(participation: ParticipationConfig) -> (Vec<(Round, Absence)>, u32) {
    let dummy = dummy(12);
    let config = FederatedConfig { participation: Some(participation), rounds: 2, ..config() };
    let (released, num_begun) = ((Mutex::new(false), Condvar::new()), AtomicU32::new(0));
    let train = |order: &TrainOrder| {
        if num_begun.fetch_add(1, Ordering::Relaxed) == 0 {
            wait_while(&released, |released| !*released, |_| ())?;
        }
        dummy.answer(order)
    };
    let train = &train;
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(Trainer(train))) };
    let mut absences = Vec::new();
    let mut observer = |record: &Record| {
        match record {
            Record::ClientAbsent(absent) => {
                absences.push((absent.round, absent.absence));
                wait_while(&released, |_| false, |released| *released = true)?;
            }
            // The late answer.
            Record::Refused { reason, .. } => assert!(reason.is_lateness(), "{reason}"),
            _ => {}
        }
        Ok(())
    };
    run(federation(&config, &dummy), workers(2), &make, Box::new(&dummy), &AtomicBool::new(false), &mut observer).expect("it finishes");
    (absences, num_begun.into_inner())
}

#[test]
fn a_client_that_hangs_is_late_and_costs_its_update() {
    let deadline = Some(fltk_core::experiment::Duration::from_millis(500));
    let (absences, num_begun) = with_a_hanging_client(ParticipationConfig { min_updates: 1, deadline, over_select: 0.0 });
    assert_eq!((&absences[0], num_begun), (&(Round(1), Absence::Late), 10));
}

#[test]
fn surplus_clients_do_not_keep_the_next_round_waiting() {
    let (absences, num_begun) = with_a_hanging_client(ParticipationConfig { min_updates: 1, deadline: None, over_select: 1.0 });
    assert_eq!(absences, [[(Round(1), Absence::Surplus); 5], [(Round(2), Absence::Surplus); 5]].concat());
    // At least the five that count in each round and the one that hangs; the others only if a worker took them up before they were revoked.
    assert!((11..=20).contains(&num_begun), "{num_begun}");
}

/// A trainer that is of no use after a panic.
struct Fragile<'a> {
    dummy: &'a Dummy,
    is_broken: bool,
}

impl ClientTrainer for Fragile<'_> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        assert!(!std::mem::replace(&mut self.is_broken, true), "it is used after a panic");
        assert_ne!(order.round, Round(2), "no such round");
        self.is_broken = false;
        self.dummy.answer(order)
    }
}

#[test]
fn a_trainer_that_panics_costs_an_update_and_is_not_used_again() {
    let dummy = dummy(12);
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: None, over_select: 0.0 });
    let config = FederatedConfig { participation, rounds: 2, ..config() };
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(Fragile { dummy: &dummy, is_broken: false })) };
    let ended = run(federation(&config, &dummy), workers(2), &make, Box::new(&dummy), &AtomicBool::new(false), &mut |_| Ok(()));
    let text = ended.expect_err("nobody is left in the second round").to_string();
    assert!(text.contains("at most 0: of 5 selected clients 5 failed (client `") && text.contains("no such round"), "{text}");
    assert!(!text.contains("used after a panic"), "{text}");
}
