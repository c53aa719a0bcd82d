//! Tests of the hub: each transition by itself, and whole runs over nodes that come, go and fail.

mod simulation;

use std::sync::Arc;

use fltk_core::{
    client_terms::{ClientTerms, LocalWork},
    metrics::TrainSummary,
    model_state::ModelState,
    seed::Seed,
};
use fltk_fed::round::{ClientUpdate, LossOrder, SettingsDigest, TrainOrder};

use super::*;
use crate::wire::v1;

const A: NodeId = NodeId([0xa; 16]);
const B: NodeId = NodeId([0xb; 16]);
const C: NodeId = NodeId([0xc; 16]);

/// The round of all orders here.
const ROUND: Round = Round(1);

/// A hub, and the time.
struct Bench {
    hub: Hub,
    now: Timestamp,
}

fn at(millis: u64) -> Timestamp {
    Timestamp(Duration::from_millis(millis))
}

fn key(client: u32) -> Key {
    Key { round: ROUND, client: ClientId(client), is_loss: false }
}

fn loss_key(client: u32) -> Key {
    Key { is_loss: true, ..key(client) }
}

fn model() -> Arc<ModelState> {
    Arc::new(ModelState { layout: Arc::default(), floats: vec![], counters: vec![] })
}

fn train(client: u32) -> Order {
    let (arrays, extras) = (Arc::default(), vec![]);
    let terms =
        ClientTerms { learning_rate: 0.1, work: LocalWork::Epochs(1.0), proximal_mu: 0.0, arrays, extras, keeps: vec!["kept".to_owned()] };
    Order::Train(TrainOrder {
        round: ROUND,
        client: ClientId(client),
        seed: Seed(1),
        state: model(),
        terms: Arc::new(terms),
        kept: None,
        flips_labels: false,
        given: Timestamp::default(),
        settings: SettingsDigest::default(),
    })
}

fn measure(client: u32) -> Order {
    let (given, settings) = (Timestamp::default(), SettingsDigest::default());
    Order::Measure(LossOrder { round: ROUND, client: ClientId(client), seed: Seed(1), state: model(), num_samples: 0, given, settings })
}

fn ready(client: u32, attempt: u32) -> ReadyMessage {
    let object = v1::Object { digest: vec![0; 32], num_bytes: 1 };
    let message = v1::Ready { id: Some(key(client).id(attempt)), update: Some(object), ..v1::Ready::default() };
    message.try_into().expect("it has all parts")
}

fn update(client: u32) -> ClientUpdate {
    let train = TrainSummary { num_samples: 1, num_steps: 1, loss: None };
    let (extras, arrays) = (BTreeMap::new(), BTreeMap::new());
    ClientUpdate {
        round: ROUND,
        client: ClientId(client),
        state: model().as_ref().clone(),
        train,
        extras,
        arrays,
        encoded: None,
        seconds: 0.0,
    }
}

/// Returns outputs as short texts: what is done, at which node, with which client and attempt.
fn told(outputs: Vec<Output>) -> Vec<String> {
    let name = |node: NodeId| char::from_digit(node.0[0].into(), 16).expect("it is one digit");
    let of = |key: Key| format!("{}{}", if key.is_loss { "loss of " } else { "" }, key.client);
    let text = |output| match output {
        Output::Give { node, order, attempt } => format!("give {} {} #{attempt}", name(node), of(Work::new(order).key())),
        Output::Collect { node, ready } => format!("collect {} {} #{}", name(node), of(ready.key), ready.attempt),
        Output::Release { node, key, attempt } => format!("release {} {} #{attempt}", name(node), of(key)),
        Output::Event(Event::ClientReady { client, .. }) => format!("ready {client}"),
        Output::Event(Event::ClientTrained(update)) => format!("trained {}", update.client),
        Output::Event(Event::ClientFailed { client, reason, .. }) => format!("failed {client}: {reason}"),
        Output::Event(Event::LossMeasured { client, loss, .. }) => format!("loss of {client} is {loss}"),
        Output::Event(Event::LossFailed { client, reason, .. }) => format!("loss of {client} failed: {reason}"),
        Output::Event(Event::ClientCame { client, num_samples }) => format!("{client} came with {num_samples}"),
        Output::Event(Event::ClientLeft { client }) => format!("{client} left"),
        Output::Event(event) => panic!("{event:?}"),
        Output::Close { node, reason, .. } => format!("close {}: {reason}", name(node)),
        Output::Over(key) => format!("over {}", of(key)),
        Output::Refused { node, reason } => format!("refused {} {}", name(node), reason.word()),
    };
    outputs.into_iter().map(text).collect()
}

