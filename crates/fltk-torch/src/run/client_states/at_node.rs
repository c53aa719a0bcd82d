//! The states of a client whose data is at this node: they stay here too, written like a checkpoint.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

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
use fltk_records::{checkpoint::KEPT, client_states::ClientStateStore};
use sha2::{Digest as _, Sha256};

use super::FileStates;
use crate::run::OwnData;

/// The checkpoints of the federator whose states are kept: more than it keeps itself.
const CHECKPOINTS: u32 = 4 * KEPT as u32;

/// The states of the client at this node. A federator that goes on from a checkpoint asks for an earlier one than the last.
pub struct NodeStates {
    files: FileStates,
    /// The number of rounds after which a state isn't needed any more, if a later one counts.
    rounds: u32,
    /// The rounds whose states counted, as far as this process knows: those from which orders went on. A state is also saved for a round that the client was late for.
    counted: Mutex<BTreeSet<Round>>,
}

impl NodeStates {
    /// Opens the states of the client for this run.
    ///
    /// # Errors
    /// If there is no home folder and no other one is given, or the files can't be listed.
    pub fn open(own: &OwnData, run: &str, checkpoint_every: u32) -> anyhow::Result<Self> {
        let run = format!("{run}/{}", own.client);
        let folder = match &own.state {
            Some(folder) => folder.join(digest(&run)),
            None => usual_folder(&run).context("there is no home folder for what the client keeps\nhint: `--state DIR` names one")?,
        };
        // No state is void here: the federator says from which one to go on.
        let store = ClientStateStore::open(folder, Round(u32::MAX)).or_exit(Exit::Records)?;
        let files = FileStates::new(store, run, Round(u32::MAX), &ServerState::default())?;
        Ok(Self { files, rounds: checkpoint_every.saturating_mul(CHECKPOINTS), counted: Mutex::default() })
    }
}

/// Returns the folder of the states of a run and client in the user's cache folder.
fn usual_folder(run: &str) -> Option<PathBuf> {
    inputs::secrets("nodes").map(|nodes| nodes.join("state").join(digest(run)))
}

/// Returns the name of the folder of a run and client.
fn digest(run: &str) -> String {
    hex::encode(&Sha256::digest(run)[..16])
}

impl ClientStates for NodeStates {
    fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).insert(round);
        self.files.load(client, round)
    }

    fn save(&self, client: ClientId, round: Round, state: &ClientState) -> Result<(), BoxError> {
        let store = &self.files.store;
        self.files.save(client, round, state)?;
        // The update counts once it is sent.
        store.sync(round)?;
        if let Some(oldest) = round.0.checked_sub(self.rounds).map(Round) {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            // Before it is known which one counted, all of them may.
            if let Some(last) = counted.range(..=oldest).next_back().copied() {
                *counted = counted.split_off(&last);
                store.prune(oldest, |_| Some(last))?;
            }
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
        let state = |value: u32| ClientState { scalars: [("own".to_owned(), f64::from(value))].into(), ..ClientState::default() };
        let client = ClientId(3);
        let states = NodeStates::open(&own, "a run", 1).unwrap();
        // Round 2 counts; for those after it the client is late, and each goes on from round 2.
        for round in 1..30 {
            states.save(client, Round(round), &state(round)).unwrap();
            assert_eq!(states.load(client, Round(round.min(2))).unwrap(), state(round.min(2)));
        }
        drop(states);
        let states = NodeStates::open(&own, "a run", 1).unwrap();
        assert_eq!(states.load(client, Round(2)).unwrap(), state(2), "it is still needed");
        // Round 29 counts in the end: what is older than eight checkpoints isn't needed any more.
        assert_eq!(states.load(client, Round(29)).unwrap(), state(29));
        for round in 30..40 {
            states.save(client, Round(round), &state(round)).unwrap();
        }
        assert!(states.load(client, Round(28)).is_err());
        assert_eq!(states.load(client, Round(29)).unwrap(), state(29));
        assert!(NodeStates::open(&own, "another run", 1).unwrap().load(client, Round(29)).is_err(), "it is of another run");
    }
}
