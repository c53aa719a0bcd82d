//! Tests of a strategy whose clients keep state, with a trainer that uses it: a run that is killed at any record ends with the same bits.

mod support;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use fltk_core::{
    catalogue::{Choice, Entry, StrategyEntry},
    client_state::ClientState,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};
use fltk_fed::{
    BoxError,
    client::{ClientStates, with_state},
    dummy::Dummy,
    round::{Action, ClientUpdate, Event, Federation, Record, SettingsDigest, Setup, TrainOrder},
    selection,
    strategy::{Gathered, Gathering, Spec, Update},
};

use support::{NOW, RATES, SEED, answer, bits, config, dummy, final_state};

/// The plain mean of the clients' models. Each client keeps a part of every change for its next round.
static HOARDING: Spec = Spec {
    keeps: &["held_back", "turns"],
    ..Spec::collect(
        StrategyEntry::new(Entry::new("Hoarding", "Clients hold back a part of each change, for a test.")),
        |round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState| -> Result<ModelState, WrongLength> {
            let updates: &[Update] = &gathered.updates;
            let mut state = ModelState::clone(round.global);
            for (place, value) in state.floats.iter_mut().enumerate() {
                let sum: f64 = updates.iter().map(|update| f64::from(update.state.floats[place])).sum();
                *value = (sum / updates.len() as f64) as f32;
            }
            Ok(state)
        },
    )
};

fn config_of_it() -> FederatedConfig {
    FederatedConfig { rounds: 8, strategy: Choice::new("Hoarding"), ..config() }
}

fn setup_of_it(dummy: &Dummy) -> Setup {
    let random = selection::by_name("random").expect("it is in the catalogue");
    Setup::with(&HOARDING, random, config_of_it(), RATES, SEED, dummy.samples.clone(), 3).expect("the settings are possible")
}

/// States in memory, all that were ever saved.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<(ClientId, Round), ClientState>>);

impl ClientStates for Memory {
    fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError> {
        let states = self.0.lock().map_err(|_| "poisoned")?;
        Ok(states.get(&(client, round)).ok_or_else(|| format!("client `{client}` kept nothing after round `{round}`"))?.clone())
    }

    fn save(&self, client: ClientId, round: Round, state: &ClientState) -> Result<(), BoxError> {
        self.0.lock().map_err(|_| "poisoned")?.insert((client, round), state.clone());
        Ok(())
    }
}

fn train(dummy: &Dummy, states: &Memory, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
    with_state(Some(states), None, order, |state| {
        let mut update = dummy.answer(order)?;
        let held_back = state.array("held_back", update.state.floats.len())?;
        for ((value, start), held_back) in update.state.floats.iter_mut().zip(&order.state.floats).zip(held_back) {
            let change = *value - start + *held_back;
            *value = start + 0.75 * change;
            *held_back = 0.25 * change;
        }
        *state.scalars.entry("turns".to_owned()).or_default() += 1.0;
        Ok(update)
    })
}

/// Runs `federation` until `stop_at` records were made, or to its end; returns the records.
fn run(mut federation: Federation, dummy: &Dummy, states: &Memory, stop_at: usize, seen: &mut dyn FnMut(&TrainOrder)) -> Vec<Record> {
    let (mut records, mut events) = (Vec::new(), VecDeque::from([Event::Started]));
    while let Some(event) = events.pop_front() {
        for action in federation.step(NOW, event).expect("the events are in order") {
            match action {
                Action::Train(order) => {
                    seen(&order);
                    events.push_back(Event::ClientTrained(train(dummy, states, &order).expect("it can train")));
                }
                Action::Record(record) => records.push(record),
                Action::Fail(failure) => panic!("{failure}"),
                Action::Collect { .. } | Action::Revoke { .. } | Action::Measure(_) | Action::Evaluate(_) => {
                    events.extend(answer(dummy, &action))
                }
            }
            if records.len() == stop_at {
                return records;
            }
        }
    }
    records
}

fn new(dummy: &Dummy) -> Federation {
    Federation::new(setup_of_it(dummy), Arc::new(dummy.initial())).expect("it is sound")
}

