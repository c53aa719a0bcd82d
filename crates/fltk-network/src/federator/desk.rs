//! The thread that owns the hub, and carries out what it decides.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Sender, SyncSender},
    },
    time::Instant,
};

use fltk_core::{
    client_state::ClientState,
    ids::{ClientId, Round},
    model_state::TensorSpec,
};
use fltk_fed::{
    client::ClientStates,
    compression::Compression,
    round::{ClientUpdate, Event, SettingsDigest, Setup, Timestamp, TrainOrder},
    transport::worker::Order,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Limits, NodeReport, Reporter,
    client_tests::Tested,
    errands::{About, Waiting},
    objects::Objects,
    spans::Spans,
};
use crate::{
    client_tests::ClientTests,
    errands::ErrandId,
    hub::{Hub, Joined, Lost, NodeId, Output, Refused},
    metrics::{Looks, Metrics, Phase},
    object::{Content, Digest, Receiving},
    wire::{
        order::{self, Kept, Key, TrainObjects},
        update::{Asked, ReadyMessage},
        v1,
    },
};

/// The messages that may wait for a node. A node that reads none of them any more is lost.
pub(super) const MESSAGES_MAX: usize = 4096;

/// A message to the thread of the hub.
pub(super) enum Input {
    /// Orders of the round.
    Orders(Vec<Order>),
    /// The round wants an update.
    Collect { round: Round, client: ClientId },
    /// The round needs no more answers.
    Revoke(Round),
    /// The round took an update, or needs no other.
    Taken(Key),
    /// The round refused an update. The reply is true if another node does the work.
    RoundRefused { key: Key, reply: SyncSender<bool> },
    /// A node is prepared. `link` is dropped once nobody listens to its session any more.
    Joined { node: NodeId, joined: Joined, held: Vec<(Key, u32)>, to: mpsc::Sender<v1::ToNode>, serial: u64, link: oneshot::Sender<()> },
    /// A node's session ended. The serial number tells it from a later one.
    Left { node: NodeId, serial: u64, reason: Lost },
    /// A node said something.
    Said { node: NodeId, serial: u64, said: Said },
    /// A node can't take part.
    TurnedAway { name: String, reason: String },
    /// A node wants an object.
    Fetch { node: NodeId, digest: Digest, offset: u64, reply: oneshot::Sender<Option<Content>> },
    /// A node is about to deliver an update.
    Delivers { node: NodeId, key: Key, attempt: u32, reply: oneshot::Sender<Result<Delivery, Refused>> },
    /// An update is here.
    Delivered { node: NodeId, attempt: u32, num_bytes: u64, update: Box<(ClientUpdate, ClientState)> },
    /// A delivery broke off after these bytes.
    BrokeOff { node: NodeId, key: Key, attempt: u32, receiving: Box<Receiving> },
    /// A delivered update can't be used.
    Damaged { node: NodeId, key: Key, attempt: u32, problem: String },
    /// A message about work that is no client's.
    Errand(About),
    /// Time went on.
    Tick,
    /// The run is over, and ended in this way; or it was interrupted, and nodes wait for its next start.
    Finish(Option<String>),
    /// Nobody needs the hub any more.
    End,
}

/// A message of a prepared node.
pub(super) enum Said {
    Alive,
    Ready(ReadyMessage),
    Measured { key: Key, attempt: u32, loss: f64 },
    Failed { key: Key, attempt: u32, reason: String, is_of_settings: bool },
    Malformed(String),
}

/// The state of a delivery that begins or goes on.
pub(super) struct Delivery {
    pub(super) ready: ReadyMessage,
    pub(super) receiving: Receiving,
    pub(super) asked: Asked,
    /// The name of the node.
    pub(super) name: String,
}

struct Link {
    to: mpsc::Sender<v1::ToNode>,
    serial: u64,
    /// Ends the session when it is dropped.
    #[expect(dead_code, reason = "it acts when it is dropped")]
    link: oneshot::Sender<()>,
}

/// Those who learn of what happens.
pub(super) struct Learners<'a> {
    pub(super) report: &'a Reporter<'a>,
    pub(super) is_of_settings: &'a (dyn Fn(Round, ClientId) + Sync),
    pub(super) metrics: &'a Metrics,
}