impl Bench {
    fn new() -> Self {
        Self { hub: Hub::new(Duration::from_secs(10)), now: at(0) }
    }

    /// Creates a hub with nodes of so many workers, and so many orders to train.
    fn with(nodes: &[(NodeId, u32)], num_clients: u32) -> Self {
        let mut bench = Self::new();
        for (node, workers) in nodes {
            let _ = bench.joins(*node, *workers, &[]);
        }
        let _ = bench.order((0..num_clients).map(train).collect());
        bench
    }

    fn joins(&mut self, node: NodeId, workers: u32, held: &[(Key, u32)]) -> Vec<String> {
        let joined = Joined { name: format!("{node:?}"), processor: "one".to_owned(), workers, own: None };
        told(self.hub.joined(self.now, node, joined, held))
    }

    fn order(&mut self, orders: Vec<Order>) -> Vec<String> {
        told(self.hub.order(self.now, orders))
    }

    fn ready(&mut self, node: NodeId, client: u32, attempt: u32) -> Vec<String> {
        told(self.hub.ready(self.now, node, ready(client, attempt)))
    }

    fn collect(&mut self, client: u32) -> Vec<String> {
        told(self.hub.collect(self.now, ROUND, ClientId(client)))
    }

    fn delivered(&mut self, node: NodeId, client: u32, attempt: u32) -> Vec<String> {
        told(self.hub.delivered(self.now, node, attempt, update(client)))
    }

    fn fails(&mut self, node: NodeId, client: u32, attempt: u32) -> Vec<String> {
        told(self.hub.failed(self.now, node, key(client), attempt, "no memory".to_owned(), false))
    }

    fn damaged(&mut self, node: NodeId, client: u32) -> Vec<String> {
        told(self.hub.damaged(self.now, node, key(client), "a bit"))
    }

    fn leaves(&mut self, node: NodeId) -> Vec<String> {
        told(self.hub.left(self.now, node, Lost::Disconnected))
    }

    fn refused(&mut self, client: u32) -> (bool, Vec<String>) {
        let (again, outputs) = self.hub.refused(self.now, key(client));
        (again, told(outputs))
    }

    fn tick(&mut self, millis: u64) -> Vec<String> {
        self.now = at(millis);
        told(self.hub.tick(self.now))
    }

    /// Checks that nothing changes, but for the counts of what was refused.
    fn unchanged(&mut self, what: &str, expected: &[&str], act: impl FnOnce(&mut Self) -> Vec<String>) {
        let before = format!("{:?}", self.hub);
        assert_eq!(act(self), expected, "{what}");
        assert_eq!(format!("{:?}", self.hub), before, "{what}");
    }
}

#[test]
fn work_goes_to_the_freest_node_in_client_order() {
    let mut bench = Bench::new();
    let orders = || [4, 2, 0, 3, 1].map(train).into();
    assert_eq!(bench.order(orders()), [""; 0], "nobody is there");
    assert_eq!(bench.joins(B, 1, &[]), ["give b 0 #1"]);
    assert_eq!(bench.joins(A, 2, &[]), ["give a 1 #1", "give a 2 #1"]);
    assert_eq!(bench.ready(A, 1, 1), ["ready 1", "give a 3 #1"]);
    assert_eq!(bench.hub.num_in_flight(), 3);
    let mut bench = Bench::with(&[(A, 1), (B, 3)], 0);
    let all_free = ["give a 0 #1", "give b 1 #1", "give b 2 #1", "give b 3 #1"];
    assert_eq!(
        bench.order(orders()),
        all_free,
        "the node with the larger free share comes first, and of two the one with the smaller identity"
    );
    assert_eq!(bench.ready(B, 2, 1), ["ready 2", "give b 4 #1"]);
    let mut bench = Bench::with(&[(A, 1)], 0);
    assert_eq!(bench.order(vec![measure(7), train(6)]), ["give a 6 #1"]);
    assert_eq!(bench.ready(A, 6, 1), ["ready 6", "give a loss of 7 #1"]);
    assert_eq!(told(bench.hub.measured(at(5), A, loss_key(7), 1, 0.5)), ["over loss of 7", "loss of 7 is 0.5"]);
    assert_eq!(bench.hub.num_in_flight(), 0);
}

