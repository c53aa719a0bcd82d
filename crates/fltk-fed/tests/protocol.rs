//! Tests of the state machine with valid, invalid and reordered messages.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    catalogue::Choice,
    client_terms::{Arrays, Extras, NORMALIZER},
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    model_state::ModelState,
    server_state::ServerState,
};
use fltk_fed::{
    dummy::Dummy,
    round::{
        Action, ClientUpdate, Event, Failure, Federation, MODELS_HELD_MAX, ProtocolError, ROUNDS_UNRECORDED_MAX, Record, Setup, SetupError,
        TrainOrder,
    },
};
use proptest::prelude::*;

use support::{NOW, RATES, SEED, answer, bits, by_kind, config, dummy, federation, final_state, order, run_in_order, setup};

fn start(federation: &mut Federation) -> Vec<Action> {
    federation.step(NOW, Event::Started).expect("it has not been started")
}

fn orders(actions: &[Action]) -> Vec<TrainOrder> {
    actions.iter().filter_map(|action| if let Action::Train(order) = action { Some(order.clone()) } else { None }).collect()
}

/// Formats actions, one letter each, `T` with the round: `T1` train, `M` measure a loss, `U` bring an update, `V` revoke, `E` evaluate, `c` client record, `a` record of
/// an absent client, `t` of a client's test, `R` round record, `C` checkpoint, `F`
/// finished, `X` fail.
fn sketch(actions: &[Action]) -> String {
    let mut parts: Vec<String> = actions
        .iter()
        .map(|action| match action {
            Action::Train(order) => format!("T{}", order.round),
            Action::Measure(order) => format!("M{}", order.round),
            Action::Evaluate(order) => format!("E{}", order.round),
            Action::Collect { round, .. } => format!("U{round}"),
            Action::Revoke { round } => format!("V{round}"),
            Action::Record(Record::ClientTrained(record)) => format!("c{}", record.round),
            Action::Record(Record::ClientAbsent(record)) => format!("a{}", record.round),
            Action::Record(Record::ClientTested(record)) => format!("t{}", record.round),
            Action::Record(Record::RoundEnded(record)) => format!("R{}", record.round),
            Action::Record(Record::Checkpoint { round, .. }) => format!("C{round}"),
            Action::Record(Record::Finished { .. }) => "F".to_owned(),
            Action::Record(Record::Refused { .. }) => panic!("the machine refuses by an error"),
            Action::Fail(_) => "X".to_owned(),
        })
        .collect();
    parts.dedup();
    parts.join(" ")
}

/// Trains the whole cohort of `orders`, and returns the actions that followed.
fn train(federation: &mut Federation, dummy: &Dummy, orders: &[TrainOrder]) -> Vec<Action> {
    let mut step = |order| federation.step(NOW, Event::ClientTrained(dummy.answer(order).expect("the order is for the dummy")));
    orders.iter().flat_map(|order| step(order).expect("the update is awaited")).collect()
}

fn evaluated(round: u32) -> Event {
    Event::Evaluated { round: Round(round), evaluation: good_evaluation(), seconds: 0.5 }
}

fn good_evaluation() -> Evaluation {
    Evaluation { num_samples: 3, loss: 1.0, accuracy: 0.5, confusion: None }
}

#[test]
fn next_round_starts_during_evaluation() {
    let (config, dummy) = (config(), dummy(12));
    let mut federation = federation(&config, &dummy);
    let actions = start(&mut federation);
    assert_eq!(sketch(&actions), "E0 T1");
    let actions = train(&mut federation, &dummy, &orders(&actions));
    // Round 1 isn't evaluated, but its record waits for that of round 0.
    assert_eq!(sketch(&actions), "c1 T2 c1");
    let actions = train(&mut federation, &dummy, &orders(&actions));
    assert_eq!(sketch(&actions), "c2 T3 E2 c2");
    let round_3 = orders(&actions);
    assert_eq!(sketch(&federation.step(NOW, evaluated(0)).expect("it is awaited")), "R0 R1");
    assert_eq!(sketch(&federation.step(NOW, evaluated(2)).expect("it is awaited")), "R2");
    let actions = train(&mut federation, &dummy, &round_3);
    assert_eq!(sketch(&actions), "c3 T4 c3 R3 C3");
    let actions = train(&mut federation, &dummy, &orders(&actions));
    let actions = train(&mut federation, &dummy, &orders(&actions));
    assert_eq!(sketch(&actions), "c5 T6 c5");
    let actions = train(&mut federation, &dummy, &orders(&actions));
    assert_eq!(sketch(&actions), "c6 E6 c6");
    // Out of order: the last round is ready, but records wait for round 4.
    assert_eq!(sketch(&federation.step(NOW, evaluated(6)).expect("it is awaited")), "");
    assert_eq!(sketch(&federation.step(NOW, evaluated(4)).expect("it is awaited")), "R4 R5 R6 C6 F");
}

