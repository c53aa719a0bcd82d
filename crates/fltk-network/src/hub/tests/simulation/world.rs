//! The simulated world: the federator with its hub, nodes, the network between them, and what happens to them.

mod node;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use fltk_core::{client_state::ClientState, model_state::ModelState};
use fltk_fed::{
    compression::Compression,
    drive::Answer,
    dummy::Dummy,
    round::{Action, Event, Failure, Federation, ProtocolError, Record, Timestamp},
    transport::worker::Order,
};

use self::node::SimulatedNode;
use super::{evaluated, trained};
use crate::{
    draws::Draws,
    hub::{Hub, Joined, Lost, NodeId, Output},
    object::{Content, Receiving},
    wire::{
        order::Key,
        update::{Asked, ReadyMessage},
        v1,
    },
};

/// The time after which nothing bad happens any more, and that after which a run that goes on hangs.
const CALM: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(630);

const TICK: Duration = Duration::from_millis(200);
const HEARTBEAT: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(10);

/// The most nodes that live at a time, and the most attempts at one piece of work that are spoiled on purpose: one more would end the run.
const NODES_MAX: usize = 6;
const SPOILED_MAX: u32 = 2;

/// The end of a run.
pub(super) enum End {
    Finished(Arc<ModelState>),
    Failed(Failure),
    /// The round can't use an update, and there was no other node.
    Unusable,
}

/// The serial number of a session.
type Serial = usize;

struct Session {
    node: usize,
    /// False once nothing more is sent.
    is_open: bool,
    /// True if what is on its way is lost too.
    is_lost: bool,
    /// The times of the last arrivals: messages of a session stay in order.
    to_hub: Duration,
    to_node: Duration,
}

#[derive(Clone, Debug)]
enum ToHub {
    Prepared { held: Vec<v1::OrderId> },
    Alive,
    Ready(v1::Ready),
    Measured { key: Key, attempt: u32, loss: f64 },
    Failed { key: Key, attempt: u32 },
}

#[derive(Clone, Debug)]
enum ToNode {
    Order(Order, u32),
    Collect(Key, u32),
    Release(Key, u32),
    Refusal,
}

enum Happening {
    ToHub {
        serial: Serial,
        message: ToHub,
    },
    ToNode {
        serial: Serial,
        message: ToNode,
    },
    ToDriver(Event),
    /// The bytes of an update, on a call of their own.
    Delivery {
        serial: Serial,
        key: Key,
        attempt: u32,
        content: Content,
    },
    /// The hub learns that a session ended.
    Ended {
        serial: Serial,
    },
    /// A node has carried out an order.
    Done {
        node: usize,
        order: Order,
        /// The number that the node's tasks gave the order.
        number: u64,
    },
    /// A node calls.
    Calls {
        node: usize,
    },
    Beat {
        node: usize,
    },
    Tick,
    Trouble,
    Calm,
}

pub(super) struct World<'a> {
    dummy: &'a Dummy,
    compression: Option<Compression>,
    draws: Draws,
    now: Duration,
    is_calm: bool,
    agenda: BTreeMap<(Duration, u64), Happening>,
    num_planned: u64,
    nodes: Vec<SimulatedNode>,
    sessions: Vec<Session>,
    hub: Hub,
    links: BTreeMap<NodeId, Serial>,
    num_spoiled: BTreeMap<Key, u32>,
    /// The nodes that brought what the round can't use.
    unusable: BTreeMap<Key, NodeId>,
    federation: Federation,
    orders: Vec<Order>,
    inbox: VecDeque<Event>,
    /// The time of the last arrival at the driver.
    to_driver: Duration,
    end: Option<End>,
}

impl<'a> World<'a> {
    pub(super) fn new(federation: Federation, dummy: &'a Dummy, seed: u64) -> Self {
        Self {
            compression: federation.setup().compression().cloned(),
            dummy,
            draws: Draws::new(seed),
            now: Duration::ZERO,
            is_calm: false,
            agenda: BTreeMap::new(),
            num_planned: 0,
            nodes: Vec::new(),
            sessions: Vec::new(),
            hub: Hub::new(SILENCE),
            links: BTreeMap::new(),
            num_spoiled: BTreeMap::new(),
            unusable: BTreeMap::new(),
            federation,
            orders: Vec::new(),
            inbox: VecDeque::new(),
            to_driver: Duration::ZERO,
            end: None,
        }
    }