#[test]
fn an_update_is_announced_asked_for_and_brought() {
    let mut bench = Bench::with(&[(A, 1)], 2);
    assert_eq!(bench.collect(0), [""; 0], "it isn't ready");
    assert_eq!(bench.ready(A, 0, 1), ["collect a 0 #1", "ready 0", "give a 1 #1"]);
    assert_eq!(bench.hub.training(key(0)).expect("it is open").terms.keeps, ["kept"]);
    assert_eq!(told(bench.hub.broke_off(at(0), A, key(0), 1)), ["collect a 0 #1"], "it goes on where it was");
    assert_eq!(bench.delivered(A, 0, 1), ["release a 0 #1", "over 0", "trained 0"]);
    assert_eq!(told(bench.hub.broke_off(at(0), A, key(0), 1)), [""; 0]);
    assert_eq!(bench.ready(A, 1, 1), ["ready 1"]);
    assert_eq!(bench.collect(1), ["collect a 1 #1"]);
    bench.now = at(500);
    assert_eq!(bench.delivered(A, 1, 1), ["release a 1 #1", "over 1", "trained 1"]);
    let (_, _, figures) = bench.hub.nodes().next().expect("it is there");
    assert_eq!(figures, Figures { num_updates: 2, ..Figures::default() });
    assert_eq!(bench.collect(9), [""; 0], "nobody has such an order");
}

#[test]
fn work_of_a_lost_node_goes_to_another() {
    let mut bench = Bench::with(&[(A, 1)], 1);
    assert_eq!(bench.leaves(A), ["close a: its connection ended"]);
    assert_eq!(bench.leaves(A), [""; 0], "it is lost already");
    assert_eq!(bench.joins(B, 1, &[]), ["give b 0 #2"]);
    // What was ready there is done again, and not announced twice.
    assert_eq!(bench.ready(B, 0, 2), ["ready 0"]);
    assert_eq!(bench.joins(C, 1, &[]), [""; 0]);
    assert_eq!(bench.leaves(B), ["close b: its connection ended", "give c 0 #3"]);
    assert_eq!(bench.collect(0), [""; 0], "it isn't ready any more");
    assert_eq!(bench.ready(C, 0, 3), ["collect c 0 #3"], "it was asked for");
    assert_eq!(bench.delivered(C, 0, 3), ["release c 0 #3", "over 0", "trained 0"]);
}

#[test]
fn a_node_that_comes_back_keeps_its_work() {
    let mut bench = Bench::with(&[(A, 2)], 2);
    assert_eq!(bench.leaves(A), ["close a: its connection ended"]);
    assert_eq!(bench.joins(A, 2, &[(key(0), 1), (key(1), 1)]), [""; 0]);
    assert_eq!(bench.ready(A, 0, 1), ["ready 0"]);
    // It comes back before anybody has noticed that it was away.
    assert_eq!(bench.joins(A, 2, &[(key(0), 1), (key(1), 1)]), ["close a: it came back on another connection"]);
    assert_eq!(bench.ready(A, 0, 1), [""; 0], "the round knows");
    assert_eq!(bench.collect(0), ["collect a 0 #1"]);
    // Meanwhile others began with its work: the first answer counts.
    assert_eq!(bench.leaves(A), ["close a: its connection ended"]);
    assert_eq!(bench.joins(B, 2, &[]), ["give b 0 #2", "give b 1 #2"]);
    assert_eq!(bench.joins(A, 2, &[(key(0), 1), (key(1), 1)]), [""; 0]);
    assert_eq!(bench.ready(A, 0, 1), ["collect a 0 #1"]);
    assert_eq!(bench.delivered(A, 0, 1), ["release a 0 #1", "release b 0 #2", "over 0", "trained 0"]);
    assert_eq!(bench.ready(B, 1, 2), ["ready 1"]);
    // What somebody else has, or nobody needs, or was never given, is released.
    assert_eq!(bench.leaves(A), ["close a: its connection ended"]);
    let released = ["release a 1 #1", "release a 0 #1"];
    assert_eq!(bench.joins(A, 2, &[(key(1), 1), (key(0), 1)]), released);
    let mut bench = Bench::with(&[(A, 1)], 1);
    assert_eq!(bench.leaves(A), ["close a: its connection ended"]);
    assert_eq!(bench.joins(A, 1, &[(key(0), 7)]), ["release a 0 #7", "give a 0 #2"], "it is of an earlier federator");
}

