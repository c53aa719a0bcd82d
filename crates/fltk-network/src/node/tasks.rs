//! The work that a node has to do, and has done: a state machine without threads or a network.

use std::collections::BTreeMap;

use crate::{
    object::Content,
    wire::{order::Key, v1},
};

/// The reaction of a node to an order that came.
#[derive(Clone, Debug, PartialEq)]
pub enum Todo {
    /// Get its objects and carry it out, since it is new; this number tells what comes of it from what comes of an earlier order.
    Begin(u64),
    /// Say once more that it is done.
    Say(Box<v1::Ready>),
    /// Nothing, since it is being done, or is an old one.
    Nothing,
}

/// The work that a node has, one piece for each key.
#[derive(Debug, Default)]
pub struct Tasks {
    held: BTreeMap<Key, Held>,
    num_begun: u64,
}

#[derive(Debug)]
struct Held {
    /// The number of the order, among all that were begun.
    number: u64,
    /// The newest attempt: whatever is done answers it, since all attempts are the same work.
    attempt: u32,
    done: Option<Done>,
}

#[derive(Debug)]
struct Done {
    ready: v1::Ready,
    content: Content,
}

impl Tasks {
    /// Takes an order.
    pub fn order(&mut self, key: Key, attempt: u32) -> Todo {
        match self.held.get_mut(&key) {
            None => {
                self.num_begun += 1;
                let number = self.num_begun;
                self.held.insert(key, Held { number, attempt, done: None });
                Todo::Begin(number)
            }
            Some(held) if attempt < held.attempt => Todo::Nothing,
            Some(held) => {
                held.attempt = attempt;
                match &mut held.done {
                    Some(done) => {
                        done.ready.id = Some(key.id(attempt));
                        Todo::Say(Box::new(done.ready.clone()))
                    }
                    None => Todo::Nothing,
                }
            }
        }
    }

    /// Returns the attempt that an answer to the order with this number is for; `None` if nobody needs it any more.
    #[must_use]
    pub fn attempt(&self, key: Key, number: u64) -> Option<u32> {
        self.held.get(&key).filter(|held| held.number == number).map(|held| held.attempt)
    }

    /// Keeps an update to the order with this number that is done, until it is collected. Returns the message that says so; `None` if nobody needs it any more.
    pub fn done(&mut self, key: Key, number: u64, mut ready: v1::Ready, content: Content) -> Option<v1::Ready> {
        let held = self.held.get_mut(&key).filter(|held| held.number == number)?;
        ready.id = Some(key.id(held.attempt));
        held.done = Some(Done { ready: ready.clone(), content });
        Some(ready)
    }

    /// Forgets work: it was answered, failed, or nobody needs it any more. An order to release an older attempt changes nothing.
    pub fn release(&mut self, key: Key, attempt: u32) {
        if self.held.get(&key).is_some_and(|held| held.attempt <= attempt) {
            self.held.remove(&key);
        }
    }

    /// Returns true if the order with this number isn't released.
    #[must_use]
    pub fn holds(&self, key: Key, number: u64) -> bool {
        self.attempt(key, number).is_some()
    }

    /// Returns true if the node has nothing to do, and nothing that is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Forgets all of it: a federator that was begun again may have decided otherwise since its last checkpoint, and so give other orders of the same round and client.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// Returns the update of an attempt, if it is done.
    #[must_use]
    pub fn content(&self, key: Key, attempt: u32) -> Option<&Content> {
        self.held.get(&key).filter(|held| held.attempt == attempt)?.done.as_ref().map(|done| &done.content)
    }

    /// Returns everything that is held, for a federator to which the node comes back.
    #[must_use]
    pub fn held(&self) -> Vec<v1::OrderId> {
        self.held.iter().filter(|(key, _)| !key.is_loss).map(|(key, held)| key.id(held.attempt)).collect()
    }

    /// Returns the messages that say what is done, for a federator to which the node comes back.
    #[must_use]
    pub fn all_done(&self) -> Vec<v1::Ready> {
        self.held.values().filter_map(|held| held.done.as_ref().map(|done| done.ready.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use fltk_core::ids::{ClientId, Round};

    use super::*;

    const KEY: Key = Key { round: Round(3), client: ClientId(5), is_loss: false };

    fn ready(attempt: u32) -> v1::Ready {
        v1::Ready { id: Some(KEY.id(attempt)), num_steps: 7, ..v1::Ready::default() }
    }

    #[test]
    fn work_is_done_once_however_often_it_is_ordered() {
        let mut tasks = Tasks::default();
        assert_eq!(tasks.order(KEY, 1), Todo::Begin(1));
        assert_eq!(tasks.order(KEY, 1), Todo::Nothing, "it is being done");
        assert_eq!(tasks.order(KEY, 2), Todo::Nothing, "a later attempt is the same work");
        assert_eq!(tasks.order(KEY, 1), Todo::Nothing, "an old order");
        let told = tasks.done(KEY, 1, ready(1), Content::of_bytes(vec![1])).expect("somebody needs it");
        assert_eq!(told, ready(2), "it answers the newest attempt");
        assert_eq!(tasks.order(KEY, 2), Todo::Say(Box::new(ready(2))));
        assert_eq!(tasks.order(KEY, 3), Todo::Say(Box::new(ready(3))));
        assert_eq!((tasks.held(), tasks.all_done()), (vec![KEY.id(3)], vec![ready(3)]));
        assert!(tasks.content(KEY, 2).is_none() && tasks.content(KEY, 3).is_some());
        tasks.release(KEY, 2);
        assert_eq!(tasks.attempt(KEY, 1), Some(3), "only an older attempt was released");
        tasks.release(KEY, 3);
        assert_eq!(tasks.attempt(KEY, 1), None);
    }

    #[test]
    fn what_nobody_needs_is_thrown_away() {
        let mut tasks = Tasks::default();
        let _ = tasks.order(KEY, 1);
        tasks.release(KEY, 1);
        assert_eq!(tasks.done(KEY, 1, ready(1), Content::of_bytes(vec![1])), None);
        let loss = Key { is_loss: true, ..KEY };
        let _ = tasks.order(loss, 1);
        assert_eq!(tasks.held(), [], "a loss is measured again");
        let _ = tasks.order(loss, 2);
        tasks.clear();
        assert_eq!(tasks.order(loss, 1), Todo::Begin(3), "a federator that was begun again ordered it");
        assert_eq!(tasks.attempt(loss, 2), None, "what comes of the order before it is of no use");
        assert_eq!((tasks.attempt(loss, 3), tasks.holds(loss, 3)), (Some(1), true));
    }
}
