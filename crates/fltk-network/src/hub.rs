//! The distribution of work among nodes, at the federator: a state machine without clocks, threads or a network.
//!
//! ```text
//!   order --> waiting --> given to a node --> ready there --> asked for --> brought: the round has it
//!                ^             |                  |               |
//!                +---- the node fails, or is lost, or what it sends is damaged
//! ```
//!
//! Any node does any work, unless clients have data of their own: then a node trains its own client only. Work goes to whoever is free, so a faster machine does more of it. If nothing else is left to do, the work of a slow node is given to a free one
//! too, and the first answer counts. Since an update is a function of its order, nothing of that changes a result.
//!
//! **Idempotent.** Orders and answers are known by round, client and attempt. A message that comes twice, or late, or that nobody waits for changes nothing: it is
//! counted and refused, and what a node still holds of it is released.
//!
//! **Caveats.** A node that is lost takes its updates with it: work that was done is done once more elsewhere, unless the node comes back before that ends.

mod node;
mod output;
mod placement;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fltk_core::ids::{ClientId, Round};
use fltk_fed::{
    round::{Event, Timestamp, TrainOrder},
    transport::worker::Order,
};

use self::{
    node::Node,
    work::{Standing, Work},
};
use crate::wire::{order::Key, update::ReadyMessage};

pub use node::{Figures, Joined, OwnData};
pub use output::{Lost, NodeId, Output, Refused};

/// The most attempts at one piece of work. One more than a single bad node can spoil, and few enough that a failure that comes again ends the round soon.
const ATTEMPTS_MAX: u32 = 3;

/// The time in which a node begins to bring an update that it was asked for: longer than a chunk is on its way over a slow line.
const BEGINS_MAX: Duration = Duration::from_secs(60);

/// The times that a training took after which an update that was ready, and was lost with its node, fails.
const MISSING_FACTOR: u32 = 3;

/// The most times that the bringing of an update may break off at a node that stays. Most of it is there each time, unless the node is a bad one.
const BREAKS_MAX: u32 = 20;

/// The nodes, and the work that is open.
#[derive(Clone, Debug)]
pub struct Hub {
    nodes: BTreeMap<NodeId, Node>,
    works: BTreeMap<Key, Work>,
    /// The work that no node has, in the order in which it is given.
    waiting: BTreeSet<Key>,
    /// The time of silence after which a node is lost.
    silence: Duration,
    /// The durations of the last pieces of work, for an idea of what is slow.
    durations: Vec<Duration>,
    /// The time between orders and answers, summed over all nodes that there were.
    busy: Duration,
    /// The work whose updates were brought, until the round has taken or refused them: others may be brought before it does.
    brought: BTreeMap<Key, Work>,
    /// The clients with data of their own whose node was lost, and since when.
    away: BTreeMap<ClientId, Timestamp>,
    /// True if the work of a client that is away for too long fails; otherwise it waits until the client is back.
    fails_away: bool,
}

impl Hub {
    /// Creates a hub without nodes.
    #[must_use]
    pub fn new(silence: Duration) -> Self {
        Self {
            nodes: BTreeMap::new(),
            works: BTreeMap::new(),
            waiting: BTreeSet::new(),
            silence,
            durations: Vec::new(),
            busy: Duration::ZERO,
            brought: BTreeMap::new(),
            away: BTreeMap::new(),
            fails_away: false,
        }
    }

    /// Sets whether the work of a client with data of its own fails once its node is away for longer than the time of silence. Otherwise, it waits.
    #[must_use]
    pub fn fails_away(self, fails_away: bool) -> Self {
        Self { fails_away, ..self }
    }

