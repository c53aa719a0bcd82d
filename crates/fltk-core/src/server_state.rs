//! The state that a federated strategy keeps on the server between rounds, such as momentum.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    ids::{ClientId, Round},
    model_state::ModelState,
};

/// Named arrays and scalars in f64. It is empty before the first round, and for a strategy without state. Every checkpoint contains it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerState {
    /// The arrays by name, such as one with an element for each of the model's.
    pub arrays: BTreeMap<String, Vec<f64>>,
    /// The scalars by name.
    pub scalars: BTreeMap<String, f64>,
    /// The last round in which each client took part, by client; round 0 for none. It says which state a client goes on from. It is empty
    /// if clients keep no state. The engine keeps it, not the strategy.
    pub last_rounds: Vec<Round>,
    /// The clients that work under an asynchronous strategy, ascending; none under the others. The engine keeps it, not the strategy.
    pub in_flight: Vec<InFlight>,
    /// The models that these started from, by the round after which they were the global model. Those of a file have no layout: it is that of the global
    /// model.
    pub bases: BTreeMap<Round, Arc<ModelState>>,
    /// The arrays of a strategy of the user's own, by name; none under the others.
    pub own: BTreeMap<String, Shaped>,
}

/// An array of any shape, in row-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shaped {
    /// The sizes of its dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f64>,
}

/// A client that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// The client.
    pub client: ClientId,
    /// The round in which it began: it started from the model after the one before.
    pub round: Round,
    /// The time at which it began, in microseconds, by the clock of the run.
    pub given: u64,
}

/// The name of the scalar of the simulated time.
const CLOCK: &str = "clock.microseconds";
/// The name of the scalar of the simulated time at which the model of the last round was complete.
const READY: &str = "clock.ready_microseconds";

impl ServerState {
    /// Returns two simulated times in microseconds: that of the answer with which the last round ended, and that at which its model was complete. They are 0
    /// if no round ended, or if time isn't simulated.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` takes what is out of range to the nearest end")]
    pub fn clock(&self) -> (u64, u64) {
        let of = |name| self.scalars.get(name).map_or(0, |micros| *micros as u64);
        (of(CLOCK), of(READY))
    }

    /// Sets both times, which are exact up to 2^53.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    pub fn set_clock(&mut self, answered: u64, ready: u64) {
        self.scalars.insert(CLOCK.to_owned(), answered as f64);
        self.scalars.insert(READY.to_owned(), ready as f64);
    }

    /// True if the state is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let has_own = !self.own.is_empty();
        !has_own && self.arrays.is_empty() && self.scalars.is_empty() && self.last_rounds.is_empty() && self.in_flight.is_empty()
    }

    /// Returns the last round in which `client` took part; `None` if it took part in none, or if clients keep no state.
    #[must_use]
    pub fn last_round(&self, client: ClientId) -> Option<Round> {
        self.last_rounds.get(client.0 as usize).copied().filter(|round| round.0 > 0)
    }

    /// Notes that `clients`, which are among `num_clients`, took part in `round`.
    pub fn took_part(&mut self, round: Round, clients: &[ClientId], num_clients: usize) {
        self.last_rounds.resize(num_clients, Round(0));
        for client in clients {
            if let Some(last) = self.last_rounds.get_mut(client.0 as usize) {
                *last = round;
            }
        }
    }

    /// Returns the array of this name, created with `len` zeros if it doesn't exist yet.
    ///
    /// # Errors
    /// If the array has another length: it belongs to another model.
    pub fn array(&mut self, name: &str, len: usize) -> Result<&mut Vec<f64>, WrongLength> {
        let array = self.arrays.entry(name.to_owned()).or_insert_with(|| vec![0.0; len]);
        if array.len() == len { Ok(array) } else { Err(WrongLength { name: name.to_owned(), found: array.len(), expected: len }) }
    }

    /// Removes and returns the array of this name, created with `len` times `initial` if it doesn't exist yet. So a strategy can change two
    /// arrays at once; it has to put them back.
    ///
    /// # Errors
    /// If the array has another length: it belongs to another model.
    pub fn take_array(&mut self, name: &str, len: usize, initial: f64) -> Result<Vec<f64>, WrongLength> {
        match self.arrays.remove(name) {
            None => Ok(vec![initial; len]),
            Some(array) if array.len() == len => Ok(array),
            Some(array) => Err(WrongLength { name: name.to_owned(), found: array.len(), expected: len }),
        }
    }
}

/// The error for an array of a strategy that doesn't fit the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the strategy's array `{name}` has {found} elements, the model needs {expected}")]
pub struct WrongLength {
    /// The name of the array.
    pub name: String,
    /// The number of its elements.
    pub found: usize,
    /// The number of elements that the model needs.
    pub expected: usize,
}