#[test]
fn training_pauses_when_evaluations_fall_behind() {
    let mut config = config();
    (config.rounds, config.evaluate_every) = (100, 1);
    let dummy = dummy(12);
    let mut federation = federation(&config, &dummy);
    let mut actions = start(&mut federation);
    let mut num_trained = 0;
    while !orders(&actions).is_empty() {
        actions = train(&mut federation, &dummy, &orders(&actions));
        num_trained += 1;
    }
    // The models of rounds 0 to 3 are waiting.
    assert_eq!(num_trained, MODELS_HELD_MAX - 1);
    let late = ClientUpdate::answer(&order(&dummy, Round(3), ClientId(0)), dummy.initial(), dummy_summary(), Extras::new());
    let refused = federation.step(NOW, Event::ClientTrained(late)).expect_err("round 3 is complete").to_string();
    assert_eq!(refused, "a message for round `3` came too late: it is complete, and round `3` was the last to begin");
    assert_eq!(sketch(&federation.step(NOW, evaluated(1)).expect("it is awaited")), "T4");
    assert_eq!(sketch(&federation.step(NOW, evaluated(0)).expect("it is awaited")), "R0 R1");
}

#[test]
fn training_pauses_when_too_many_records_are_pending() {
    let mut config = config();
    (config.rounds, config.evaluate_every) = (1000, 1000);
    let dummy = dummy(12);
    let setup = Setup::new(config, RATES, SEED, dummy.samples.clone(), 1000).expect("the settings are possible");
    let mut federation = Federation::new(setup, Arc::new(dummy.initial())).expect("the dummy's state is sound");
    let mut actions = start(&mut federation);
    let mut num_trained = 0;
    while !orders(&actions).is_empty() {
        actions = train(&mut federation, &dummy, &orders(&actions));
        num_trained += 1;
    }
    assert_eq!(num_trained, ROUNDS_UNRECORDED_MAX - 1);
    let actions = federation.step(NOW, evaluated(0)).expect("it is awaited");
    assert_eq!(orders(&actions).len(), 5);
    assert_eq!(actions.len(), 5 + ROUNDS_UNRECORDED_MAX);
}

fn dummy_summary() -> TrainSummary {
    TrainSummary { num_samples: 3, num_steps: 1, loss: Some(0.5) }
}

/// Returns the machine in the given phase.
fn in_phase(phase: &str, dummy: &Dummy) -> Federation {
    let mut config = config();
    config.evaluate_every = 1;
    let mut federation = federation(&config, dummy);
    let until = |federation: &mut Federation, round: u32, evaluate: bool| {
        let mut actions = start(federation);
        for _ in 0..round {
            for action in &actions {
                if let (true, Action::Evaluate(order)) = (evaluate, action) {
                    federation.step(NOW, evaluated(order.round.0)).expect("it is awaited");
                }
            }
            actions = train(federation, dummy, &orders(&actions));
        }
        actions
    };
    match phase {
        "ready" => {}
        // In round 2 one client has answered; rounds 0 and 1 await their evaluation.
        "training" => {
            let actions = until(&mut federation, 1, false);
            train(&mut federation, dummy, &orders(&actions)[2..3]);
        }
        "held" => drop(until(&mut federation, 3, false)),
        "draining" => drop(until(&mut federation, 6, true)),
        "finished" => {
            until(&mut federation, 6, true);
            let actions = federation.step(NOW, evaluated(6)).expect("it is awaited");
            assert_eq!(sketch(&actions), "R6 C6 F");
        }
        "failed" => {
            until(&mut federation, 1, false);
            federation.step(NOW, Event::DeadlinePassed { round: Round(2) }).expect("round 2 is in training");
        }
        other => panic!("{other} is no phase"),
    }
    federation
}

