//! The messages of a watch: the events of its objects, and the lists that it begins with.

use std::collections::BTreeSet;

use tokio::time::Instant;

/// An event of a watch.
#[derive(Debug)]
pub enum Seen<T> {
    /// A new list begins; it shows the state at this instant or later.
    Listing(Instant),
    /// The current state of an object, and whether it comes from a list rather than from a change.
    There(T, bool),
    /// An object was deleted; this is its last state.
    Gone(T),
    /// The list is complete.
    Listed,
    /// The watch failed, and is restarted.
    Trouble(String),
}

impl<T> Seen<T> {
    /// The same event with the object mapped by `of`; `None` if `of` returns `None` for it.
    pub fn of<U>(&self, of: impl FnOnce(&T) -> Option<U>) -> Option<Seen<U>> {
        Some(match self {
            Self::Listing(at) => Seen::Listing(*at),
            Self::There(object, is_listed) => Seen::There(of(object)?, *is_listed),
            Self::Gone(object) => Seen::Gone(of(object)?),
            Self::Listed => Seen::Listed,
            Self::Trouble(text) => Seen::Trouble(text.clone()),
        })
    }
}

/// The names read so far while a list is being read, and whether a list was read before.
#[derive(Debug)]
pub struct Listing<N> {
    listed: Option<BTreeSet<N>>,
    was_listed: bool,
}

impl<N> Default for Listing<N> {
    fn default() -> Self {
        Self { listed: None, was_listed: false }
    }
}

impl<N: Ord> Listing<N> {
    /// Starts a list.
    pub fn begin(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// Records that the list has `name`.
    pub fn has(&mut self, name: N) {
        if let Some(listed) = &mut self.listed {
            listed.insert(name);
        }
    }

    /// Ends the list: returns its names, and true if it's the first list.
    pub fn end(&mut self) -> (BTreeSet<N>, bool) {
        let is_first = !std::mem::replace(&mut self.was_listed, true);
        (self.listed.take().unwrap_or_default(), is_first)
    }

    /// True if a list was read.
    pub fn is_ready(&self) -> bool {
        self.was_listed
    }
}
