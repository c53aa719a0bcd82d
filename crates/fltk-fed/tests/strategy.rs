//! Tests of a strategy that isn't in the catalogue: its terms reach the clients, and its state survives a crash to the bit.

mod support;

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Entry, StrategyEntry},
    client_terms::LocalWork,
    experiment::FederatedConfig,
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, Event, Federation, Record, Setup},
    selection,
    strategy::{Extra, Gathered, Gathering, Spec, Update},
};

use support::{NOW, RATES, SEED, answer, bits, config, dummy, final_state, run_in_order};

/// Momentum on the server, on the plain mean of the clients' changes. It asks for half the learning rate, for one more local step in every
/// round, and for the number of steps in return. It keeps all updates until the round is complete.
static MOMENTUM: Spec = Spec {
    extras: &[Extra { name: "num_steps", doc: "", is_possible: |value, num_steps| value == num_steps as f64 }],
    set_terms: |_, server, terms| {
        terms.learning_rate *= 0.5;
        terms.work = LocalWork::Steps(1 + server.scalars.get("rounds").map_or(0, |&rounds| rounds as u64));
    },
    ..Spec::collect(
        StrategyEntry::new(Entry::new("Momentum", "Momentum on the server, for a test.")),
        |round: &Gathering<'_>, gathered: Gathered, server: &mut ServerState| -> Result<ModelState, WrongLength> {
            *server.scalars.entry("rounds".to_owned()).or_default() += 1.0;
            let velocity = server.array("velocity", round.global.floats.len())?;
            let updates: &[Update] = &gathered.updates;
            assert!(updates.windows(2).all(|pair| pair[0].client < pair[1].client), "in the order of clients");
            let mut state = ModelState::clone(round.global);
            for (place, (value, velocity)) in state.floats.iter_mut().zip(velocity).enumerate() {
                let change: f64 = updates.iter().map(|update| f64::from(update.state.floats[place]) - f64::from(*value)).sum();
                *velocity = 0.9 * *velocity + change / updates.len() as f64;
                *value = (f64::from(*value) + *velocity) as f32;
            }
            state.counters = updates.iter().map(|update| update.state.counters.clone()).max().unwrap_or_default();
            Ok(state)
        },
    )
};

fn config_of_it() -> FederatedConfig {
    FederatedConfig { rounds: 8, strategy: Choice::new("Momentum"), ..config() }
}

fn setup_of_it(config: &FederatedConfig, dummy: &Dummy, checkpoint_every: u32) -> Setup {
    let random = selection::by_name("random").expect("it is in the catalogue");
    let samples = dummy.samples.clone();
    Setup::with(&MOMENTUM, random, config.clone(), RATES, SEED, samples, checkpoint_every).expect("the settings are possible")
}

#[test]
fn strategy_state_survives_a_crash_bit_for_bit() {
    let (config, dummy) = (config_of_it(), dummy(12));
    let setup = || setup_of_it(&config, &dummy, 1);
    let whole = run_in_order(Federation::new(setup(), Arc::new(dummy.initial())).expect("it is sound"), &dummy);
    let mut num_resumed = 0;
    for record in &whole {
        let Record::Checkpoint { round, state, server, .. } = record else { continue };
        assert_eq!(server.scalars["rounds"], f64::from(round.0));
        let resume = |server| Federation::resume(setup(), *round, Arc::clone(state), server).expect("it is sound");
        let resumed = run_in_order(resume(server.as_ref().clone()), &dummy);
        assert_eq!(bits(final_state(&resumed)), bits(final_state(&whole)));
        // The state matters: without it the run ends differently, unless nothing is left to train.
        let forgetful = run_in_order(resume(ServerState::default()), &dummy);
        assert_eq!(bits(final_state(&forgetful)) == bits(final_state(&whole)), round.0 == config.rounds);
        num_resumed += 1;
    }
    assert_eq!(num_resumed, 8);
}