#[test]
fn revoked_work_is_released() {
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 4);
    assert_eq!(bench.ready(A, 0, 1), ["ready 0", "give a 2 #1"]);
    let later = Order::Train(match train(9) {
        Order::Train(order) => TrainOrder { round: Round(2), ..order },
        Order::Measure(_) => unreachable!("it trains"),
    });
    assert_eq!(bench.order(vec![later]), [""; 0]);
    let released = ["release a 0 #1", "over 0", "release b 1 #1", "over 1", "release a 2 #1", "over 2", "over 3", "give a 9 #1"];
    assert_eq!(told(bench.hub.revoke(at(0), ROUND)), released);
    assert_eq!(bench.ready(B, 1, 1), ["refused b unwanted", "release b 1 #1"]);
    assert_eq!(bench.hub.num_in_flight(), 1);
}

#[test]
fn what_nobody_waits_for_changes_nothing() {
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 3);
    let nobody = Bench::ready;
    bench.unchanged("never ordered", &["refused a unwanted", "release a 8 #1"], |bench| nobody(bench, A, 8, 1));
    bench.unchanged("another node's", &["refused b not_given", "release b 0 #1"], |bench| bench.ready(B, 0, 1));
    bench.unchanged("another attempt", &["refused a not_given", "release a 0 #2"], |bench| bench.ready(A, 0, 2));
    bench.unchanged("waiting", &["refused a not_given", "release a 2 #0"], |bench| bench.ready(A, 2, 0));
    bench.unchanged("an unknown node's", &["refused c not_given", "release c 0 #1"], |bench| bench.ready(C, 0, 1));
    bench.unchanged("a failure elsewhere", &["refused b not_given", "release b 0 #1"], |bench| bench.fails(B, 0, 1));
    bench.unchanged("an unknown loss", &["refused a unwanted", "release a loss of 0 #1"], |bench| {
        told(bench.hub.measured(at(0), A, loss_key(0), 1, 0.5))
    });
    bench.unchanged("an update that isn't ready", &["refused a not_given"], |bench| bench.delivered(A, 0, 1));
    assert_eq!(bench.ready(A, 0, 1), ["ready 0", "give a 2 #1"]);
    bench.unchanged("a duplicate", &["refused a duplicate"], |bench| bench.ready(A, 0, 1));
    bench.unchanged("the same from elsewhere", &["refused b duplicate", "release b 0 #1"], |bench| bench.ready(B, 0, 1));
    bench.unchanged("nobody asked for it", &["refused a not_given"], |bench| bench.delivered(A, 0, 1));
    assert_eq!(bench.collect(0), ["collect a 0 #1"]);
    bench.unchanged("another node brings it", &["refused b not_given"], |bench| bench.delivered(B, 0, 1));
    bench.unchanged("another attempt's", &["refused a not_given"], |bench| bench.delivered(A, 0, 2));
    bench.unchanged("damage by another node", &["refused b damaged"], |bench| bench.damaged(B, 0));
    assert_eq!(bench.delivered(A, 0, 1), ["release a 0 #1", "over 0", "trained 0"]);
    bench.unchanged("it is here", &["refused a unwanted"], |bench| bench.delivered(A, 0, 1));
    bench.unchanged("damage of what is here", &["refused a damaged"], |bench| bench.damaged(A, 0));
    bench.unchanged("late", &["refused a unwanted", "release a 0 #1"], |bench| bench.ready(A, 0, 1));
    bench.unchanged("a late failure", &["refused a unwanted", "release a 0 #1"], |bench| bench.fails(A, 0, 1));
}