pub(super) struct Desk<'a> {
    hub: Hub,
    pub(super) objects: Objects,
    links: BTreeMap<NodeId, Link>,
    /// The deliveries that broke off, and go on.
    partial: BTreeMap<Key, Receiving>,
    pub(super) layout: Arc<Vec<TensorSpec>>,
    /// The errands of a run whose net is at nodes alone.
    pub(super) waiting: Waiting,
    /// The evaluations by clients; `None` if the federator evaluates, or nodes without data of their own.
    pub(super) client_tests: Option<ClientTests>,
    /// The sender to the evaluator, which waits for the evaluation with this number.
    pub(super) tested: Option<(ErrandId, SyncSender<Tested>)>,
    /// The digest of the settings that errands have.
    pub(super) settings: SettingsDigest,
    states: Option<&'a dyn ClientStates>,
    report: &'a Reporter<'a>,
    is_of_settings: &'a (dyn Fn(Round, ClientId) + Sync),
    events: Sender<Event>,
    origin: Instant,
    /// The number of arrays that an update may have beside the model.
    num_arrays: u64,
    /// The compression of updates.
    compression: Option<Compression>,
    metrics: &'a Metrics,
    looks: Looks,
    /// The times at which updates were asked for that aren't here.
    asked: BTreeMap<Key, Instant>,
    spans: Spans,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        limits: Limits,
        settings: SettingsDigest,
        layout: Arc<Vec<TensorSpec>>,
        states: Option<&'a dyn ClientStates>,
        learners: Learners<'a>,
        events: Sender<Event>,
        setup: &Setup,
    ) -> Self {
        let Learners { report, is_of_settings, metrics } = learners;
        let strategy = setup.strategy();
        let compression = setup.compression().cloned();
        let has_residual = compression.as_ref().is_some_and(Compression::has_feedback);
        let num_arrays = (strategy.arrays.len() + strategy.keeps.len() + usize::from(has_residual)) as u64;
        Self {
            hub: Hub::new(limits.silence).fails_away(setup.has_own_data() && setup.tolerates_failures()),
            objects: Objects::default(),
            links: BTreeMap::new(),
            partial: BTreeMap::new(),
            layout,
            waiting: Waiting::default(),
            client_tests: None,
            tested: None,
            settings,
            states,
            report,
            is_of_settings,
            events,
            origin: Instant::now(),
            num_arrays,
            compression,
            metrics,
            looks: Looks::default(),
            asked: BTreeMap::new(),
            spans: Spans::default(),
        }
    }

    /// Has clients evaluate.
    pub(super) fn with_tests_at_clients(self, tests: ClientTests) -> Self {
        Self { client_tests: Some(tests), ..self }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.origin.elapsed())
    }

    /// Takes inputs until the run is over, or nobody sends any more.
    pub(super) fn run(mut self, inputs: mpsc::Receiver<Input>) {
        self.work(inputs);
        self.looks.end(Instant::now(), &self.hub, self.metrics);
    }

    fn work(&mut self, mut inputs: mpsc::Receiver<Input>) {
        while let Some(input) = inputs.blocking_recv() {
            let outputs = match input {
                Input::Finish(text) => {
                    self.finish(text.as_deref());
                    return;
                }
                Input::End => return,
                input => self.take(input),
            };
            if !self.carry_out(outputs) {
                return;
            }
        }
    }

    fn take(&mut self, input: Input) -> Vec<Output> {
        let now = Timestamp(self.origin.elapsed());
        match input {
            Input::Orders(orders) => self.hub.order(now, orders),
            Input::Collect { round, client } => self.hub.collect(now, round, client),
            Input::Revoke(round) => self.hub.revoke(now, round),
            Input::Taken(key) => {
                self.hub.taken(key);
                Vec::new()
            }
            Input::RoundRefused { key, reply } => {
                let (again, outputs) = self.hub.refused(now, key);
                // The driving thread waits for it, or has ended.
                let _ = reply.send(again);
                outputs
            }
            Input::Joined { node, joined, held, to, serial, link } => {
                let link = Link { to, serial, link };
                // An earlier session of it ends when its channel is dropped.
                let outputs = self.hub.left(now, node, Lost::Replaced);
                self.carry_out(outputs);
                self.links.insert(node, link);
                (self.report)(NodeReport::Joined { node, joined: joined.clone() });
                self.metrics.joined();
                let own = joined.own;
                let outputs = self.hub.joined(now, node, joined, &held);
                let steps = self.waiting.errands.joined(node);
                self.carry_out_errands(steps);
                if let Some(own) = own {
                    self.client_joined(node, own.client);
                }
                self.looks.look(Instant::now(), &self.hub, self.metrics);
                outputs
            }
            Input::Left { node, serial, reason } if self.is_current(node, serial) => self.hub.left(now, node, reason),
            Input::Said { node, serial, said } if self.is_current(node, serial) => self.hear(now, node, said),
            Input::Left { .. } | Input::Said { .. } | Input::Finish(_) | Input::End => Vec::new(),
            Input::TurnedAway { name, reason } => {
                (self.report)(NodeReport::TurnedAway { name, reason });
                self.metrics.turned_away();
                Vec::new()
            }
            Input::Fetch { node, digest, offset, reply } => {
                let content = self.objects.get(digest);
                let num_bytes = content.as_ref().map_or(0, |content| content.object().num_bytes.saturating_sub(offset));
                self.hub.sent(node, num_bytes);
                self.metrics.sent(num_bytes);
                let _ = reply.send(content);
                Vec::new()
            }
            Input::Delivers { node, key, attempt, reply } => {
                let delivery = self.delivery(node, key, attempt);
                let outputs = match &delivery {
                    Err(Refused::Damaged(_, problem)) => self.hub.damaged(now, node, key, problem),
                    Err(refused) => {
                        self.metrics.refused(refused);
                        Vec::new()
                    }
                    Ok(_) => Vec::new(),
                };
                let _ = reply.send(delivery);
                outputs
            }
            Input::Delivered { node, attempt, num_bytes, update } => {
                self.received(node, num_bytes);
                self.delivered(now, node, attempt, *update)
            }
            Input::BrokeOff { node, key, attempt, receiving } => {
                // Of work that is over, or that another node does by now, nothing is kept.
                if self.hub.expected(node, key, attempt).is_ok() {
                    self.partial.insert(key, *receiving);
                }
                self.hub.broke_off(now, node, key, attempt)
            }
            Input::Damaged { node, key, attempt, problem } => match self.hub.expected(node, key, attempt) {
                Ok(_) => self.hub.damaged(now, node, key, &problem),
                // It is an earlier attempt's, and spoils no later one.
                Err(_) => vec![Output::Refused { node, reason: Refused::Damaged(key, problem) }],
            },
            Input::Errand(about) => {
                self.take_about(about);
                Vec::new()
            }
            Input::Tick => {
                self.looks.look(Instant::now(), &self.hub, self.metrics);
                self.tick_tests();
                self.hub.tick(now)
            }
        }
    }

    fn is_current(&self, node: NodeId, serial: u64) -> bool {
        self.links.get(&node).is_some_and(|link| link.serial == serial)
    }

    fn hear(&mut self, now: Timestamp, node: NodeId, said: Said) -> Vec<Output> {
        match said {
            Said::Alive => {
                self.hub.heard(now, node);
                Vec::new()
            }
            Said::Ready(ready) => {
                self.spans.answered(now, ready.key, node, "is trained");
                self.hub.ready(now, node, ready)
            }
            Said::Measured { key, attempt, loss } => {
                self.spans.answered(now, key, node, "is measured");
                self.hub.measured(now, node, key, attempt, loss)
            }
            Said::Failed { key, attempt, reason, is_of_settings } => {
                self.spans.answered(now, key, node, "has failed");
                let outputs = self.hub.failed(now, node, key, attempt, reason, is_of_settings);
                let is_over =
                    outputs.iter().any(|output| matches!(output, Output::Event(Event::ClientFailed { .. } | Event::LossFailed { .. })));
                if is_of_settings && is_over {
                    (self.is_of_settings)(key.round, key.client);
                }
                outputs
            }
            Said::Malformed(problem) => {
                self.hub.heard(now, node);
                vec![Output::Refused { node, reason: Refused::Malformed(problem) }]
            }
        }
    }

    pub(super) fn name_of(&self, node: NodeId) -> String {
        self.hub.nodes().find(|(id, ..)| *id == node).map_or_else(|| format!("{node:?}"), |(_, joined, _)| joined.name.clone())
    }

    /// Counts bytes that came from a node.
    pub(super) fn received(&mut self, node: NodeId, num_bytes: u64) {
        self.hub.received(node, num_bytes);
        self.metrics.received(num_bytes);
    }

    /// Returns what a delivery needs: what an earlier one of it brought, or nothing yet.
    fn delivery(&mut self, node: NodeId, key: Key, attempt: u32) -> Result<Delivery, Refused> {
        let ready = self.hub.begins(node, key, attempt)?;
        let asked = self.hub.training(key).map(|order| Asked::of(order, self.compression.as_ref())).ok_or(Refused::Unwanted(key))?;
        let receiving = match self.partial.remove(&key).filter(|partial| partial.object() == ready.object) {
            Some(partial) => partial,
            None => Receiving::bundle(ready.object, self.update_bytes_max()).map_err(|damage| Refused::Damaged(key, damage.to_string()))?,
        };
        Ok(Delivery { ready, receiving, asked, name: self.name_of(node) })
    }

    /// The largest update: the model, each array that comes with it and what the client keeps, and names.
    fn update_bytes_max(&self) -> u64 {
        /// The room for names.
        const HEADER: u64 = 1 << 20;
        let num_elements: u64 = self.layout.iter().map(|spec| spec.num_elements() as u64).sum();
        HEADER + num_elements.saturating_mul(8).saturating_mul(1 + self.num_arrays)
    }

    fn delivered(&mut self, now: Timestamp, node: NodeId, attempt: u32, (update, state): (ClientUpdate, ClientState)) -> Vec<Output> {
        let key = Key { round: update.round, client: update.client, is_loss: false };
        let keeps = self.hub.training(key).is_some_and(|order| !order.terms.keeps.is_empty());
        let outcome = match (keeps && self.hub.expected(node, key, attempt).is_ok(), self.states) {
            (true, Some(states)) => {
                check_state(&state).and_then(|()| states.save(key.client, key.round, &state).map_err(|error| error.to_string()))
            }
            _ => Ok(()),
        };
        if let Some(asked) = self.asked.remove(&key) {
            self.metrics.took(Phase::Collecting, asked.elapsed());
        }
        match outcome {
            Ok(()) => self.hub.delivered(now, node, attempt, update),
            Err(problem) => self.hub.damaged(now, node, key, &problem),
        }
    }

    /// Carries out what the hub decided; returns false if nobody waits for events any more.
    fn carry_out(&mut self, outputs: Vec<Output>) -> bool {
        for output in outputs {
            match output {
                Output::Give { node, order, attempt } => self.give(node, &order, attempt),
                Output::Collect { node, ready } => {
                    self.asked.entry(ready.key).or_insert_with(Instant::now);
                    let offset =
                        self.partial.get(&ready.key).filter(|partial| partial.object() == ready.object).map_or(0, Receiving::num_received);
                    let collect = v1::Collect { id: Some(ready.key.id(ready.attempt)), offset };
                    self.send(node, v1::to_node::Message::Collect(collect));
                }
                Output::Release { node, key, attempt } => {
                    let release = v1::Release { id: Some(key.id(attempt)), is_measurement: key.is_loss };
                    self.send(node, v1::to_node::Message::Release(release));
                }
                Output::Event(event) => {
                    if let Event::ClientTrained(_) = &event {
                        self.metrics.updated();
                    }
                    if self.events.send(event).is_err() {
                        return false;
                    }
                }
                Output::Close { node, joined, figures, reason } => {
                    (self.report)(NodeReport::Left { node, joined, figures, reason: Some(reason) });
                    self.metrics.lost(reason);
                    self.spans.lost(node);
                    // Whoever misbehaved is told by its session, and whoever hung up hears nothing.
                    let told = match reason {
                        Lost::Silent(_) | Lost::Replaced => Some(v1::refusal::Reason::Silent),
                        // It needn't come back.
                        Lost::Superseded => Some(v1::refusal::Reason::Limit),
                        Lost::Disconnected | Lost::Misbehaved | Lost::Interrupted => None,
                    };
                    if let (Some(link), Some(told)) = (self.links.remove(&node), told) {
                        let refusal = v1::Refusal { reason: told.into(), text: reason.to_string() };
                        // It may read nothing any more.
                        let _ = link.to.try_send(v1::ToNode { message: Some(v1::to_node::Message::Refusal(refusal)) });
                    }
                    let steps = self.waiting.errands.left(node);
                    self.carry_out_errands(steps);
                    self.client_left(node);
                }
                Output::Over(key) => {
                    self.objects.over(key);
                    self.partial.remove(&key);
                    self.asked.remove(&key);
                    self.spans.over(Timestamp(self.origin.elapsed()), key);
                }
                Output::Refused { node, reason } => {
                    self.metrics.refused(&reason);
                    (self.report)(NodeReport::Refused { name: self.name_of(node), reason });
                }
            }
        }
        true
    }

    fn give(&mut self, node: NodeId, order: &Order, attempt: u32) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let name = self.name_of(node);
            self.spans.given(Timestamp(self.origin.elapsed()), Key::of(order), attempt, &name, node);
        }
        let message = match order {
            Order::Train(order) => match self.train(order, attempt) {
                Ok(train) => v1::to_node::Message::Train(train),
                Err(reason) => {
                    // What isn't here is at no node either.
                    let key = Key { round: order.round, client: order.client, is_loss: false };
                    let outputs = self.hub.failed(Timestamp(self.origin.elapsed()), node, key, attempt, reason, true);
                    self.carry_out(outputs);
                    return;
                }
            },
            Order::Measure(order) => {
                let model = self.objects.model(&order.state);
                self.objects.offer(Key { round: order.round, client: order.client, is_loss: true }, &model);
                v1::to_node::Message::Measure(order::measure(order, attempt, &model))
            }
        };
        self.send(node, message);
    }

    fn train(&mut self, order: &TrainOrder, attempt: u32) -> Result<v1::Train, String> {
        let key = Key { round: order.round, client: order.client, is_loss: false };
        let kept = match (self.states, order.kept) {
            (Some(states), Some(round)) if !order.terms.keeps.is_empty() => {
                let state = states.load(order.client, round).map_err(|error| error.to_string())?;
                Some(Content::of_numbers(Arc::new(Kept(state))))
            }
            _ => None,
        };
        let objects = TrainObjects { model: self.objects.model(&order.state), arrays: self.objects.arrays(&order.terms.arrays), kept };
        for content in [Some(&objects.model), objects.arrays.as_ref(), objects.kept.as_ref()].into_iter().flatten() {
            self.objects.offer(key, content);
        }
        Ok(order::train(order, attempt, &objects))
    }

    pub(super) fn send(&mut self, node: NodeId, message: v1::to_node::Message) {
        let Some(link) = self.links.get(&node) else { return };
        if link.to.try_send(v1::ToNode { message: Some(message) }).is_err() {
            let now = Timestamp(self.origin.elapsed());
            let outputs = self.hub.left(now, node, Lost::Disconnected);
            self.carry_out(outputs);
        }
    }

    /// Tells nodes that the run is over. If it was interrupted they are told nothing: they call again, and wait for its next start.
    fn finish(&mut self, text: Option<&str>) {
        let nodes: Vec<_> = self.hub.nodes().map(|(node, joined, figures)| (node, joined.clone(), figures)).collect();
        for (node, joined, figures) in nodes {
            if let Some(text) = text {
                self.send(node, v1::to_node::Message::Finished(v1::Finished { text: text.to_owned() }));
            }
            let reason = text.is_none().then_some(Lost::Interrupted);
            reason.iter().for_each(|reason| self.metrics.lost(*reason));
            (self.report)(NodeReport::Left { node, joined, figures, reason });
        }
    }
}

/// Checks what a client wants to keep.
fn check_state(state: &ClientState) -> Result<(), String> {
    state.not_finite().map_or(Ok(()), |name| Err(format!("its state has a number in `{name}` that isn't finite")))
}