/// Sends every kind of message in every phase, and checks the answer or the refusal; refused messages change nothing.
#[test]
fn messages_are_accepted_or_refused_in_every_phase() {
    let dummy = dummy(12);
    let training = in_phase("training", &dummy);
    // Round 2's cohort, of which the third has answered, and a client that isn't in it.
    let mut probe = training.clone();
    let Ok(failed) = probe.step(NOW, Event::DeadlinePassed { round: Round(2) }) else { panic!("round 2 is in training") };
    let [Action::Fail(Failure::Deadline { missing, num_selected: 5, .. })] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(missing.len(), 4);
    let awaited = missing[0];
    let stranger =
        dummy.clients().find(|client| !missing.contains(client) && !answered(&training, &dummy, *client)).expect("12 is more than 5");
    let doubled = dummy.clients().find(|client| answered(&training, &dummy, *client)).expect("one has answered");

    let update = |round: u32, client: ClientId| {
        let order = order(&dummy, Round(round), client);
        ClientUpdate::answer(&order, dummy.initial(), dummy_summary(), Extras::new())
    };
    let trained = |round, client| Event::ClientTrained(update(round, client));
    let failed = |round: u32, client| Event::ClientFailed { round: Round(round), client, reason: "out of memory".to_owned() };
    let broken = |change: &dyn Fn(&mut ClientUpdate)| {
        let mut update = update(2, awaited);
        change(&mut update);
        Event::ClientTrained(update)
    };
    let unusable = |change: &dyn Fn(&mut Evaluation, &mut f64)| {
        let (mut evaluation, mut seconds) = (good_evaluation(), 0.5);
        change(&mut evaluation, &mut seconds);
        Event::Evaluated { round: Round(1), evaluation, seconds }
    };
    let check = |phase: &str, event: Event, expected: &str| {
        let before = in_phase(phase, &dummy);
        let mut machine = before.clone();
        match machine.step(NOW, event.clone()) {
            Ok(actions) => assert_eq!(sketch(&actions), expected, "{phase}: {event:?}"),
            Err(refused) => {
                assert_eq!(refused.to_string(), expected, "{phase}: {event:?}");
                assert_eq!(machine, before, "{phase}: {event:?}");
            }
        }
    };

    let everything = || {
        [
            Event::Started,
            trained(1, awaited),
            failed(1, awaited),
            evaluated(0),
            Event::EvaluationFailed { round: Round(0), reason: String::new() },
            Event::DeadlinePassed { round: Round(1) },
        ]
    };
    check("ready", Event::Started, "E0 T1");
    for event in everything().into_iter().skip(1) {
        check("ready", event, "the federation has not been started");
    }
    for phase in ["finished", "failed"] {
        for event in everything() {
            check(phase, event, "the federation is over");
        }
    }

    let too_late = |round: u32, current: u32| {
        format!("a message for round `{round}` came too late: it is complete, and round `{current}` was the last to begin")
    };
    let too_early =
        |round: u32, current: u32| format!("a message for round `{round}` came too early: round `{current}` was the last to begin");
    for (phase, current) in [("training", 2), ("held", 3), ("draining", 6)] {
        check(phase, Event::Started, "the federation has been started already");
        for round in [0, 1, current - 1, current, current + 1, u32::MAX] {
            if phase == "training" && round == current {
                continue;
            }
            let expected = if round <= current { too_late(round, current) } else { too_early(round, current) };
            check(phase, trained(round, awaited), &expected);
            check(phase, failed(round, awaited), &expected);
            check(phase, Event::DeadlinePassed { round: Round(round) }, &expected);
        }
        for round in [current, current + 1, u32::MAX] {
            if phase == "training" || round > current {
                check(phase, evaluated(round), &format!("no evaluation of round `{round}` is awaited"));
                let failed = Event::EvaluationFailed { round: Round(round), reason: "out of memory".to_owned() };
                check(phase, failed, &format!("no evaluation of round `{round}` is awaited"));
            }
        }
        let awaits = if phase == "draining" { 6 } else { 0 };
        check(phase, Event::EvaluationFailed { round: Round(awaits), reason: "out of memory".to_owned() }, "X");
    }
    check("training", evaluated(0), "R0");
    check("held", evaluated(0), "T4 R0");
    check("held", evaluated(2), "T4");
    check("draining", evaluated(6), "R6 C6 F");
    check("draining", evaluated(5), "no evaluation of round `5` is awaited");

    // Checks of the client that answers.
    check("training", trained(2, awaited), "c2");
    check("training", failed(2, awaited), "X");
    check("training", Event::DeadlinePassed { round: Round(2) }, "X");
    for client in [ClientId(12), ClientId(u32::MAX)] {
        check("training", trained(2, client), &format!("client `{client}` is unknown: there are 12, counted from 0"));
        check("training", failed(2, client), &format!("client `{client}` is unknown: there are 12, counted from 0"));
    }
    check("training", trained(2, stranger), &format!("client `{stranger}` was not selected for round `2`"));
    check("training", failed(2, stranger), &format!("client `{stranger}` was not selected for round `2`"));
    check("training", trained(2, doubled), &format!("client `{doubled}` has answered in round `2` already"));
    check("training", failed(2, doubled), &format!("client `{doubled}` has answered in round `2` already"));

    // Checks of the content of the answer.
    let bad = |problem: &str| format!("the update of client `{awaited}` in round `2` can't be used: {problem}");
    let of_state = |change: &dyn Fn(&mut ModelState)| broken(&|update| change(&mut update.state));
    check("training", of_state(&|state| state.layout = Arc::new(Vec::new())), &bad("it has 0 tensors, the model has 3"));
    check("training", of_state(&|state| state.floats.truncate(1)), &bad("it has 1 floats, its layout needs 18"));
    check("training", of_state(&|state| state.counters.push(0)), &bad("it has 2 counters, its layout needs 1"));
    check(
        "training",
        of_state(&|state| state.floats[16] = f32::NAN),
        &bad("element 16 of `weight` is NaN; hint: training diverged, a lower learning rate may help"),
    );
    check(
        "training",
        of_state(&|state| state.floats[17] = f32::INFINITY),
        &bad("element 0 of `running_mean` is inf; hint: training diverged, a lower learning rate may help"),
    );
    check("training", broken(&|update| update.train.loss = Some(f64::NAN)), &bad("its loss is NaN"));
    check("training", broken(&|update| update.train.loss = Some(1e300)), &bad(&format!("its loss is {}", 1e300)));
    check("training", broken(&|update| update.train.num_samples = u64::MAX), &bad("its number of samples is 18446744073709552000"));
    check("training", broken(&|update| update.train.num_steps = 1 << 60), &bad("its number of steps is 1152921504606847000"));
    check("training", broken(&|update| update.seconds = -1.0), &bad("its time in seconds is -1"));
    check("training", broken(&|update| update.seconds = f64::INFINITY), &bad("its time in seconds is inf"));
    // FedAvg ignores extras.
    check("training", broken(&|update| update.extras = Extras::from([(NORMALIZER.to_owned(), f64::NAN)])), "c2");

    let bad = |problem: &str| format!("the evaluation of round `1` can't be used: its {problem}");
    check("training", unusable(&|_, _| ()), "");
    check("training", unusable(&|evaluation, _| evaluation.num_samples = 0), &bad("number of samples is 0"));
    check("training", unusable(&|evaluation, _| evaluation.loss = f64::INFINITY), &bad("loss is inf"));
    check("training", unusable(&|evaluation, _| evaluation.accuracy = 1.5), &bad("accuracy is 1.5"));
    check("training", unusable(&|evaluation, _| evaluation.accuracy = f64::NAN), &bad("accuracy is NaN"));
    check("training", unusable(&|_, seconds| *seconds = -0.5), &bad("time in seconds is -0.5"));
}