#[test]
fn work_that_fails_is_done_elsewhere_up_to_a_limit() {
    let mut bench = Bench::with(&[(A, 1), (B, 1), (C, 1)], 1);
    assert_eq!(bench.fails(A, 0, 1), ["give b 0 #2"]);
    assert_eq!(bench.fails(B, 0, 2), ["give c 0 #3"]);
    assert_eq!(bench.fails(C, 0, 3), ["over 0", "failed 0: no memory"]);
    // If there is nobody else, the same node tries again.
    let mut bench = Bench::with(&[(A, 1)], 2);
    assert_eq!(bench.fails(A, 0, 1), ["give a 0 #2"]);
    assert_eq!(bench.joins(B, 1, &[]), ["give b 1 #1"]);
    assert_eq!(bench.fails(A, 0, 2), [""; 0], "it waits for the other node");
    assert_eq!(bench.ready(B, 1, 1), ["ready 1", "give b 0 #3"]);
    assert_eq!(bench.fails(B, 0, 3), ["over 0", "failed 0: no memory"]);
    // A node may lose what was ready.
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 1);
    assert_eq!(bench.ready(A, 0, 1), ["ready 0"]);
    assert_eq!(bench.collect(0), ["collect a 0 #1"]);
    assert_eq!(bench.fails(A, 0, 1), ["give b 0 #2"]);
    assert_eq!(bench.ready(B, 0, 2), ["collect b 0 #2"]);
    // No other node can do what the settings forbid.
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 1);
    let outputs = told(bench.hub.failed(at(0), A, key(0), 1, "no such layer".to_owned(), true));
    assert_eq!(outputs, ["over 0", "failed 0: no such layer"]);
    // Losses too.
    let mut bench = Bench::with(&[(A, 1)], 0);
    assert_eq!(bench.order(vec![measure(3)]), ["give a loss of 3 #1"]);
    let mut fails = |attempt| told(bench.hub.failed(at(0), A, loss_key(3), attempt, "no memory".to_owned(), false));
    assert_eq!((fails(1), fails(2)), (vec!["give a loss of 3 #2".to_owned()], vec!["give a loss of 3 #3".to_owned()]));
    assert_eq!(fails(3), ["over loss of 3", "loss of 3 failed: no memory"]);
}

#[test]
fn a_damaged_update_is_redone_elsewhere() {
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 1);
    assert_eq!(bench.ready(A, 0, 1), ["ready 0"]);
    assert_eq!(bench.collect(0), ["collect a 0 #1"]);
    assert_eq!(bench.damaged(A, 0), ["refused a damaged", "release a 0 #1", "give b 0 #2"]);
    assert_eq!(bench.ready(B, 0, 2), ["collect b 0 #2"]);
    assert_eq!(bench.damaged(B, 0), ["refused b damaged", "release b 0 #2", "give a 0 #3"], "everybody has spoiled it");
    assert_eq!(bench.ready(A, 0, 3), ["collect a 0 #3"]);
    let last = ["refused a damaged", "release a 0 #3", "over 0", "failed 0: its update can't be used: a bit"];
    assert_eq!(bench.damaged(A, 0), last);
}

#[test]
fn an_update_that_never_comes_is_redone_elsewhere() {
    let hear = |bench: &mut Bench| [A, B].map(|node| bench.hub.heard(bench.now, node));
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 1);
    let _ = (bench.ready(A, 0, 1), bench.collect(0));
    bench.now = at(60_001);
    let _ = hear(&mut bench);
    assert_eq!(bench.tick(60_000), [""; 0]);
    assert_eq!(bench.tick(60_001), ["refused a damaged", "release a 0 #1", "give b 0 #2"]);
    // What is on its way may take as long as it takes.
    assert_eq!(bench.ready(B, 0, 2), ["collect b 0 #2"]);
    assert!(bench.hub.begins(A, key(0), 1).is_err() && bench.hub.begins(B, key(0), 2).is_ok());
    bench.now = at(300_000);
    let _ = hear(&mut bench);
    assert_eq!(bench.tick(300_000), [""; 0]);
    for _ in 0..20 {
        assert_eq!(told(bench.hub.broke_off(bench.now, B, key(0), 2)), ["collect b 0 #2"]);
    }
    assert_eq!(told(bench.hub.broke_off(bench.now, B, key(0), 2)), ["refused b damaged", "release b 0 #2", "give a 0 #3"]);
}

