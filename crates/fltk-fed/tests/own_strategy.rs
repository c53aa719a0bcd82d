//! Tests of a strategy of the user's own, which a value that is passed in computes: it is asked once for each round and update, in the order of clients,
//! its terms reach the clients, its state is in checkpoints, and its failures end a run.

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use fltk_core::{
    catalogue::Choice,
    client_terms::{ClientTerms, LocalWork},
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    model_state::ModelState,
    server_state::{ServerState, Shaped},
};
use fltk_fed::{
    dummy::Dummy,
    round::{Action, Event, Federation, Record, Setup},
    strategy::{OwnAnswer, OwnFailure, OwnRound, OwnStrategy, OwnTerms, Update},
};

use support::{NOW, answer, bits, config, dummy, final_state, run_in_order};

/// The plain mean of the models, weighted by samples, plus the number of rounds so far, which is its state.
#[derive(Debug, Default)]
struct Drift {
    round: Mutex<Gathered>,
    /// The round and the call in which it fails.
    fails: Option<(u32, &'static str)>,
}

#[derive(Debug, Default)]
struct Gathered {
    number: u32,
    rounds: f64,
    global: Option<ModelState>,
    updates: Vec<Update>,
}

impl Drift {
    fn fails_in(&self, number: u32, call: &'static str) -> Result<(), OwnFailure> {
        if self.fails == Some((number, call)) { Err(OwnFailure::Code(format!("{call} fails"))) } else { Ok(()) }
    }
}

impl OwnStrategy for Drift {
    fn begin(&self, begun: &OwnRound<'_>) -> Result<Vec<OwnTerms>, OwnFailure> {
        self.fails_in(begun.round.0, "begin")?;
        let rounds = begun.state.get("rounds").map_or(0.0, |kept| kept.values[0]);
        assert_eq!(rounds, f64::from(begun.round.0 - 1), "the state is that of the round before");
        let global = Some(begun.global.clone());
        *self.round.lock().expect("no panic") = Gathered { number: begun.round.0, rounds, global, updates: Vec::new() };
        // Clients with odd numbers take one more step.
        let terms = |(client, terms): &(ClientId, Arc<ClientTerms>)| match client.0 % 2 {
            0 => OwnTerms::of(terms),
            _ => OwnTerms { learning_rate: 0.05, work: LocalWork::Steps(7), ..OwnTerms::of(terms) },
        };
        Ok(begun.clients.iter().map(terms).collect())
    }

    fn take(&self, update: &Update) -> Result<(), OwnFailure> {
        let mut round = self.round.lock().expect("no panic");
        assert!(round.updates.last().is_none_or(|last| last.client < update.client), "in the order of clients");
        round.updates.push(update.clone());
        self.fails_in(round.number, "take")
    }

    fn finish(&self) -> Result<OwnAnswer, OwnFailure> {
        let mut round = self.round.lock().expect("no panic");
        self.fails_in(round.number, "finish")?;
        let updates = std::mem::take(&mut round.updates);
        let mut model = round.global.take().expect("the round has begun");
        let total: u64 = updates.iter().map(|update| update.samples).sum();
        for (place, value) in model.floats.iter_mut().enumerate() {
            let sum: f64 = updates.iter().map(|update| update.samples as f64 * f64::from(update.state.floats[place])).sum();
            *value = (sum / total as f64 + round.rounds) as f32;
        }
        let state = BTreeMap::from([("rounds".to_owned(), Shaped { shape: vec![], values: vec![round.rounds + 1.0] })]);
        Ok(OwnAnswer { model, state })
    }
}

fn own() -> FederatedConfig {
    FederatedConfig { strategy: Choice::python("mine.py:Drift"), rounds: 6, ..config() }
}

fn setup(dummy: &Dummy, strategy: Drift) -> Setup {
    support::setup(&own(), dummy).with_own_strategy(Some(Arc::new(strategy)))
}

fn federation(dummy: &Dummy, strategy: Drift) -> Federation {
    Federation::new(setup(dummy, strategy), Arc::new(dummy.initial())).expect("it is sound")
}

#[test]
fn a_run_that_is_resumed_ends_with_the_same_bits() {
    let dummy = dummy(12);
    let whole = run_in_order(federation(&dummy, Drift::default()), &dummy);
    let mut num_resumed = 0;
    for record in &whole {
        let Record::Checkpoint { round, state, server, .. } = record else { continue };
        assert_eq!(server.own["rounds"].values, [f64::from(round.0)]);
        let resumed = Federation::resume(setup(&dummy, Drift::default()), *round, Arc::clone(state), ServerState::clone(server));
        assert_eq!(bits(final_state(&run_in_order(resumed.expect("it is sound"), &dummy))), bits(final_state(&whole)));
        num_resumed += 1;
    }
    assert_eq!(num_resumed, 2);
}

#[test]
fn terms_reach_the_clients() {
    let dummy = dummy(12);
    let actions = federation(&dummy, Drift::default()).step(NOW, Event::Started).expect("it has not been started");
    let orders = actions.iter().filter_map(|action| if let Action::Train(order) = action { Some(order) } else { None });
    let mut num_orders = 0;
    for order in orders {
        let expected = if order.client.0 % 2 == 0 { (0.1, LocalWork::Epochs(1.0)) } else { (0.05, LocalWork::Steps(7)) };
        assert_eq!((order.terms.learning_rate, order.terms.work), expected, "{}", order.client);
        num_orders += 1;
    }
    assert_eq!(num_orders, 5);
}

#[test]
fn failures_end_the_run_in_their_round() {
    let dummy = dummy(12);
    for (round, call) in [(1, "begin"), (3, "begin"), (2, "take"), (2, "finish")] {
        let mut federation = federation(&dummy, Drift { fails: Some((round, call)), ..Drift::default() });
        let mut events = std::collections::VecDeque::from([Event::Started]);
        let mut failure = None;
        while let (Some(event), None) = (events.pop_front(), &failure) {
            for action in federation.step(NOW, event).expect("the events are in order") {
                events.extend(answer(&dummy, &action));
                if let Action::Fail(reason) = action {
                    failure = Some(reason.to_string());
                }
            }
        }
        assert_eq!(failure, Some(format!("the strategy failed in round `{round}`: {call} fails")));
    }
}

#[test]
fn a_strategy_that_is_not_there_is_refused() {
    let dummy = dummy(12);
    let setup = support::setup(&own(), &dummy);
    let refused = Federation::resume(setup, Round(0), Arc::new(dummy.initial()), ServerState::default()).expect_err("nobody combines");
    assert_eq!(refused.to_string(), "the strategy `mine.py:Drift` is the user's own, and isn't there");
}