/// Returns true if the machine refuses another answer of this client in round 2 because it already has one.
fn answered(machine: &Federation, dummy: &Dummy, client: ClientId) -> bool {
    let order = order(dummy, Round(2), client);
    let update = ClientUpdate::answer(&order, dummy.initial(), dummy_summary(), Extras::new());
    matches!(machine.clone().step(NOW, Event::ClientTrained(update)), Err(ProtocolError::Duplicate { .. }))
}

#[test]
fn failures_name_their_cause() {
    let (config, dummy) = (config(), dummy(12));
    let check = |event: &dyn Fn(&TrainOrder) -> Event, expected: &str| {
        let mut federation = federation(&config, &dummy);
        let first = orders(&start(&mut federation)).remove(0);
        let actions = federation.step(NOW, event(&first)).expect("it is awaited");
        let [Action::Fail(failure)] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(failure.to_string(), expected.replace("FIRST", &first.client.to_string()));
        assert_eq!(federation.step(NOW, evaluated(0)).expect_err("it failed").to_string(), "the federation is over");
    };
    let reason = || "out of memory".to_owned();
    check(
        &|order| Event::ClientFailed { round: order.round, client: order.client, reason: reason() },
        "client `FIRST` failed in round `1`: out of memory",
    );
    check(&|_| Event::EvaluationFailed { round: Round(0), reason: reason() }, "the evaluation of round `0` failed: out of memory");
    check(
        &|order| Event::DeadlinePassed { round: order.round },
        "round `1` ran out of time: 5 of 5 clients did not answer, the first is `FIRST`",
    );
}

