//! The states that the clients of a federated run keep between rounds, as files in the run's folder. A run whose strategy keeps none has no such
//! files.

mod at_node;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use fltk::exit::{Exit, OrExit as _, failure};
use fltk_core::{
    client_state::ClientState,
    ids::{ClientId, Round},
    server_state::ServerState,
};
use fltk_fed::{BoxError, client::ClientStates};
use fltk_records::{RunFolder, client_states::ClientStateStore};
use fltk_train::client_file::{self, Owner};

pub use at_node::NodeStates;

/// The states of a run's clients. The workers share it.
pub struct FileStates {
    store: ClientStateStore,
    /// The id of the run, which each file names.
    run: String,
    /// The last round of each client at the checkpoints that are kept, by the round of the checkpoint.
    checkpoints: Mutex<BTreeMap<Round, Vec<Round>>>,
}

impl FileStates {
    /// Opens the states in `folder` for a run that goes on after `round`, when the server had the state `server`.
    ///
    /// # Errors
    /// If the files can't be listed, or one that is needed is missing.
    pub fn open(folder: &RunFolder, round: Round, server: &ServerState) -> anyhow::Result<Self> {
        let described = folder.description();
        let run = format!("{}/{}", described.group, described.job_index);
        Self::new(folder.client_states(round).or_exit(Exit::Records)?, run, round, server)
    }

    fn new(store: ClientStateStore, run: String, round: Round, server: &ServerState) -> anyhow::Result<Self> {
        let needed = (0..).map(ClientId).zip(&server.last_rounds).filter(|(_, last)| last.0 > 0);
        for (client, &last) in needed {
            if !store.has(client, last) {
                let path = store.path(client, last);
                let message = format!(
                    "the state of client `{client}` after round `{last}` is missing: `{}`\nhint: put it back; or remove the checkpoint after round `{round}`: the run goes on from the one before, or from its beginning",
                    path.display()
                );
                return Err(failure(Exit::Records, message));
            }
        }
        let checkpoints = Mutex::new(BTreeMap::from([(round, server.last_rounds.clone())]));
        Ok(Self { store, run, checkpoints })
    }

    /// Makes the states up to `round` durable. A checkpoint after `round` is saved only after that.
    ///
    /// # Errors
    /// If a file can't be synced.
    pub fn sync(&self, round: Round) -> anyhow::Result<()> {
        self.store.sync(round).or_exit(Exit::Records)
    }

    /// Removes the states that are no longer needed, once there is a checkpoint after `round` with the server's state `server`. `oldest` is the
    /// round of the oldest checkpoint that is kept.
    ///
    /// # Errors
    /// If a file can't be removed.
    pub fn checkpointed(&self, round: Round, server: &ServerState, oldest: Round) -> anyhow::Result<()> {
        let mut checkpoints = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoints.insert(round, server.last_rounds.clone());
        *checkpoints = checkpoints.split_off(&oldest);
        // Of a checkpoint from before this process started, it isn't known what it needs, unless the run goes on from it.
        let Some(last_rounds) = checkpoints.get(&oldest) else { return Ok(()) };
        self.store.prune(oldest, |client| last_rounds.get(client.0 as usize).copied()).or_exit(Exit::Records)
    }

    fn owner(&self, client: ClientId, round: Round) -> Owner {
        Owner { run: self.run.clone(), client, round }
    }
}

impl ClientStates for FileStates {
    fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError> {
        let path = self.store.path(client, round).display().to_string();
        Ok(client_file::from_safetensors(&path, &self.store.load(client, round)?, &self.owner(client, round))?)
    }

    fn save(&self, client: ClientId, round: Round, state: &ClientState) -> Result<(), BoxError> {
        Ok(self.store.save(client, round, &client_file::to_safetensors(&self.owner(client, round), state)?)?)
    }
}

#[cfg(test)]
mod tests;