    /// Returns the nodes that are there.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Joined, Figures)> {
        self.nodes.iter().map(|(id, node)| (*id, &node.joined, node.figures))
    }

    /// Returns the number of pieces of work that nodes have.
    #[must_use]
    pub fn num_in_flight(&self) -> usize {
        self.works.values().filter(|work| !work.runners.is_empty()).count()
    }

    /// Returns the number of workers of nodes that have an order.
    #[must_use]
    pub fn num_running(&self) -> u64 {
        self.works.values().map(|work| work.runners.len() as u64).sum()
    }

    /// Returns the time between orders and answers, summed over all nodes that there were.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Takes orders of the round.
    pub fn order(&mut self, now: Timestamp, orders: Vec<Order>) -> Vec<Output> {
        for order in orders {
            let work = Work::new(order);
            self.waiting.insert(work.key());
            self.works.insert(work.key(), work);
        }
        self.assign(now)
    }

    /// Takes a node in that is prepared, or came back. `held` is what it works on, or still has.
    pub fn joined(&mut self, now: Timestamp, id: NodeId, joined: Joined, held: &[(Key, u32)]) -> Vec<Output> {
        let mut outputs = self.drop_node(now, id, Lost::Replaced);
        if let Some(OwnData { client, num_samples }) = joined.own {
            let is_of_client = |node: &Node| node.joined.own.is_some_and(|own| own.client == client);
            let earlier: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| is_of_client(node)).map(|(id, _)| *id).collect();
            outputs.extend(earlier.into_iter().flat_map(|id| self.drop_node(now, id, Lost::Superseded)));
            self.away.remove(&client);
            outputs.push(Output::Event(Event::ClientCame { client, num_samples }));
        }
        let own = joined.own;
        let may_train = |client: ClientId| own.is_none_or(|own| own.client == client);
        self.nodes.insert(id, Node::new(joined, now));
        for &(key, attempt) in held {
            let is_open = |work: &&mut Work| matches!(work.standing, Standing::Open) && (1..=work.num_attempts).contains(&attempt);
            // What it works on is its own again, unless somebody else has done it. Nobody answers for another's client.
            match self.works.get_mut(&key).filter(is_open).filter(|_| may_train(key.client)) {
                Some(work) => {
                    work.runners.insert(id, (attempt, now));
                    self.waiting.remove(&key);
                }
                None => outputs.push(Output::Release { node: id, key, attempt }),
            }
        }
        outputs.extend(self.assign(now));
        outputs
    }

    /// Notes a sign of life.
    pub fn heard(&mut self, now: Timestamp, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.heard = now;
        }
    }

    /// Notes that objects of so many bytes were sent to a node.
    pub fn sent(&mut self, id: NodeId, num_bytes: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.figures.bytes_sent += num_bytes;
        }
    }

    /// Notes that so many bytes of updates came from a node.
    pub fn received(&mut self, id: NodeId, num_bytes: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.figures.bytes_received += num_bytes;
        }
    }

    /// Goes on without a node whose connection ended, or that misbehaved.
    pub fn left(&mut self, now: Timestamp, id: NodeId, reason: Lost) -> Vec<Output> {
        let mut outputs = self.drop_node(now, id, reason);
        outputs.extend(self.assign(now));
        outputs
    }

    /// Takes the word of a node that an update is ready.
    pub fn ready(&mut self, now: Timestamp, id: NodeId, ready: ReadyMessage) -> Vec<Output> {
        let (key, attempt) = (ready.key, ready.attempt);
        self.heard(now, id);
        let began = match self.expect(id, key, attempt) {
            Ok(began) => began,
            Err(outputs) => return outputs,
        };
        let Some(work) = self.works.get_mut(&key) else { return Vec::new() };
        work.standing = Standing::Ready { node: id, ready };
        work.took.get_or_insert(now.0.saturating_sub(began.0));
        work.num_breaks = 0;
        work.is_coming = false;
        let wanted = if work.is_wanted { work.ask(now) } else { None };
        let mut outputs: Vec<Output> = wanted.into_iter().collect();
        if !std::mem::replace(&mut work.is_announced, true) {
            outputs.push(Output::Event(Event::ClientReady { round: key.round, client: key.client }));
        }
        self.took(now, id, began);
        outputs.extend(self.assign(now));
        outputs
    }

    /// Takes a loss that a node measured.
    pub fn measured(&mut self, now: Timestamp, id: NodeId, key: Key, attempt: u32, loss: f64) -> Vec<Output> {
        self.heard(now, id);
        let began = match self.expect(id, key, attempt) {
            Ok(began) => began,
            Err(outputs) => return outputs,
        };
        self.took(now, id, began);
        let mut outputs = self.end(key, Some(id));
        outputs.push(Output::Event(Event::LossMeasured { round: key.round, client: key.client, loss }));
        outputs.extend(self.assign(now));
        outputs
    }

    /// Takes the word of a node that it can't do something. If the settings are the cause, no other node can.
    pub fn failed(&mut self, now: Timestamp, id: NodeId, key: Key, attempt: u32, reason: String, is_of_settings: bool) -> Vec<Output> {
        self.heard(now, id);
        // A node may also have lost an update that was ready.
        if self.holder(key) != Some((id, attempt))
            && let Err(outputs) = self.expect(id, key, attempt)
        {
            return outputs;
        }
        let mut outputs = self.spoiled(now, id, key, reason, is_of_settings);
        outputs.extend(self.assign(now));
        outputs
    }

    /// Has the update of a client brought that is ready.
    pub fn collect(&mut self, now: Timestamp, round: Round, client: ClientId) -> Vec<Output> {
        let Some(work) = self.works.get_mut(&Key { round, client, is_loss: false }) else { return Vec::new() };
        work.is_wanted = true;
        work.ask(now).into_iter().collect()
    }

    /// Notes that a node begins to bring an update, and returns what it said of it.
    ///
    /// # Errors
    /// If it wasn't asked for it, or brings it already: each delivery takes the memory of an update.
    pub fn begins(&mut self, id: NodeId, key: Key, attempt: u32) -> Result<ReadyMessage, Refused> {
        let ready = self.expected(id, key, attempt)?.clone();
        if let Some(work) = self.works.get_mut(&key) {
            if std::mem::replace(&mut work.is_coming, true) {
                return Err(Refused::Duplicate(key));
            }
            work.asked = None;
        }
        Ok(ready)
    }

    /// Returns what the node said of the update that it is about to deliver.
    ///
    /// # Errors
    /// If it wasn't asked for it.
    pub fn expected(&self, id: NodeId, key: Key, attempt: u32) -> Result<&ReadyMessage, Refused> {
        match self.works.get(&key) {
            None => Err(Refused::Unwanted(key)),
            Some(Work { standing: Standing::Ready { node, ready }, is_wanted: true, .. }) if (*node, ready.attempt) == (id, attempt) => {
                Ok(ready)
            }
            Some(_) => Err(Refused::NotGiven(key)),
        }
    }

    /// Returns the order to train that is open under this key.
    #[must_use]
    pub fn training(&self, key: Key) -> Option<&TrainOrder> {
        match self.works.get(&key).map(|work| &work.order) {
            Some(Order::Train(order)) => Some(order),
            Some(Order::Measure(_)) | None => None,
        }
    }

    /// Takes the update of a client, which is here, and passes it on.
    pub fn delivered(&mut self, now: Timestamp, id: NodeId, attempt: u32, update: fltk_fed::round::ClientUpdate) -> Vec<Output> {
        self.heard(now, id);
        let key = Key { round: update.round, client: update.client, is_loss: false };
        if let Err(reason) = self.expected(id, key, attempt) {
            return vec![Output::Refused { node: id, reason }];
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.figures.num_updates += 1;
        }
        self.brought.extend(self.works.get(&key).map(|work| (key, work.clone())));
        let mut outputs = vec![Output::Release { node: id, key, attempt }];
        outputs.extend(self.end(key, Some(id)));
        outputs.push(Output::Event(Event::ClientTrained(update)));
        // Whoever had a copy is free.
        outputs.extend(self.assign(now));
        outputs
    }

    /// Notes that the round has taken an update that was brought.
    pub fn taken(&mut self, key: Key) {
        self.brought.remove(&key);
    }

    /// Goes on after a delivery that broke off: it goes on where it was, if its node is still there, unless that has happened often enough.
    pub fn broke_off(&mut self, now: Timestamp, id: NodeId, key: Key, attempt: u32) -> Vec<Output> {
        if self.expected(id, key, attempt).is_err() {
            return Vec::new();
        }
        let Some(work) = self.works.get_mut(&key) else { return Vec::new() };
        work.is_coming = false;
        work.num_breaks += 1;
        if work.num_breaks > BREAKS_MAX {
            return self.damaged(now, id, key, "it broke off too often");
        }
        work.ask(now).into_iter().collect()
    }

    /// Goes on after an update came that can't be: another node does the work.
    pub fn damaged(&mut self, now: Timestamp, id: NodeId, key: Key, problem: &str) -> Vec<Output> {
        let mut outputs = vec![Output::Refused { node: id, reason: Refused::Damaged(key, problem.to_owned()) }];
        let Some((_, attempt)) = self.holder(key).filter(|(node, _)| *node == id) else { return outputs };
        outputs.push(Output::Release { node: id, key, attempt });
        outputs.extend(self.spoiled(now, id, key, format!("its update can't be used: {problem}"), false));
        outputs.extend(self.assign(now));
        outputs
    }

    /// Goes on after the round refused an update that was brought, though it wasn't late. Returns true if another node does the work: one that is there, or that comes
    /// once nobody is.
    pub fn refused(&mut self, now: Timestamp, key: Key) -> (bool, Vec<Output>) {
        let Some(mut work) = self.brought.remove(&key) else { return (false, Vec::new()) };
        let Standing::Ready { node: by, .. } = work.standing else { return (false, Vec::new()) };
        // It would make the same of it.
        let mut able = self.nodes.iter().filter(|(_, node)| node.joined.trains(key.client)).map(|(id, _)| *id);
        let is_alone = able.next() == Some(by) && able.next().is_none();
        if work.num_failures + 1 >= ATTEMPTS_MAX || is_alone {
            return (false, Vec::new());
        }
        work.avoid.insert(by);
        work.num_failures += 1;
        work.standing = Standing::Open;
        work.runners.clear();
        self.works.insert(key, work);
        self.waiting.insert(key);
        (true, self.assign(now))
    }

    /// Forgets the work of a round, and of those before.
    pub fn revoke(&mut self, now: Timestamp, round: Round) -> Vec<Output> {
        self.brought.retain(|key, _| key.round > round);
        let over: Vec<Key> = self.works.keys().filter(|key| key.round <= round).copied().collect();
        let mut outputs: Vec<Output> = over.into_iter().flat_map(|key| self.end(key, None)).collect();
        outputs.extend(self.assign(now));
        outputs
    }

    /// Looks after nodes that are silent or slow.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        let is_silent = |node: &Node| now.0.saturating_sub(node.heard.0) > self.silence;
        let silent: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| is_silent(node)).map(|(id, _)| *id).collect();
        let mut outputs: Vec<Output> = silent.into_iter().flat_map(|id| self.drop_node(now, id, Lost::Silent(self.silence))).collect();
        outputs.extend(self.fail_of_away(now));
        let is_due = |work: &Work| work.asked.is_some_and(|asked| now.0.saturating_sub(asked.0) > BEGINS_MAX);
        let due: Vec<Key> = self.works.iter().filter(|(_, work)| is_due(work)).map(|(key, _)| *key).collect();
        for key in due {
            if let Some((id, _)) = self.holder(key) {
                outputs.extend(self.damaged(now, id, key, "it was asked for, and didn't come"));
            }
        }
        outputs.extend(self.assign(now));
        outputs.extend(self.copy_slow(now));
        outputs
    }

    /// Returns the node at which the update of some work is ready, and its attempt.
    fn holder(&self, key: Key) -> Option<(NodeId, u32)> {
        match &self.works.get(&key)?.standing {
            Standing::Ready { node, ready } => Some((*node, ready.attempt)),
            Standing::Open => None,
        }
    }

    /// Checks that a node may answer for this attempt, and returns when it began. What nobody waits for is released.
    fn expect(&mut self, id: NodeId, key: Key, attempt: u32) -> Result<Timestamp, Vec<Output>> {
        let refuse = |reason| {
            let released = Output::Release { node: id, key, attempt };
            Err(vec![Output::Refused { node: id, reason }, released])
        };
        let Some(work) = self.works.get_mut(&key) else { return refuse(Refused::Unwanted(key)) };
        match &work.standing {
            Standing::Ready { node, ready } if (*node, ready.attempt) == (id, attempt) => {
                return Err(vec![Output::Refused { node: id, reason: Refused::Duplicate(key) }]);
            }
            // Two had it, and the other was first.
            Standing::Ready { .. } if work.runners.remove(&id).is_some() => return Err(vec![Output::Release { node: id, key, attempt }]),
            Standing::Ready { .. } => return refuse(Refused::Duplicate(key)),
            Standing::Open => {}
        }
        match work.runners.get(&id) {
            Some((given, began)) if *given == attempt => {
                let began = *began;
                work.runners.remove(&id);
                Ok(began)
            }
            _ => refuse(Refused::NotGiven(key)),
        }
    }

    /// Has work done elsewhere that a node couldn't do, unless that has failed often enough.
    fn spoiled(&mut self, now: Timestamp, id: NodeId, key: Key, reason: String, is_of_settings: bool) -> Vec<Output> {
        let Some(work) = self.works.get_mut(&key) else { return Vec::new() };
        work.lost(now);
        work.avoid.insert(id);
        work.num_failures += 1;
        if !is_of_settings && work.num_failures < ATTEMPTS_MAX {
            if work.runners.is_empty() {
                self.waiting.insert(key);
            }
            return Vec::new();
        }
        self.fail(key, reason)
    }

    /// Fails the work of clients that are away for too long.
    fn fail_of_away(&mut self, now: Timestamp) -> Vec<Output> {
        if !self.fails_away {
            return Vec::new();
        }
        let is_long = |client| self.away.get(client).is_some_and(|since| now.0.saturating_sub(since.0) > self.silence);
        // A round counts on an update that was ready, whatever its deadline: it has the time of another training to come back, however often its node comes and goes.
        let is_overdue = |work: &Work| {
            let limit = self.silence + work.took.unwrap_or_default() * MISSING_FACTOR;
            !work.is_coming && work.missing_since.is_some_and(|since| now.0.saturating_sub(since.0) > limit)
        };
        let failed: Vec<(Key, &str)> = self
            .works
            .iter()
            .filter_map(|(key, work)| match () {
                () if is_long(&key.client) => Some((*key, "its node is away")),
                () if is_overdue(work) => Some((*key, "its update was ready, and didn't come")),
                () => None,
            })
            .collect();
        failed.into_iter().flat_map(|(key, reason)| self.fail(key, reason.to_owned())).collect()
    }

    /// Ends work that nobody can do.
    fn fail(&mut self, key: Key, reason: String) -> Vec<Output> {
        let mut outputs = self.end(key, None);
        let Key { round, client, is_loss } = key;
        outputs.push(Output::Event(match is_loss {
            true => Event::LossFailed { round, client, reason },
            false => Event::ClientFailed { round, client, reason },
        }));
        outputs
    }

    /// Ends work. Whoever has it, but for one who knows, is told.
    fn end(&mut self, key: Key, but: Option<NodeId>) -> Vec<Output> {
        self.waiting.remove(&key);
        let holder = self.holder(key);
        let Some(work) = self.works.remove(&key) else { return Vec::new() };
        let runners =
            work.runners.iter().map(|(node, (attempt, _))| (*node, *attempt)).chain(holder).filter(|(node, _)| Some(*node) != but);
        let released = runners.map(|(node, attempt)| Output::Release { node, key, attempt });
        released.chain([Output::Over(key)]).collect()
    }

    /// Removes a node, and has its work done by others.
    fn drop_node(&mut self, now: Timestamp, id: NodeId, reason: Lost) -> Vec<Output> {
        let Some(Node { joined, figures, .. }) = self.nodes.remove(&id) else { return Vec::new() };
        for (key, work) in &mut self.works {
            let ran = work.runners.remove(&id).is_some();
            let held = matches!(work.standing, Standing::Ready { node, .. } if node == id);
            if held {
                work.lost(now);
            }
            if (ran || held) && work.runners.is_empty() && matches!(work.standing, Standing::Open) {
                self.waiting.insert(*key);
            }
        }
        let left = joined.own.map(|OwnData { client, .. }| {
            self.away.insert(client, now);
            Output::Event(Event::ClientLeft { client })
        });
        [Output::Close { node: id, joined, figures, reason }].into_iter().chain(left).collect()
    }
}

#[cfg(test)]
mod tests;