#[test]
fn strategy_extras_reach_clients_and_are_checked() {
    let (config, dummy) = (config_of_it(), dummy(12));
    let mut federation = Federation::new(setup_of_it(&config, &dummy, 3), Arc::new(dummy.initial())).expect("the dummy's state is sound");
    let actions = federation.step(NOW, Event::Started).expect("it has not been started");
    let mut asked = Vec::new();
    let mut todo = actions;
    while asked.len() < 10 {
        let Action::Train(order) = todo.remove(0) else { continue };
        asked.push((order.round.0, order.terms.learning_rate, order.terms.work, order.terms.extras.clone()));
        let mut event = answer(&dummy, &Action::Train(order)).expect("it is for the dummy");
        if let Event::ClientTrained(update) = &mut event {
            let honest = update.extras.insert("num_steps".to_owned(), 0.5).expect("it was asked for");
            let text = federation.step(NOW, Event::ClientTrained(update.clone())).expect_err("half a step is none").to_string();
            assert!(text.ends_with("can't be used: its num_steps is 0.5"), "{text}");
            update.extras.insert("num_steps".to_owned(), honest);
        }
        todo.extend(federation.step(NOW, event).expect("it is awaited"));
    }
    let expected = |round| (round, 0.05, LocalWork::Steps(u64::from(round)), vec!["num_steps".to_owned()]);
    assert_eq!(asked, [vec![expected(1); 5], vec![expected(2); 5]].concat());
}

#[test]
fn arrays_of_clients_are_checked() {
    let dummy = dummy(12);
    let config = fltk_core::experiment::FederatedConfig { strategy: Choice::new("SCAFFOLD"), ..support::config() };
    let mut federation = support::federation(&config, &dummy);
    let mut actions = federation.step(NOW, Event::Started).expect("it has not been started");
    let Some(Action::Train(order)) = actions.pop() else { panic!("{actions:?}") };
    let update = dummy.answer(&order).expect("it is for the dummy");
    let mut refused = |array: Option<Vec<f32>>, expected: &str| {
        let arrays = array.map(|array| [("control_change".to_owned(), array)].into()).unwrap_or_default();
        let event = Event::ClientTrained(fltk_fed::round::ClientUpdate { arrays, ..update.clone() });
        let error = federation.step(NOW, event).expect_err("it can't be used").to_string();
        assert!(error.ends_with(expected), "{error}");
    };
    let len = order.state.floats.len() - 1;
    refused(None, "can't be used: the array `control_change` is missing");
    refused(Some(vec![0.0; len + 1]), &format!("the array `control_change` has {} elements, the model needs {len}", len + 1));
    refused(Some([vec![0.0; len - 1], vec![f32::NAN]].concat()), "hint: training diverged, a lower learning rate may help");
    let event = Event::ClientTrained(update.with_arrays([("control_change".to_owned(), vec![0.0; len])].into()));
    federation.step(NOW, event).expect("it can be used");
}

#[test]
fn a_net_without_what_a_strategy_keeps_is_refused() {
    let dummy = dummy(12);
    let refusal = |strategy: Choice| {
        let config = fltk_core::experiment::FederatedConfig { strategy, ..support::config() };
        let mut state = dummy.initial();
        let mut layout = state.layout.to_vec();
        for (spec, name) in layout.iter_mut().zip(["weight", "average", "count"]) {
            spec.name = name.to_owned();
        }
        state.layout = layout.into();
        Federation::new(support::setup(&config, &dummy), Arc::new(state)).expect_err("it doesn't fit").to_string()
    };
    let text = refusal(Choice::new("FedBN"));
    assert!(text.starts_with("`FedBN` keeps batch norms at the clients, and this net has none\nhint: "), "{text}");
    let text = refusal(Choice::new("FedPer").with("personal_layers", 2));
    assert_eq!(text, "`personal_layers` is 2, and this net has only 1 layer with parameters\nhint: choose a net with more layers");
}

#[test]
fn strategy_state_of_another_model_fails_the_round() {
    let (config, dummy) = (config_of_it(), dummy(12));
    let mut server = ServerState::default();
    server.arrays.insert("velocity".to_owned(), vec![0.0; 3]);
    let setup = setup_of_it(&config, &dummy, 3);
    let mut federation = Federation::resume(setup, fltk_core::ids::Round(0), Arc::new(dummy.initial()), server).expect("it is sound");
    let mut todo = federation.step(NOW, Event::Started).expect("it has not been started");
    let failure = loop {
        match todo.remove(0) {
            Action::Fail(failure) => break failure.to_string(),
            action => {
                todo.extend(answer(&dummy, &action).map(|event| federation.step(NOW, event).expect("it is awaited")).unwrap_or_default())
            }
        }
    };
    assert_eq!(failure, "round `1` can't be aggregated: the strategy's array `velocity` has 3 elements, the model needs 18");
}
