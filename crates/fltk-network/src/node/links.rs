//! Links that a node imposes on its clients: an order arrives, and an answer leaves, when the client's link has carried it.
//!
//! ```text
//!   order here ---- down ----> begins ---- trains ----> done ---- up ----> the federator hears of it
//! ```
//!
//! Each order has its client's link to itself, as in simulated time: what the node has already, such as the model of a round, takes as long as if it were sent. Objects themselves
//! travel at the speed of the real network; one that is here before its time waits, and one that comes later isn't held up any more.

use std::{collections::BTreeMap, time::Duration};

use fltk_fed::transport::worker::Order;
use tokio::time::Instant;

use super::trainers::{Numbered, Outcome};
use crate::wire::order::Key;

/// The times that an order and its answer are on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// The time to the client.
    pub down: Duration,
    /// The time of its answer.
    pub up: Duration,
}

/// The law of links that are imposed.
pub type ImposeLinks<'a> = dyn Fn(&Order) -> Transfers + Sync + 'a;

/// The links of a node's clients.
pub(super) struct Links<'a> {
    law: Option<&'a ImposeLinks<'a>>,
    /// The times of the answers to orders that have begun.
    ups: BTreeMap<Key, Duration>,
    /// The answers on their way, with the time at which they arrive.
    leaving: Vec<(Instant, Numbered, Outcome)>,
    /// The next time at which an order arrives; only for waking up.
    next_arrival: Option<Instant>,
}

impl<'a> Links<'a> {
    pub(super) fn new(law: Option<&'a ImposeLinks<'a>>) -> Self {
        Self { law, ups: BTreeMap::new(), leaving: Vec::new(), next_arrival: None }
    }

    /// Returns true once an order that came at `came`, and whose objects are here, has arrived at its client. It begins then.
    pub(super) fn arrives(&mut self, key: Key, order: &Order, came: Instant, now: Instant) -> bool {
        let Some(law) = self.law else { return true };
        let Transfers { down, up } = law(order);
        let arrival = came + down;
        if arrival > now {
            self.next_arrival = Some(self.next_arrival.map_or(arrival, |next| next.min(arrival)));
            return false;
        }
        self.ups.insert(key, up);
        true
    }

    /// Sends an answer on its way; returns it if it is there at once.
    pub(super) fn leaves(&mut self, work: Numbered, outcome: Outcome, now: Instant) -> Option<Outcome> {
        let up = self.ups.remove(&work.key).unwrap_or_default();
        // A client that fails says so at once: nobody would wait for the model that it hasn't.
        if up.is_zero() || matches!(outcome, Outcome::Failed(_)) {
            return Some(outcome);
        }
        self.leaving.push((now + up, work, outcome));
        None
    }

    /// Removes and returns the answers that have arrived.
    pub(super) fn arrived(&mut self, now: Instant) -> Vec<(Numbered, Outcome)> {
        self.next_arrival = self.next_arrival.filter(|arrival| *arrival > now);
        let (arrived, leaving): (Vec<_>, Vec<_>) = std::mem::take(&mut self.leaving).into_iter().partition(|(arrival, ..)| *arrival <= now);
        self.leaving = leaving;
        arrived.into_iter().map(|(_, work, outcome)| (work, outcome)).collect()
    }

    /// Forgets the answers that nobody needs any more.
    pub(super) fn retain(&mut self, is_needed: impl Fn(Numbered) -> bool) {
        self.leaving.retain(|(_, work, _)| is_needed(*work));
    }

    /// Returns the next time at which something arrives, and at most `latest`.
    pub(super) fn next(&self, latest: Instant) -> Instant {
        let next = self.leaving.iter().map(|(arrival, ..)| *arrival).chain(self.next_arrival).min();
        next.map_or(latest, |next| next.min(latest))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fltk_core::{
        ids::{ClientId, Round},
        model_state::ModelState,
        seed::Seed,
    };
    use fltk_fed::round::{LossOrder, SettingsDigest, Timestamp};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn order(client: u32) -> (Key, Order) {
        let state = Arc::new(ModelState { layout: Arc::default(), floats: vec![], counters: vec![] });
        let (round, client, given) = (Round(1), ClientId(client), Timestamp::default());
        let order = LossOrder { round, client, seed: Seed(1), state, num_samples: 0, given, settings: SettingsDigest::default() };
        (Key { round, client, is_loss: true }, Order::Measure(order))
    }

    /// Client `n` has `n` times 100 ms down, and 10 ms up.
    fn law(order: &Order) -> Transfers {
        let client = Key::of(order).client.0;
        Transfers { down: 100 * MS * client, up: 10 * MS * client }
    }

    #[tokio::test(start_paused = true)]
    async fn orders_and_answers_take_the_time_of_their_links_side_by_side() {
        let mut links = Links::new(Some(&law));
        let came = Instant::now();
        let latest = came + Duration::from_secs(60);
        let orders = [order(1), order(3)];
        let arrive = |links: &mut Links<'_>| orders.iter().filter(|(key, order)| links.arrives(*key, order, came, Instant::now())).count();
        assert_eq!(arrive(&mut links), 0);
        tokio::time::sleep_until(links.next(latest)).await;
        assert_eq!(came.elapsed(), 100 * MS);
        assert!(links.arrived(Instant::now()).is_empty() && arrive(&mut links) == 1);
        let work = |client| Numbered { key: order(client).0, number: 7 };
        assert!(links.leaves(work(1), Outcome::Loss(0.5), Instant::now()).is_none());
        tokio::time::sleep_until(links.next(latest)).await;
        assert_eq!(came.elapsed(), 110 * MS);
        let arrived = links.arrived(Instant::now());
        assert!(matches!(arrived[..], [(of, Outcome::Loss(_))] if of == work(1)));
        // The other came at the same time, and waited for its own link alone.
        assert_eq!(arrive(&mut links), 1, "the first has arrived long ago");
        tokio::time::sleep_until(links.next(latest)).await;
        assert_eq!(came.elapsed(), 300 * MS);
        assert!(links.arrived(Instant::now()).is_empty() && arrive(&mut links) == 2);
        assert!(links.leaves(work(3), Outcome::Loss(0.5), Instant::now()).is_none());
        links.retain(|work| work.number != 7);
        assert_eq!(links.next(latest), latest, "nobody needs it any more");
        assert!(links.leaves(work(1), Outcome::Failed("no memory".to_owned()), Instant::now()).is_some(), "a failure has no model");
    }

    #[test]
    fn without_links_nothing_waits() {
        let mut links = Links::new(None);
        let (now, (key, order)) = (Instant::now(), order(9));
        assert!(links.arrives(key, &order, now, now));
        assert!(links.leaves(Numbered { key, number: 1 }, Outcome::Loss(0.5), now).is_some());
    }
}
