//! The states of clients that travel with orders and updates: the federator keeps them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fltk_core::{
    client_state::ClientState,
    ids::{ClientId, Round},
};
use fltk_fed::{BoxError, client::ClientStates};

/// The states of the clients in training at a node.
#[derive(Debug, Default)]
pub struct Carried(Mutex<BTreeMap<(ClientId, Round), ClientState>>);

impl Carried {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ClientId, Round), ClientState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the state with which a client begins.
    pub(super) fn put(&self, client: ClientId, round: Round, state: ClientState) {
        self.lock().insert((client, round), state);
    }

    /// Returns true if a state is there.
    pub(super) fn has(&self, client: ClientId, round: Round) -> bool {
        self.lock().contains_key(&(client, round))
    }

    /// Removes and returns a state; an empty one if there is none.
    pub(super) fn take(&self, client: ClientId, round: Round) -> ClientState {
        self.lock().remove(&(client, round)).unwrap_or_default()
    }
}

impl ClientStates for Carried {
    fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError> {
        let state = self.lock().get(&(client, round)).cloned();
        state.ok_or_else(|| format!("the state of client `{client}` after round `{round}` didn't come with its order").into())
    }

    fn save(&self, client: ClientId, round: Round, state: &ClientState) -> Result<(), BoxError> {
        self.put(client, round, state.clone());
        Ok(())
    }
}