#[test]
fn an_update_that_the_round_refuses_is_redone_elsewhere() {
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 1);
    let _ = (bench.ready(A, 0, 1), bench.collect(0), bench.delivered(A, 0, 1));
    assert_eq!(bench.refused(1), (false, vec![]), "nobody brought that");
    assert_eq!(bench.refused(0), (true, vec!["give b 0 #2".to_owned()]));
    assert_eq!(bench.refused(0), (false, vec![]), "it was refused once");
    assert_eq!(bench.ready(B, 0, 2), ["collect b 0 #2"], "the round waits for it");
    assert_eq!(bench.delivered(B, 0, 2), ["release b 0 #2", "over 0", "trained 0"]);
    assert_eq!(bench.refused(0), (true, vec!["give a 0 #3".to_owned()]));
    let _ = (bench.ready(A, 0, 3), bench.delivered(A, 0, 3));
    assert_eq!(bench.refused(0), (false, vec![]), "that was often enough");
    // The node that brought it may be gone, and even the last one.
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 1);
    let _ = (bench.ready(A, 0, 1), bench.collect(0), bench.delivered(A, 0, 1), bench.leaves(A));
    assert_eq!(bench.refused(0), (true, vec!["give b 0 #2".to_owned()]));
    let _ = (bench.ready(B, 0, 2), bench.delivered(B, 0, 2), bench.leaves(B));
    assert_eq!(bench.refused(0), (true, vec![]));
    assert_eq!(bench.joins(C, 1, &[]), ["give c 0 #3"]);
    // A single node would do the same again.
    let mut bench = Bench::with(&[(A, 1)], 1);
    let _ = (bench.ready(A, 0, 1), bench.collect(0), bench.delivered(A, 0, 1));
    assert_eq!(bench.refused(0), (false, vec![]));
}

#[test]
fn updates_may_be_refused_after_others_were_brought() {
    let mut bench = Bench::with(&[(A, 2), (B, 2)], 3);
    for (node, client) in [(A, 0), (B, 1), (A, 2)] {
        let _ = (bench.ready(node, client, 1), bench.collect(client), bench.delivered(node, client, 1));
    }
    assert_eq!(bench.order(vec![train(3)]), ["give a 3 #1"]);
    assert_eq!(bench.refused(0), (true, vec!["give b 0 #2".to_owned()]));
    bench.hub.taken(key(1));
    assert_eq!(bench.refused(1), (false, vec![]), "it was of use");
    // Nobody needs updates of a round that is over.
    assert_eq!(told(bench.hub.revoke(at(0), ROUND)).len(), 4);
    assert_eq!(bench.refused(2), (false, vec![]));
}

#[test]
fn silent_nodes_are_lost() {
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 2);
    assert_eq!(bench.tick(9000), [""; 0]);
    bench.hub.heard(bench.now, A);
    assert_eq!(bench.tick(10_000), [""; 0]);
    assert_eq!(bench.tick(10_001), ["close b: nothing was heard of it for 10 s"]);
    assert_eq!(bench.ready(A, 0, 1), ["ready 0", "give a 1 #2"]);
    assert_eq!(bench.tick(20_001), [""; 0]);
    assert_eq!(bench.tick(20_002), ["close a: nothing was heard of it for 10 s"]);
    bench.hub.heard(bench.now, C);
    assert_eq!(bench.hub.nodes().count(), 0);
}