#[test]
fn killed_at_every_record_it_ends_with_the_same_bits_and_states() {
    let dummy = dummy(12);
    let states = Memory::default();
    let whole = run(new(&dummy), &dummy, &states, usize::MAX, &mut |_| ());
    let expected = states.0.into_inner().expect("nobody panicked");
    for stop_at in 1..=whole.len() {
        let states = Memory::default();
        let begun = run(new(&dummy), &dummy, &states, stop_at, &mut |_| ());
        let checkpoint = begun.iter().rev().find_map(|record| match record {
            Record::Checkpoint { round, state, server, .. } => Some((*round, Arc::clone(state), server.as_ref().clone())),
            _ => None,
        });
        let (round, state, server) = checkpoint.unwrap_or_else(|| (Round(0), Arc::new(dummy.initial()), ServerState::default()));
        // What was kept after the checkpoint doesn't count, whatever it is.
        for (&(_, after), state) in states.0.lock().expect("nobody panicked").iter_mut() {
            if after > round {
                *state = ClientState { scalars: [("turns".to_owned(), 1e6)].into(), ..ClientState::default() };
            }
        }
        let resumed = Federation::resume(setup_of_it(&dummy), round, state, server).expect("it is sound");
        let records = run(resumed, &dummy, &states, usize::MAX, &mut |_| ());
        assert_eq!(bits(final_state(&records)), bits(final_state(&whole)), "killed after {stop_at} records");
        assert_eq!(states.0.into_inner().expect("nobody panicked"), expected, "killed after {stop_at} records");
    }
}

#[test]
fn a_client_that_pauses_goes_on_from_its_own_last_round() {
    let (dummy, states) = (dummy(12), Memory::default());
    let turns: RefCell<BTreeMap<ClientId, Vec<Round>>> = RefCell::default();
    run(new(&dummy), &dummy, &states, usize::MAX, &mut |order| {
        let mut turns = turns.borrow_mut();
        let turns = turns.entry(order.client).or_default();
        assert_eq!(order.kept, turns.last().copied(), "{order:?}");
        turns.push(order.round);
    });
    let turns = turns.into_inner();
    assert!(turns.values().any(|rounds| rounds.windows(2).any(|pair| pair[1].0 > pair[0].0 + 2)), "somebody paused");
    for (client, rounds) in turns {
        let last = states.load(client, *rounds.last().expect("it had a turn")).expect("it is kept");
        assert_eq!(last.scalars["turns"], rounds.len() as f64);
    }
}

/// Carries out an order of round 1 that keeps `held_back`; returns the error.
fn refusal(states: Option<&dyn ClientStates>, change: &dyn Fn(&mut TrainOrder), keep: &dyn Fn(&mut ClientState)) -> String {
    let dummy = dummy(12);
    let mut order = support::order(&dummy, Round(1), ClientId(3));
    order.terms = Arc::new(setup_of_it(&dummy).terms(Round(1), &ServerState::default()));
    change(&mut order);
    let trained = with_state(states, None, &order, |state| {
        keep(state);
        dummy.answer(&order)
    });
    trained.expect_err("it is refused").to_string()
}

#[test]
fn what_cannot_be_kept_is_refused_and_nothing_is_saved() {
    let memory = Memory::default();
    let scalar = |name: &'static str, value: f64| move |state: &mut ClientState| state.scalars.extend([(name.to_owned(), value)]);
    let check = |keep: &dyn Fn(&mut ClientState), expected: &str| {
        let found = refusal(Some(&memory), &|_| (), keep);
        assert!(found.contains(expected), "{found}");
    };
    check(&scalar("other", 1.0), "wants to keep `other`, which the strategy doesn't keep");
    check(&scalar("turns", f64::NAN), "a number in `turns` that isn't finite");
    check(&|state| state.arrays.extend([("held_back".to_owned(), vec![0.0, f32::INFINITY])]), "a number in `held_back`");
    assert!(refusal(None, &|_| (), &scalar("turns", 1.0)).contains("there is no place for it here"));
    // The state that it should go on from is gone: a fresh one would be another training.
    let gone = refusal(Some(&memory), &|order| order.kept = Some(Round(7)), &scalar("turns", 1.0));
    assert_eq!(gone, "client `3` kept nothing after round `7`");
    // A strategy that keeps nothing leaves no state, even where there is a place for it.
    let keeps_nothing = |order: &mut TrainOrder| Arc::make_mut(&mut order.terms).keeps.clear();
    assert!(refusal(Some(&memory), &keeps_nothing, &scalar("turns", 1.0)).contains("wants to keep `turns`"));
    assert!(memory.0.into_inner().expect("nobody panicked").is_empty());
}

#[test]
fn orders_name_the_settings_and_others_refuse_them() {
    let dummy = dummy(12);
    let settings = SettingsDigest([7; 32]);
    let setup = setup_of_it(&dummy).for_settings(settings);
    let mut federation = Federation::new(setup, Arc::new(dummy.initial())).expect("it is sound");
    let orders = federation.step(NOW, Event::Started).expect("it has not been started");
    let orders: Vec<TrainOrder> =
        orders.into_iter().filter_map(|action| if let Action::Train(order) = action { Some(order) } else { None }).collect();
    assert_eq!(orders.len(), 5);
    for order in orders {
        order.check_settings(settings).expect("they are the same");
        let refused = order.check_settings(SettingsDigest([0xab; 32])).expect_err("they are others").to_string();
        for words in ["07".repeat(32), "ab".repeat(32), "hint: ".to_owned()] {
            assert!(refused.contains(&words), "{refused}");
        }
    }
}