#[test]
fn fednova_needs_a_normalizer_and_a_finite_result() {
    let mut config = config();
    (config.strategy, config.clients_per_round) = (Choice::new("FedNova"), 1);
    let dummy = dummy(12);
    let check = |normalizer: f64, num_steps: u64, value: f32, expected: &str| {
        let mut federation = federation(&config, &dummy);
        let order = orders(&start(&mut federation)).remove(0);
        let mut update = dummy.answer(&order).expect("the order is for the dummy");
        update.extras = Extras::from([(NORMALIZER.to_owned(), normalizer)]);
        update.train.num_steps = num_steps;
        update.state.floats[3] = value;
        let found = match federation.step(NOW, Event::ClientTrained(update)) {
            Ok(actions) => match actions.last() {
                Some(Action::Fail(failure)) => failure.to_string(),
                _ => "fine".to_owned(),
            },
            Err(refused) => refused.to_string(),
        };
        assert_eq!(found, expected.replace("FIRST", &order.client.to_string()));
    };
    check(4.0, 4, 1.0, "fine");
    check(0.0, 0, 0.0, "fine");
    check(0.0, 4, 1.0, "the update of client `FIRST` in round `1` can't be used: its normalizer is 0");
    check(1.0, 0, 1.0, "the update of client `FIRST` in round `1` can't be used: its normalizer is 1");
    check(-1.0, 4, 1.0, "the update of client `FIRST` in round `1` can't be used: its normalizer is -1");
    check(f64::NAN, 4, 1.0, "the update of client `FIRST` in round `1` can't be used: its normalizer is NaN");
    let diverged =
        "the aggregate of round `1` can't be used: element 3 of `weight` is inf; hint: training diverged, a lower learning rate may help";
    check(1e-300, 4, 3e38, diverged);
}

#[test]
fn runs_start_from_a_valid_model_and_round() {
    let (config, dummy) = (config(), dummy(12));
    let mut broken = dummy.initial();
    broken.floats[0] = f32::NAN;
    let refused = Federation::new(setup(&config, &dummy), Arc::new(broken)).expect_err("it is not finite");
    assert!(matches!(refused, SetupError::State(_)), "{refused}");
    let refused = Federation::resume(setup(&config, &dummy), Round(7), Arc::new(dummy.initial()), ServerState::default())
        .expect_err("there are 6 rounds");
    assert_eq!(refused.to_string(), "the run can't go on after round `7`: it has 6 rounds");
}

/// Checks that a round's global model is the mean of its clients' models, weighted by their samples, of the cohort alone.
#[test]
fn round_result_is_the_weighted_mean_of_the_cohort() {
    let (config, dummy) = (config(), dummy(12));
    let mut federation = federation(&config, &dummy);
    let first = orders(&start(&mut federation));
    let second = orders(&train(&mut federation, &dummy, &first));
    let models: Vec<(f64, ModelState)> = first
        .iter()
        .map(|order| (dummy.samples[order.client.0 as usize] as f64, dummy.answer(order).expect("the order is for the dummy").state))
        .collect();
    let total: f64 = models.iter().map(|(samples, _)| samples).sum();
    for (index, &value) in second[0].state.floats.iter().enumerate() {
        let mean: f64 = models.iter().map(|(samples, model)| samples / total * f64::from(model.floats[index])).sum();
        assert!((f64::from(value) - mean).abs() < 1e-6, "element {index}: {value} and {mean}");
    }
    assert_eq!(Some(second[0].state.counters[0]), models.iter().map(|(_, model)| model.counters[0]).max());
}