#[test]
fn a_node_of_which_nothing_is_heard_gets_nothing_new() {
    let mut bench = Bench::with(&[(A, 1), (B, 2)], 0);
    bench.now = at(2501);
    bench.hub.heard(bench.now, A);
    // More than a quarter of the time of silence: `b` may be frozen.
    assert_eq!(bench.order(vec![train(0), train(1)]), ["give a 0 #1"]);
    bench.hub.heard(bench.now, B);
    assert_eq!(bench.tick(2502), ["give b 1 #1"]);
    // If all are quiet, as after a pause of this machine, all get work.
    bench.now = at(9000);
    assert_eq!(bench.order(vec![train(2)]), ["give b 2 #1"]);
}

#[test]
fn slow_work_is_copied_once_nothing_else_waits() {
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 3);
    let hear = |bench: &mut Bench| [A, B].map(|node| bench.hub.heard(bench.now, node));
    bench.now = at(1000);
    assert_eq!(bench.ready(B, 1, 1), ["ready 1", "give b 2 #1"]);
    assert_eq!(bench.tick(2000), [""; 0]);
    assert_eq!(bench.ready(B, 2, 1), ["ready 2"]);
    assert_eq!(bench.tick(3000), [""; 0], "three medians aren't over");
    assert_eq!(bench.tick(3001), ["give b 0 #2"]);
    assert_eq!(bench.tick(6100), [""; 0], "two have it");
    assert_eq!(bench.ready(B, 0, 2), ["ready 0"], "the first answer counts");
    bench.unchanged_but_for_the_runner(A);
    assert_eq!(bench.collect(0), ["collect b 0 #2"]);
    assert_eq!(bench.delivered(B, 0, 2), ["release b 0 #2", "over 0", "trained 0"]);
    // The slow node is told as soon as the update is here.
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 2);
    assert_eq!(bench.ready(B, 1, 1), ["ready 1"]);
    assert_eq!(bench.tick(2000), [""; 0], "so long anything may take");
    assert_eq!(bench.tick(2001), ["give b 0 #2"]);
    let _ = hear(&mut bench);
    let _ = (bench.ready(B, 0, 2), bench.collect(0));
    assert_eq!(bench.delivered(B, 0, 2), ["release b 0 #2", "release a 0 #1", "over 0", "trained 0"]);
    // The slow node may be the only one that is left.
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 2);
    let _ = (bench.ready(B, 1, 1), bench.tick(2001), bench.ready(B, 0, 2));
    assert_eq!(bench.leaves(B), ["close b: its connection ended"]);
    assert_eq!(bench.ready(A, 0, 1), ["give a 1 #2"]);
}

#[test]
fn slow_work_is_copied_though_others_may_not_do_what_waits() {
    let mut bench = Bench::with(&[(A, 1), (B, 1)], 2);
    assert_eq!(bench.fails(A, 0, 1), [""; 0], "it waits for the other node");
    assert_eq!(bench.joins(C, 1, &[]), ["give c 0 #2"]);
    bench.now = at(1000);
    assert_eq!(bench.fails(C, 0, 2), [""; 0]);
    assert_eq!(bench.order(vec![train(2)]), ["give a 2 #1"]);
    assert_eq!(bench.ready(A, 2, 1), ["ready 2"]);
    assert_eq!(bench.tick(3001), ["give a 1 #2"], "the other node hangs");
    // It says that it is alive all the same.
    bench.hub.heard(bench.now, B);
    let _ = (bench.ready(A, 1, 2), bench.collect(1));
    assert_eq!(bench.delivered(A, 1, 2), ["release a 1 #2", "release b 1 #1", "over 1", "trained 1", "give b 0 #3"]);
}

impl Bench {
    /// Checks that a node with a copy whose answer comes second is released, and nothing else happens.
    fn unchanged_but_for_the_runner(&mut self, node: NodeId) {
        assert_eq!(self.ready(node, 0, 1), ["release a 0 #1"]);
        self.unchanged("it is known", &["refused a duplicate", "release a 0 #1"], |bench| bench.ready(node, 0, 1));
    }
}

