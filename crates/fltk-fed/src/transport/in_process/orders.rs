//! The orders that wait for a worker.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use fltk_core::ids::Round;

use crate::transport::worker::Order;

/// A queue of orders. If clients begin together, it holds at most those of one round: the machine gives the next round's orders only after all answers,
/// or after it revoked the orders that are left.
#[derive(Default)]
pub(super) struct Orders {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    orders: VecDeque<Order>,
    /// True if nobody waits for answers any more.
    is_closed: bool,
}

impl Orders {
    /// Adds orders, and wakes workers once for all of them.
    pub(super) fn extend(&self, orders: impl ExactSizeIterator<Item = Order>) {
        let num_orders = orders.len();
        self.lock().orders.extend(orders);
        match num_orders {
            0 => {}
            1 => self.changed.notify_one(),
            _ => self.changed.notify_all(),
        }
    }

    /// Removes the orders of a round and of those before.
    pub(super) fn revoke(&self, round: Round) {
        self.lock().orders.retain(|order| order.round() > round);
    }

    /// Waits for the next order; returns `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<Order> {
        let is_idle = |queue: &mut Queue| queue.orders.is_empty() && !queue.is_closed;
        let mut queue = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        if queue.is_closed { None } else { queue.orders.pop_front() }
    }

    /// Discards the orders that are left, and lets workers end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Nothing panics while it holds the lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fltk_core::{experiment::FederatedConfig, ids::ClientId, schedule::LearningRates, seed::Seed, server_state::ServerState};

    use super::*;
    use crate::{
        dummy::Dummy,
        round::{SettingsDigest, Setup, Timestamp, TrainOrder},
    };

    fn order(round: u32, client: u32) -> Order {
        let dummy = Dummy::new(Seed(1), 1, vec![1; 3]);
        let config = FederatedConfig::new(3, 1, 9);
        let rates = LearningRates { initial: 0.1, scheduler: None };
        let setup = Setup::new(config, rates, Seed(1), dummy.samples.clone(), 1).expect("it is possible");
        Order::Train(TrainOrder {
            round: Round(round),
            client: ClientId(client),
            seed: Seed(1),
            state: Arc::new(dummy.initial()),
            terms: Arc::new(setup.terms(Round(round), &ServerState::default())),
            kept: None,
            flips_labels: false,
            given: Timestamp::default(),
            settings: SettingsDigest::default(),
        })
    }

    #[test]
    fn revoked_orders_are_never_begun_and_a_closed_queue_is_empty() {
        let orders = Orders::default();
        let next = || match orders.next()? {
            Order::Train(order) => Some((order.round.0, order.client.0)),
            Order::Measure(_) => None,
        };
        orders.extend([(1, 0), (1, 1), (1, 2)].map(|(round, client)| order(round, client)).into_iter());
        assert_eq!(next(), Some((1, 0)));
        orders.revoke(Round(1));
        orders.extend([(2, 1), (2, 2)].map(|(round, client)| order(round, client)).into_iter());
        orders.revoke(Round(1));
        assert_eq!(next(), Some((2, 1)));
        orders.close();
        assert_eq!(next(), None);
    }
}
