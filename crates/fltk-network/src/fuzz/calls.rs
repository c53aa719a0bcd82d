//! Calls of a hub, in any order.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fltk_core::{
    client_terms::{ClientTerms, LocalWork},
    ids::{ClientId, Round},
    metrics::TrainSummary,
    model_state::ModelState,
    seed::Seed,
};
use fltk_fed::{
    round::{ClientUpdate, LossOrder, SettingsDigest, Timestamp, TrainOrder},
    transport::worker::Order,
};

use crate::{
    draws::Draws,
    hub::{Hub, Joined, Lost, NodeId, Output, OwnData},
    wire::{order::Key, update::ReadyMessage, v1},
};

/// The calls after which a new hub is taken: so many that most of what can be has been.
const CALLS_MAX: u32 = 300;

/// The numbers of nodes, rounds, clients and attempts: few, so that messages meet.
const NODES: u64 = 4;
const ROUNDS: u64 = 3;
const CLIENTS: u64 = 6;
const ATTEMPTS: u64 = 4;

/// A hub, and the time.
pub(super) struct Calls {
    hub: Hub,
    now: Timestamp,
    num_calls: u32,
    /// The orders that were given and mostly weren't answered.
    given: Vec<(NodeId, Key, u32)>,
    model: Arc<ModelState>,
    terms: Arc<ClientTerms>,
}

impl Calls {
    pub(super) fn new() -> Self {
        let (arrays, extras, keeps) = (Arc::default(), vec![], vec![]);
        let terms = ClientTerms { learning_rate: 0.1, work: LocalWork::Steps(5), proximal_mu: 0.0, arrays, extras, keeps };
        let model = ModelState { layout: Arc::default(), floats: vec![], counters: vec![] };
        Self {
            hub: Hub::new(Duration::from_secs(20)),
            now: Timestamp::default(),
            num_calls: 0,
            given: Vec::new(),
            model: Arc::new(model),
            terms: Arc::new(terms),
        }
    }

    /// Makes a call, and takes what the hub decides.
    pub(super) fn call(&mut self, draws: &mut Draws) {
        self.num_calls += 1;
        if self.num_calls.is_multiple_of(CALLS_MAX) {
            (self.hub, self.now) = (Hub::new(Duration::from_secs(20)), Timestamp::default());
            self.given.clear();
        }
        self.now.0 += Duration::from_millis(draws.below(2000));
        for output in self.act(draws) {
            if let Output::Give { node, order, attempt } = output {
                assert!(self.hub.nodes().any(|(id, ..)| id == node), "{node:?} isn't there");
                let (client, is_loss) = match &order {
                    Order::Train(order) => (order.client, false),
                    Order::Measure(order) => (order.client, true),
                };
                self.given.push((node, Key { round: order.round(), client, is_loss }, attempt));
            }
        }
        assert!(self.hub.num_in_flight() as u64 <= 2 * ROUNDS * CLIENTS);
    }

    fn act(&mut self, draws: &mut Draws) -> Vec<Output> {
        let now = self.now;
        // Mostly a node that has something, and what it has.
        let (node, key, attempt) = match self.given.len() {
            0 => any(draws),
            _ if draws.once_in(4) => any(draws),
            len => self.given[draws.index(len)],
        };
        match draws.below(16) {
            0 => self.order(draws),
            1 => {
                let held: Vec<_> = (0..draws.below(4)).map(|_| any(draws)).map(|(_, key, attempt)| (key, attempt)).collect();
                let own = draws.once_in(5).then(|| OwnData { client: ClientId(u32::from(draws.once_in(2))), num_samples: draws.next() });
                let workers = if draws.once_in(50) { u32::MAX } else { 1 + u32::from(draws.once_in(2)) };
                self.hub.joined(now, node, Joined { name: String::new(), processor: String::new(), workers, own }, &held)
            }
            2 => self.hub.left(now, node, if draws.once_in(2) { Lost::Disconnected } else { Lost::Misbehaved }),
            3..6 => self.hub.ready(now, node, ready(key, attempt)),
            6 => self.hub.measured(now, node, key, attempt, 0.5),
            7 => self.hub.failed(now, node, key, attempt, String::new(), draws.once_in(10)),
            8 | 9 => self.hub.collect(now, key.round, key.client),
            10 | 11 => {
                drop((self.hub.begins(node, key, attempt), self.hub.training(key)));
                self.hub.delivered(now, node, attempt, self.update(key))
            }
            12 => self.hub.broke_off(now, node, key, attempt),
            13 => self.hub.damaged(now, node, key, ""),
            14 => match draws.below(4) {
                0 => self.hub.revoke(now, key.round),
                1 => {
                    self.hub.heard(now, node);
                    self.hub.taken(key);
                    Vec::new()
                }
                _ => self.hub.refused(now, key).1,
            },
            _ => self.hub.tick(now),
        }
    }

    fn order(&mut self, draws: &mut Draws) -> Vec<Output> {
        let orders = (0..draws.below(5)).map(|_| {
            let (_, Key { round, client, is_loss }, _) = any(draws);
            let (state, given, settings) = (Arc::clone(&self.model), self.now, SettingsDigest::default());
            if is_loss {
                return Order::Measure(LossOrder { round, client, seed: Seed(1), state, num_samples: 0, given, settings });
            }
            let terms = Arc::clone(&self.terms);
            Order::Train(TrainOrder { round, client, seed: Seed(1), state, terms, kept: None, flips_labels: false, given, settings })
        });
        let orders = orders.collect();
        self.hub.order(self.now, orders)
    }

    fn update(&self, Key { round, client, .. }: Key) -> ClientUpdate {
        let train = TrainSummary { num_samples: 1, num_steps: 1, loss: None };
        let (extras, arrays) = (BTreeMap::new(), BTreeMap::new());
        ClientUpdate { round, client, state: self.model.as_ref().clone(), train, extras, arrays, encoded: None, seconds: 0.0 }
    }
}

/// Returns any node, work and attempt.
fn any(draws: &mut Draws) -> (NodeId, Key, u32) {
    let small = |draws: &mut Draws, limit| u32::try_from(draws.below(limit)).unwrap_or_default();
    let node = NodeId([draws.below(NODES).to_le_bytes()[0]; 16]);
    let (round, client) = (Round(small(draws, ROUNDS)), ClientId(small(draws, CLIENTS)));
    let attempt = if draws.once_in(50) { u32::MAX } else { small(draws, ATTEMPTS) };
    (node, Key { round, client, is_loss: draws.once_in(4) }, attempt)
}

fn ready(key: Key, attempt: u32) -> ReadyMessage {
    let update = Some(v1::Object { digest: vec![0; 32], num_bytes: 100 });
    let message = v1::Ready { id: Some(key.id(attempt)), update, ..v1::Ready::default() };
    message.try_into().expect("it has all parts")
}