#[test]
fn the_work_of_a_client_with_data_of_its_own_goes_to_its_node_alone() {
    let mut bench = Bench::new();
    let own = |client| Some(OwnData { client: ClientId(client), num_samples: 7 });
    let joins = |bench: &mut Bench, node: NodeId, client: u32| {
        let joined = Joined { name: format!("{node:?}"), processor: "one".to_owned(), workers: 2, own: own(client) };
        told(bench.hub.joined(bench.now, node, joined, &[]))
    };
    assert_eq!(bench.order(vec![train(0), train(1)]), [""; 0]);
    assert_eq!(joins(&mut bench, A, 1), ["1 came with 7", "give a 1 #1"]);
    // The other client's node isn't there, and the free worker of this one has no data of it.
    assert_eq!(joins(&mut bench, B, 0), ["0 came with 7", "give b 0 #1"]);
    // A node that fails is asked again: nobody else has the data.
    assert_eq!(bench.fails(A, 1, 1), ["give a 1 #2"]);
    // A node that is lost takes its work with it, until it is back.
    assert_eq!(bench.leaves(B), ["close b: its connection ended", "0 left"]);
    assert_eq!(bench.tick(11_000), ["close a: nothing was heard of it for 10 s", "1 left"]);
    assert_eq!(joins(&mut bench, B, 0), ["0 came with 7", "give b 0 #2"]);
    // Nobody answers for another's client, whatever it says that it holds.
    let joined = Joined { name: "c".to_owned(), processor: "one".to_owned(), workers: 2, own: own(2) };
    assert_eq!(
        told(bench.hub.joined(bench.now, C, joined, &[(key(0), 2), (key(1), 1)])),
        ["2 came with 7", "release c 0 #2", "release c 1 #1"]
    );
    // Another node with the same client's certificate takes its place.
    assert_eq!(joins(&mut bench, A, 0), ["close b: another node trains its client now", "0 left", "0 came with 7", "give a 0 #3"]);
}

#[test]
fn the_work_of_a_client_that_stays_away_fails_where_a_round_may_go_on_without_it() {
    for fails_away in [false, true] {
        let mut bench = Bench::new();
        bench.hub = bench.hub.fails_away(fails_away);
        let own = Some(OwnData { client: ClientId(0), num_samples: 7 });
        let joined = Joined { name: "a".to_owned(), processor: "one".to_owned(), workers: 1, own };
        let _ = bench.hub.joined(bench.now, A, joined, &[]);
        assert_eq!(bench.order(vec![train(0)]), ["give a 0 #1"]);
        assert_eq!(bench.leaves(A), ["close a: its connection ended", "0 left"]);
        assert_eq!(bench.tick(10_000), [""; 0], "it may come back");
        let expected: &[&str] = if fails_away { &["over 0", "failed 0: its node is away"] } else { &[] };
        assert_eq!(bench.tick(10_001), expected);
        assert_eq!(bench.tick(20_000), [""; 0]);
    }
}

#[test]
fn an_update_that_was_ready_and_is_lost_again_and_again_fails_in_the_end() {
    let mut bench = Bench::new();
    bench.hub = bench.hub.fails_away(true);
    let own = Some(OwnData { client: ClientId(0), num_samples: 7 });
    let joins = |bench: &mut Bench, millis: u64| {
        bench.now = at(millis);
        let joined = Joined { name: "a".to_owned(), processor: "one".to_owned(), workers: 1, own };
        told(bench.hub.joined(bench.now, A, joined, &[]))
    };
    let _ = joins(&mut bench, 0);
    assert_eq!(bench.order(vec![train(0)]), ["give a 0 #1"]);
    bench.now = at(2000);
    assert_eq!(bench.ready(A, 0, 1), ["ready 0"]);
    // The node comes and goes, never away for long. It has 10 s and three times the 2 s that its training took.
    for (seconds, attempt) in [(3, 2), (9, 3), (15, 4)] {
        let given = format!("give a 0 #{attempt}");
        assert_eq!(joins(&mut bench, seconds * 1000), ["close a: it came back on another connection", "0 left", "0 came with 7", &given]);
    }
    assert_eq!(bench.tick(19_000), [""; 0]);
    assert_eq!(bench.tick(19_001), ["release a 0 #4", "over 0", "failed 0: its update was ready, and didn't come"]);
}
