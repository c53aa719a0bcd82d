//! Simulated nodes: what they have to do is kept as real ones keep it.

use std::{collections::VecDeque, time::Duration};

use fltk_core::client_state::ClientState;
use fltk_fed::transport::worker::Order;

use super::{HEARTBEAT, Happening, NODES_MAX, Serial, Session, ToHub, ToNode, World, trained};
use crate::{
    hub::{NodeId, work::Work},
    node::tasks::{Tasks, Todo},
    object::{Digest, Object},
    wire::{order::Key, update},
};

pub(super) struct SimulatedNode {
    pub(super) id: NodeId,
    pub(super) workers: u32,
    pub(super) is_alive: bool,
    /// True if it says that it is alive, and does nothing.
    pub(super) is_hung: bool,
    pub(super) session: Option<Serial>,
    pub(super) tasks: Tasks,
    /// The orders that no worker has begun.
    queue: VecDeque<(Order, u64)>,
    num_busy: u32,
    /// The factor by which it is slower than others.
    slowness: u32,
}

impl World<'_> {
    pub(super) fn make_trouble(&mut self) {
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_alive).collect();
        let one = |draws: &mut crate::draws::Draws| (!alive.is_empty()).then(|| alive[draws.index(alive.len())]);
        match self.draws.below(12) {
            0..4 if alive.len() < NODES_MAX => self.start_node(),
            4..8 => {
                if let Some(serial) = one(&mut self.draws).and_then(|node| self.nodes[node].session) {
                    self.drop_session(serial);
                }
            }
            8..10 => {
                if let Some(node) = one(&mut self.draws) {
                    self.kill(node);
                }
            }
            10 => {
                if let Some(node) = one(&mut self.draws) {
                    self.nodes[node].is_hung = true;
                }
            }
            _ => {}
        }
    }

    pub(super) fn start_node(&mut self) {
        let node = self.nodes.len();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.draws.next().to_le_bytes());
        let workers = 1 + u32::from(self.draws.once_in(2)) * 2;
        let slowness = if self.trouble(4) { 20 } else { 1 };
        let (tasks, queue) = (Tasks::default(), VecDeque::new());
        self.nodes.push(SimulatedNode {
            id: NodeId(id),
            workers,
            is_alive: true,
            is_hung: false,
            session: None,
            tasks,
            queue,
            num_busy: 0,
            slowness,
        });
        self.plan(self.now, Happening::Calls { node });
        self.plan(self.now + HEARTBEAT, Happening::Beat { node });
    }

    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].is_alive = false;
        if let Some(serial) = self.nodes[node].session.take() {
            self.drop_session(serial);
        }
    }

    pub(super) fn call(&mut self, node: usize) {
        if !self.nodes[node].is_alive || self.nodes[node].session.is_some() {
            return;
        }
        let serial = self.sessions.len();
        self.sessions.push(Session { node, is_open: true, is_lost: false, to_hub: self.now, to_node: self.now });
        self.nodes[node].session = Some(serial);
        self.send_to_hub(serial, ToHub::Prepared { held: self.nodes[node].tasks.held() });
        for ready in self.nodes[node].tasks.all_done() {
            self.send_to_hub(serial, ToHub::Ready(ready));
        }
    }

    pub(super) fn node_hears(&mut self, serial: Serial, message: ToNode) {
        let node = self.sessions[serial].node;
        if !self.nodes[node].is_alive || self.nodes[node].is_hung || self.nodes[node].session != Some(serial) {
            return;
        }
        match message {
            ToNode::Order(order, attempt) => match self.nodes[node].tasks.order(Work::new(order.clone()).key(), attempt) {
                Todo::Begin(number) => {
                    self.nodes[node].queue.push_back((order, number));
                    self.begin(node);
                }
                Todo::Say(ready) => self.send_to_hub(serial, ToHub::Ready(*ready)),
                Todo::Nothing => {}
            },
            ToNode::Collect(key, attempt) => match self.nodes[node].tasks.content(key, attempt).cloned() {
                Some(content) => {
                    let at = self.arrival(Duration::ZERO);
                    self.plan(at, Happening::Delivery { serial, key, attempt, content });
                }
                None => self.send_to_hub(serial, ToHub::Failed { key, attempt }),
            },
            ToNode::Release(key, attempt) => self.nodes[node].tasks.release(key, attempt),
            ToNode::Refusal => self.drop_session(serial),
        }
    }

    /// Has workers begin that are free.
    fn begin(&mut self, node: usize) {
        while self.nodes[node].num_busy < self.nodes[node].workers
            && let Some((order, number)) = self.nodes[node].queue.pop_front()
        {
            self.nodes[node].num_busy += 1;
            let duration = self.millis(10, 400) * self.nodes[node].slowness;
            self.plan(self.now + duration, Happening::Done { node, order, number });
        }
    }

    pub(super) fn node_done(&mut self, node: usize, order: &Order, number: u64) {
        if !self.nodes[node].is_alive || self.nodes[node].is_hung {
            return;
        }
        self.nodes[node].num_busy -= 1;
        self.begin(node);
        let key = Work::new(order.clone()).key();
        let Some(attempt) = self.nodes[node].tasks.attempt(key, number) else { return };
        let message = if self.spoils(key, 15) {
            self.nodes[node].tasks.release(key, attempt);
            Some(ToHub::Failed { key, attempt })
        } else {
            self.carry_out_order(node, key, (attempt, number), order)
        };
        if let (Some(message), Some(serial)) = (message, self.nodes[node].session) {
            self.send_to_hub(serial, message);
        }
    }

    fn carry_out_order(&mut self, node: usize, key: Key, (attempt, number): (u32, u64), order: &Order) -> Option<ToHub> {
        let tasks = &mut self.nodes[node].tasks;
        match order {
            Order::Measure(order) => {
                tasks.release(key, attempt);
                Some(ToHub::Measured { key, attempt, loss: self.dummy.loss(order).expect("it is the dummy's") })
            }
            Order::Train(order) => {
                let answer = trained(self.dummy, order, self.compression.as_ref());
                let mut ready = update::ready(&answer, 0, Object { digest: Digest([0; 32]), num_bytes: 0 });
                let content = update::content(answer, ClientState::default());
                ready.update = Some(content.object().into());
                tasks.done(key, number, ready, content).map(ToHub::Ready)
            }
        }
    }
}