    /// Runs to the end, which comes.
    pub(super) fn run(mut self) -> End {
        self.plan(Duration::ZERO, Happening::Tick);
        self.plan(Duration::ZERO, Happening::Trouble);
        self.plan(CALM, Happening::Calm);
        self.plan(Duration::ZERO, Happening::ToDriver(Event::Started));
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            self.pass_deadline(at);
            self.now = at;
            assert!(self.now < END, "the run hangs: {:?}", self.hub);
            self.happen(happening);
            self.drive();
            if let Some(end) = self.end {
                return end;
            }
        }
        panic!("nothing happens any more")
    }

    fn plan(&mut self, at: Duration, happening: Happening) {
        self.num_planned += 1;
        self.agenda.insert((at, self.num_planned), happening);
    }

    fn millis(&mut self, from: u64, until: u64) -> Duration {
        Duration::from_millis(from + self.draws.below(until - from))
    }

    /// Returns true so often, as long as bad things happen.
    fn trouble(&mut self, once_in: u64) -> bool {
        self.draws.once_in(once_in) && !self.is_calm
    }

    /// Returns the time at which what is sent now arrives, but not before `earlier`.
    fn arrival(&mut self, earlier: Duration) -> Duration {
        let delay = if self.trouble(20) { self.millis(100, 3000) } else { self.millis(0, 30) };
        earlier.max(self.now + delay)
    }

    fn happen(&mut self, happening: Happening) {
        let now = Timestamp(self.now);
        match happening {
            Happening::ToHub { serial, .. } if self.sessions[serial].is_lost => {}
            Happening::ToHub { serial, message } => self.hear(serial, message),
            Happening::ToNode { serial, .. } if !self.sessions[serial].is_open => {}
            Happening::ToNode { serial, message } => self.node_hears(serial, message),
            Happening::ToDriver(event) => self.inbox.push_back(event),
            Happening::Delivery { serial, key, attempt, content } => self.deliver(serial, key, attempt, &content),
            Happening::Ended { serial } => {
                let id = self.id(serial);
                if self.links.get(&id) == Some(&serial) {
                    let outputs = self.hub.left(now, id, Lost::Disconnected);
                    self.carry_out(outputs);
                }
            }
            Happening::Done { node, order, number } => self.node_done(node, &order, number),
            Happening::Calls { node } => self.call(node),
            Happening::Beat { node } => {
                if let Some(serial) = self.nodes[node].session {
                    self.send_to_hub(serial, ToHub::Alive);
                }
                if self.nodes[node].is_alive {
                    self.plan(self.now + HEARTBEAT, Happening::Beat { node });
                }
            }
            Happening::Tick => {
                let outputs = self.hub.tick(now);
                self.carry_out(outputs);
                self.plan(self.now + TICK, Happening::Tick);
            }
            Happening::Trouble if self.is_calm => {}
            Happening::Trouble => {
                self.make_trouble();
                let next = self.millis(50, 600);
                self.plan(self.now + next, Happening::Trouble);
            }
            Happening::Calm => {
                self.is_calm = true;
                for node in 0..self.nodes.len() {
                    if self.nodes[node].is_hung {
                        self.kill(node);
                    }
                }
                self.start_node();
            }
        }
    }

    fn id(&self, serial: Serial) -> NodeId {
        self.nodes[self.sessions[serial].node].id
    }

    fn send_to_hub(&mut self, serial: Serial, message: ToHub) {
        if !self.sessions[serial].is_open {
            return;
        }
        let at = self.arrival(self.sessions[serial].to_hub);
        self.sessions[serial].to_hub = at;
        if !matches!(message, ToHub::Prepared { .. }) && self.trouble(15) {
            self.plan(at, Happening::ToHub { serial, message: message.clone() });
        }
        self.plan(at, Happening::ToHub { serial, message });
    }

    fn send_to_node(&mut self, id: NodeId, message: ToNode) {
        let Some(&serial) = self.links.get(&id) else { return };
        let at = self.arrival(self.sessions[serial].to_node);
        self.sessions[serial].to_node = at;
        if self.trouble(15) {
            self.plan(at, Happening::ToNode { serial, message: message.clone() });
        }
        self.plan(at, Happening::ToNode { serial, message });
    }

    /// Ends a session. The hub may learn of it, or have to notice the silence; the node does learn of it.
    fn drop_session(&mut self, serial: Serial) {
        let is_lost = self.draws.once_in(2);
        let session = &mut self.sessions[serial];
        (session.is_open, session.is_lost) = (false, is_lost);
        let earlier = session.to_hub;
        if self.draws.once_in(2) {
            let at = self.arrival(earlier);
            self.plan(at, Happening::Ended { serial });
        }
        let node = self.sessions[serial].node;
        if self.nodes[node].session == Some(serial) {
            self.nodes[node].session = None;
            let pause = if self.trouble(5) { self.millis(1000, 15_000) } else { self.millis(1, 1000) };
            self.plan(self.now + pause, Happening::Calls { node });
        }
    }

    /// Takes a message of a node, as the federator does.
    fn hear(&mut self, serial: Serial, message: ToHub) {
        let (now, id) = (Timestamp(self.now), self.id(serial));
        if let ToHub::Prepared { held } = message {
            let outputs = self.hub.left(now, id, Lost::Replaced);
            self.carry_out(outputs);
            self.links.insert(id, serial);
            let held: Vec<_> = held.iter().map(|held| Key::read(Some(held), false).expect("it is there")).collect();
            let workers = self.nodes[self.sessions[serial].node].workers;
            let joined = Joined { name: "a node".to_owned(), processor: "one".to_owned(), workers, own: None };
            let outputs = self.hub.joined(now, id, joined, &held);
            return self.carry_out(outputs);
        }
        if self.links.get(&id) != Some(&serial) {
            return;
        }
        let outputs = match message {
            ToHub::Prepared { .. } => Vec::new(),
            ToHub::Alive => {
                self.hub.heard(now, id);
                Vec::new()
            }
            ToHub::Ready(ready) => self.hub.ready(now, id, ReadyMessage::try_from(ready).expect("a node made it")),
            ToHub::Measured { key, attempt, loss } => self.hub.measured(now, id, key, attempt, loss),
            ToHub::Failed { key, attempt } => self.hub.failed(now, id, key, attempt, "no memory".to_owned(), false),
        };
        self.carry_out(outputs);
    }

    /// Returns true if this attempt at some work is to be spoiled.
    fn spoils(&mut self, key: Key, once_in: u64) -> bool {
        let num = self.num_spoiled.get(&key).copied().unwrap_or_default();
        let spoils = num < SPOILED_MAX && self.trouble(once_in);
        if spoils {
            self.num_spoiled.insert(key, num + 1);
        }
        spoils
    }

    /// Takes the bytes of an update, as the federator does.
    fn deliver(&mut self, serial: Serial, key: Key, attempt: u32, content: &Content) {
        let (now, id) = (Timestamp(self.now), self.id(serial));
        let Ok(ready) = self.hub.begins(id, key, attempt) else { return };
        let outputs = if !self.sessions[serial].is_open || self.trouble(10) {
            self.hub.broke_off(now, id, key, attempt)
        } else if self.spoils(key, 15) {
            self.hub.damaged(now, id, key, "a bit is another")
        } else {
            let mut receiving = Receiving::bundle(ready.object, 1 << 20).expect("it is small");
            while let Some(chunk) = content.chunk(receiving.num_received()) {
                receiving.push(receiving.num_received(), &chunk).expect("it is what is next");
            }
            let bundle = receiving.finish().expect("it is whole");
            let asked = Asked::of(self.hub.training(key).expect("it is open"), self.compression.as_ref());
            let (mut update, state) = ready.with(bundle, &asked).expect("it is an update");
            assert_eq!(state, ClientState::default());
            // A single node would make the same of it again.
            if self.hub.nodes().count() > 1 && self.spoils(key, 15) {
                update.state.floats[0] = f32::NAN;
                self.unusable.insert(key, id);
            }
            self.hub.delivered(now, id, attempt, update)
        };
        self.carry_out(outputs);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Give { node, order, attempt } => self.send_to_node(node, ToNode::Order(order, attempt)),
                Output::Collect { node, ready } => self.send_to_node(node, ToNode::Collect(ready.key, ready.attempt)),
                Output::Release { node, key, attempt } => self.send_to_node(node, ToNode::Release(key, attempt)),
                Output::Event(event) => {
                    let at = self.arrival(self.to_driver);
                    self.to_driver = at;
                    self.plan(at, Happening::ToDriver(event));
                }
                Output::Close { node, .. } => {
                    self.send_to_node(node, ToNode::Refusal);
                    self.links.remove(&node);
                }
                Output::Over(_) | Output::Refused { .. } => {}
            }
        }
    }
}