/// Checks that the training summary of a round covers all its samples.
#[test]
fn round_summaries_are_weighted_by_samples() {
    let (config, dummy) = (config(), dummy(12));
    let records = run_in_order(federation(&config, &dummy), &dummy);
    let (clients, rounds) = by_kind(&records);
    for record in rounds {
        let Record::RoundEnded(round) = record else { continue };
        let of_round = clients.iter().filter_map(|record| match record {
            Record::ClientTrained(client) if client.round == round.round => Some(client.train),
            _ => None,
        });
        let (mut num_samples, mut num_steps, mut loss) = (0, 0, 0.0);
        for train in of_round {
            num_samples += train.num_samples;
            num_steps += train.num_steps;
            loss += train.loss.unwrap_or(0.0) * train.num_samples as f64;
        }
        let Some(train) = round.train else {
            assert_eq!((round.round, num_samples), (Round(0), 0));
            continue;
        };
        assert_eq!((train.num_samples, train.num_steps), (num_samples, num_steps));
        assert!((train.loss.unwrap() - loss / num_samples as f64).abs() < 1e-12);
    }
}

/// Resumes from every round's global model: the records and bits are the same as those of the uninterrupted run.
#[test]
fn resumed_runs_end_with_the_same_bits() {
    for strategy in [Choice::new("FedAvg"), Choice::new("FedProx").with("mu", 0.1), Choice::new("FedNova")] {
        let mut config = config();
        (config.strategy, config.evaluate_every) = (strategy, 2);
        let dummy = dummy(12);
        let every_round = Setup::new(config.clone(), RATES, SEED, dummy.samples.clone(), 1).expect("the settings are possible");
        let whole = run_in_order(Federation::new(every_round.clone(), Arc::new(dummy.initial())).expect("it is sound"), &dummy);
        let mut num_resumed = 0;
        for (place, record) in whole.iter().enumerate() {
            let Record::Checkpoint { round, state, server, .. } = record else { continue };
            let resumed = run_in_order(
                Federation::resume(every_round.clone(), *round, Arc::clone(state), server.as_ref().clone()).expect("it is sound"),
                &dummy,
            );
            assert_eq!(bits(final_state(&resumed)), bits(final_state(&whole)));
            assert_eq!(resumed, after_round(&whole, *round), "resumed after round {round}, record {place}");
            num_resumed += 1;
        }
        assert_eq!(num_resumed, 6);
    }
}

/// Returns the records of an uninterrupted run for the rounds after `last`.
fn after_round(records: &[Record], last: Round) -> Vec<Record> {
    let is_after = |record: &&Record| match record {
        Record::ClientTrained(client) => client.round > last,
        Record::ClientAbsent(absent) => absent.round > last,
        Record::ClientTested(tested) => tested.round > last,
        Record::RoundEnded(record) => record.round > last,
        Record::Checkpoint { round, .. } => *round > last,
        Record::Refused { .. } => panic!("the machine refuses by an error"),
        Record::Finished { .. } => true,
    };
    records.iter().filter(is_after).cloned().collect()
}

