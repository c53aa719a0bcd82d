//! The states of a client whose data is at this node: they stay here too, written like a checkpoint.

use std::path::PathBuf;

use anyhow::Context as _;
use fltk::{
    exit::{Exit, OrExit as _},
    inputs,
};
use fltk_core::{
    client_state::ClientState,
    ids::{ClientId, Round},
    server_state::ServerState,
};
use fltk_fed::{BoxError, client::ClientStates};
use fltk_records::client_states::ClientStateStore;
use sha2::{Digest as _, Sha256};

use super::FileStates;
use crate::run::OwnData;

/// The checkpoints of the federator whose states are kept. A federator keeps fewer, and tells no node which.
const CHECKPOINTS: u32 = 64;

/// The states of the client at this node. A federator that goes on from a checkpoint asks for an earlier one than the last.
pub struct NodeStates {
    files: FileStates,
    /// The number of rounds after which a state isn't needed any more, if there is a later one.
    rounds: u32,
}

impl NodeStates {
    /// Opens the states of the client for this run.
    ///
    /// # Errors
    /// If there is no home folder and no other one is given, or the files can't be listed.
    pub fn open(own: &OwnData, run: &str, checkpoint_every: u32) -> anyhow::Result<Self> {
        let run = format!("{run}/{}", own.client);
        let folder = match &own.state {
            Some(folder) => folder.clone(),
            None => usual_folder(&run).context("there is no home folder for what the client keeps\nhint: `--state DIR` names one")?,
        };
        // No state is void here: the federator says from which one to go on.
        let store = ClientStateStore::open(folder, Round(u32::MAX)).or_exit(Exit::Records)?;
        let files = FileStates::new(store, run, Round(u32::MAX), &ServerState::default())?;
        Ok(Self { files, rounds: checkpoint_every.saturating_mul(CHECKPOINTS) })
    }
}

/// Returns the folder of the states of a run and client in the user's cache folder.
fn usual_folder(run: &str) -> Option<PathBuf> {
    let digest = hex::encode(&Sha256::digest(run)[..16]);
    inputs::secrets("nodes").map(|nodes| nodes.join("state").join(digest))
}

impl ClientStates for NodeStates {
    fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError> {
        self.files.load(client, round)
    }

    fn save(&self, client: ClientId, round: Round, state: &ClientState) -> Result<(), BoxError> {
        let store = &self.files.store;
        self.files.save(client, round, state)?;
        // The update counts once it is sent.
        store.sync(round)?;
        if let Some(oldest) = round.0.checked_sub(self.rounds).map(Round) {
            let last = store.last_until(client, oldest);
            store.prune(oldest, |_| last)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    #[test]
    fn the_last_states_stay_whatever_happens_to_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let own = OwnData { client: "north".to_owned(), data: PathBuf::new(), state: Some(folder.path().join("state")) };
        let state = |value: f64| ClientState { scalars: [("own".to_owned(), value)].into(), ..ClientState::default() };
        let states = NodeStates::open(&own, "a run", 1).unwrap();
        for round in [1, 2, 70, 140] {
            states.save(ClientId(3), Round(round), &state(f64::from(round))).unwrap();
        }
        drop(states);
        let states = NodeStates::open(&own, "a run", 1).unwrap();
        // Round 70 is the last that is 64 rounds old; those before it are of no use.
        for round in [70, 140] {
            assert_eq!(states.load(ClientId(3), Round(round)).unwrap(), state(f64::from(round)));
        }
        assert!(states.load(ClientId(3), Round(2)).is_err());
        assert!(NodeStates::open(&own, "another run", 1).unwrap().load(ClientId(3), Round(140)).is_err(), "it is of another run");
    }
}