/// The driving thread.
impl World<'_> {
    fn pass_deadline(&mut self, next: Duration) {
        let wake = self.federation.wake().map(|at| (at, Event::Awoke));
        let deadline = self.federation.deadline().map(|(round, at)| (at, Event::DeadlinePassed { round }));
        if let Some((at, event)) = wake.or(deadline).filter(|(at, _)| at.0 <= next) {
            self.now = self.now.max(at.0);
            self.take(event);
        }
    }

    fn drive(&mut self) {
        while self.end.is_none() {
            let is_held = self.federation.is_held();
            let is_next = |event: &Event| !is_held || matches!(Answer::of(event), Some(Answer::Evaluation { .. }));
            let Some(event) = self.inbox.iter().position(is_next).and_then(|place| self.inbox.remove(place)) else { return };
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        let (now, answer) = (Timestamp(self.now), Answer::of(&event));
        let brought = if let Event::ClientTrained(update) = &event { Some((update.round, update.client)) } else { None };
        let reason = self.federation.step(now, event);
        if let (Some((round, client)), true) = (brought, reason.as_ref().err().is_none_or(ProtocolError::is_lateness)) {
            self.hub.taken(Key { round, client, is_loss: false });
        }
        let reason = match reason {
            Ok(actions) => return self.perform(actions),
            Err(reason) => reason,
        };
        match (reason, answer) {
            (reason, _) if reason.is_lateness() => {}
            (ProtocolError::State { .. }, Some(Answer::Training { round, client })) => {
                let key = Key { round, client, is_loss: false };
                let by = self.unusable.get(&key);
                let is_possible = self.hub.nodes().count() != 1 || self.hub.nodes().any(|(id, ..)| Some(&id) != by);
                let (again, outputs) = self.hub.refused(now, key);
                assert_eq!(again, is_possible, "{key}");
                self.carry_out(outputs);
                if !again {
                    self.end = Some(End::Unusable);
                }
            }
            (reason, answer) => panic!("{answer:?}: {reason}"),
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            let now = Timestamp(self.now);
            let outputs = match action {
                Action::Train(order) => {
                    self.orders.push(Order::Train(order));
                    continue;
                }
                Action::Measure(order) => {
                    self.orders.push(Order::Measure(order));
                    continue;
                }
                Action::Collect { round, client } => self.hub.collect(now, round, client),
                Action::Revoke { round } => {
                    self.orders.retain(|order| order.round() > round);
                    self.hub.revoke(now, round)
                }
                Action::Evaluate(order) => {
                    let later = self.millis(1, 2000);
                    self.plan(self.now + later, Happening::ToDriver(evaluated(self.dummy, &order)));
                    continue;
                }
                Action::Record(Record::Finished { state }) => {
                    self.end = Some(End::Finished(state));
                    return;
                }
                Action::Record(_) => self.hub.order(now, std::mem::take(&mut self.orders)),
                Action::Fail(failure) => {
                    self.end = Some(End::Failed(failure));
                    return;
                }
            };
            self.carry_out(outputs);
        }
        let orders = std::mem::take(&mut self.orders);
        if !orders.is_empty() {
            let outputs = self.hub.order(Timestamp(self.now), orders);
            self.carry_out(outputs);
        }
    }
}