/// Plays a run with answers in an order decided by `choices`, with bad messages in between, and checks the invariants at every step.
fn run_disordered(config: &FederatedConfig, dummy: &Dummy, choices: &[u32]) -> Vec<Record> {
    let mut machine = federation(config, dummy);
    let mut outstanding: Vec<Action> = Vec::new();
    let mut records = Vec::new();
    let mut counted: BTreeMap<(Round, ClientId), u32> = BTreeMap::new();
    let mut past: Vec<Event> = Vec::new();
    let mut turn = 0_usize;
    let mut next_choice = |bound: usize| {
        turn += 1;
        choices[turn % choices.len()].wrapping_add((turn / choices.len()) as u32) as usize % bound
    };
    let mut event = Event::Started;
    loop {
        past.push(event.clone());
        for action in machine.step(NOW, event).expect("the event is awaited") {
            match action {
                Action::Record(record) => {
                    if let Record::ClientTrained(client) = &record {
                        *counted.entry((client.round, client.client)).or_default() += 1;
                    }
                    records.push(record);
                }
                Action::Fail(failure) => panic!("{failure}"),
                order => outstanding.push(order),
            }
        }
        if matches!(records.last(), Some(Record::Finished { .. })) {
            assert!(outstanding.is_empty(), "finished with work left: {outstanding:?}");
            break;
        }
        // Everything sent before is refused, and changes nothing.
        let before = machine.clone();
        let replayed = past[next_choice(past.len())].clone();
        machine.step(NOW, replayed).expect_err("it was taken before");
        if let Some(Action::Train(order)) = outstanding.first() {
            let mut update = dummy.answer(order).expect("the order is for the dummy");
            update.state.floats[next_choice(18)] = f32::NAN;
            machine.step(NOW, Event::ClientTrained(update)).expect_err("it is not finite");
        }
        assert_eq!(machine, before);
        let order = outstanding.swap_remove(next_choice(outstanding.len()));
        event = answer(dummy, &order).expect("orders have answers");
    }
    assert_eq!(counted.len(), (config.rounds * config.clients_per_round) as usize);
    assert!(counted.values().all(|&times| times == 1));
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_of_answers_changes_no_bit(
        choices in prop::collection::vec(any::<u32>(), 1..60),
        evaluate_every in 1..8_u32,
        clients_per_round in 1..=12_u32,
        strategy in prop_oneof![Just(Choice::new("FedAvg")), Just(Choice::new("FedProx").with("mu", 0.5)), Just(Choice::new("FedNova"))],
    ) {
        let mut config = config();
        (config.evaluate_every, config.clients_per_round, config.strategy) = (evaluate_every, clients_per_round, strategy);
        let dummy = dummy(12);
        let in_order = run_in_order(federation(&config, &dummy), &dummy);
        let disordered = run_disordered(&config, &dummy, &choices);
        prop_assert_eq!(bits(final_state(&disordered)), bits(final_state(&in_order)));
        prop_assert_eq!(by_kind(&disordered), by_kind(&in_order));
    }

    /// Any messages in any order: no panic, and nothing finishes early.
    #[test]
    fn arbitrary_events_never_panic(messages in prop::collection::vec((0..7_u8, 0..8_u32, 0..14_u32, any::<f32>()), 0..80)) {
        let (config, dummy) = (config(), dummy(12));
        let mut machine = federation(&config, &dummy);
        let (mut num_rounds, mut is_over) = (0, false);
        for (kind, round, client, value) in messages {
            let (round, client) = (Round(round), ClientId(client));
            let mut state = dummy.initial();
            state.floats[0] = value;
            let update = ClientUpdate { round, client, state, train: dummy_summary(), extras: Extras::from([(NORMALIZER.to_owned(), f64::from(value))]), arrays: Arrays::new(), encoded: None, seconds: f64::from(value.abs()) };
            let event = match kind {
                0 => Event::Started,
                1..=3 => Event::ClientTrained(update),
                4 => Event::Evaluated { round, evaluation: good_evaluation(), seconds: f64::from(value) },
                5 if client.0 == 12 => Event::ClientsTested { round, clients: dummy.score_clients(&update.state), seconds: f64::from(value) },
                5 if client.0 == 13 => Event::DeadlinePassed { round },
                _ if client.0 == 13 => Event::EvaluationFailed { round, reason: String::new() },
                _ => Event::ClientFailed { round, client: ClientId(client.0 + 9), reason: String::new() },
            };
            let Ok(actions) = machine.step(NOW, event) else { continue };
            prop_assert!(!is_over);
            for action in actions {
                match action {
                    Action::Record(Record::RoundEnded(record)) => {
                        prop_assert_eq!(record.round, Round(num_rounds));
                        num_rounds += 1;
                    }
                    Action::Record(Record::Finished { .. }) => prop_assert_eq!(num_rounds, config.rounds + 1),
                    Action::Fail(_) => is_over = true,
                    _ => {}
                }
            }
        }
    }
}
