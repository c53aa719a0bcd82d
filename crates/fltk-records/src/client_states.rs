//! The states that the clients of a federated run keep between rounds: one file for each client and round in which it trained.
//!
//! ```text
//! client-state/client-000003/round-000012.safetensors      the state of client 3 after round 12
//!                            round-000020.safetensors
//! ```
//!
//! Every file is written as `.new-...` and renamed. Files are made durable together, by [`sync`](ClientStateStore::sync), before the
//! checkpoint that needs them is saved: those of later rounds may be lost with the machine, since a run that resumes trains these rounds
//! again. [`prune`](ClientStateStore::prune) removes those that no kept checkpoint needs. In memory is only which files there are.
//!
//! A place that trains some of a run's clients keeps their files in the same way.
//!
//! This module doesn't interpret the files. Their content says whose they are, and is verified by those who read it.

mod needed;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use fltk_core::ids::{ClientId, Round};

use self::needed::{superseded, void};
use crate::files::{self, FileError};

/// The largest file, in bytes: several times the largest net of the catalog.
const BYTES_MAX: u64 = 2 << 30;
/// The limit on clients whose folders are read.
const CLIENTS_MAX: usize = 1_000_000;
/// The limit on names that are read in the folder of a client.
const ROUNDS_MAX: usize = 100_000;

const CLIENT: &str = "client-";
const ROUND: &str = "round-";
const EXTENSION: &str = ".safetensors";

/// The states of clients in a folder, which is created with the first state. Threads may share it. Whoever opens one must be the only one who
/// writes there, as for the run's [lock](crate::RunFolder::lock).
#[derive(Debug)]
pub struct ClientStateStore {
    folder: PathBuf,
    known: Mutex<Known>,
}

/// The files that exist.
#[derive(Debug, Default)]
struct Known {
    /// The rounds after which a client has a state, for clients that have one.
    rounds: BTreeMap<ClientId, BTreeSet<Round>>,
    /// Those that may not be durable yet.
    unsynced: BTreeSet<(Round, ClientId)>,
}

impl ClientStateStore {
    /// Opens the states in `folder` for a run that goes on after `round`, from 0: those of later rounds are void, and are removed.
    ///
    /// # Errors
    /// If the folder can't be read, is a link, or a file can't be removed.
    pub fn open(folder: PathBuf, round: Round) -> Result<Self, FileError> {
        let store = Self { known: Mutex::default(), folder };
        let mut known = read(&store.folder)?;
        for (&client, rounds) in &mut known {
            files::sweep(&client_folder(&store.folder, client))?;
            for round in void(rounds, round) {
                store.remove(client, round)?;
                rounds.remove(&round);
            }
        }
        // Those that are left were made durable before the checkpoint was saved.
        store.known().rounds = known;
        Ok(store)
    }

    /// Returns true if `client` has a state after `round`. Its content isn't checked.
    #[must_use]
    pub fn has(&self, client: ClientId, round: Round) -> bool {
        self.known().rounds.get(&client).is_some_and(|rounds| rounds.contains(&round))
    }

    /// Returns the content of the file that [`save`](Self::save) was given.
    ///
    /// # Errors
    /// If the file isn't there, or can't be read.
    pub fn load(&self, client: ClientId, round: Round) -> Result<Vec<u8>, FileError> {
        files::read_in(&client_folder(&self.folder, client), &file_name(round), BYTES_MAX)
    }

    /// Saves the state of `client` after `round`, in place of another of that round. A reader sees one or the other.
    ///
    /// # Errors
    /// If it can't be written. Nothing has changed then.
    pub fn save(&self, client: ClientId, round: Round, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.path(client, round);
        if bytes.len() as u64 > BYTES_MAX {
            return Err(FileError::TooLarge { path, bytes_max: BYTES_MAX });
        }
        let folder = client_folder(&self.folder, client);
        fs::create_dir_all(&folder).map_err(FileError::io("create", &folder))?;
        files::require_folder(&self.folder)?;
        files::require_folder(&folder)?;
        files::replace_unsynced(&path, bytes)?;
        let mut known = self.known();
        known.rounds.entry(client).or_default().insert(round);
        known.unsynced.insert((round, client));
        Ok(())
    }

    /// Makes the states up to `round` durable. A checkpoint after `round` is saved only after that.
    ///
    /// # Errors
    /// If a file or a folder can't be synced.
    pub fn sync(&self, round: Round) -> Result<(), FileError> {
        let next = (Round(round.0.saturating_add(1)), ClientId(0));
        let unsynced: BTreeSet<(Round, ClientId)> = self.known().unsynced.range(..next).copied().collect();
        if unsynced.is_empty() {
            return Ok(());
        }
        for &(round, client) in &unsynced {
            let path = self.path(client, round);
            File::open(&path).and_then(|file| file.sync_all()).map_err(FileError::io("sync", &path))?;
        }
        let clients: BTreeSet<ClientId> = unsynced.iter().map(|&(_, client)| client).collect();
        for client in clients {
            files::sync_folder(&client_folder(&self.folder, client))?;
        }
        files::sync_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), files::sync_folder)?;
        self.known().unsynced.retain(|state| !unsynced.contains(state));
        Ok(())
    }

    /// Removes the states that no kept checkpoint needs. `oldest` is the round of the oldest checkpoint that is kept; `last_round` gives each
    /// client's last round that counted until then. Clients may train meanwhile.
    ///
    /// # Errors
    /// If a file can't be removed.
    pub fn prune(&self, oldest: Round, last_round: impl Fn(ClientId) -> Option<Round>) -> Result<(), FileError> {
        let outdated: Vec<(ClientId, Round)> = {
            let mut known = self.known();
            let Known { rounds, unsynced } = &mut *known;
            let mut outdated = Vec::new();
            for (&client, rounds) in rounds.iter_mut() {
                for round in superseded(rounds, oldest, last_round(client)) {
                    rounds.remove(&round);
                    unsynced.remove(&(round, client));
                    outdated.push((client, round));
                }
            }
            outdated
        };
        outdated.into_iter().try_for_each(|(client, round)| self.remove(client, round))
    }

    /// Returns the path that the state of `client` after `round` has, or would have.
    #[must_use]
    pub fn path(&self, client: ClientId, round: Round) -> PathBuf {
        client_folder(&self.folder, client).join(file_name(round))
    }

    fn remove(&self, client: ClientId, round: Round) -> Result<(), FileError> {
        let path = self.path(client, round);
        fs::remove_file(&path).map_err(FileError::io("remove", &path))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing can panic while it is locked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the paths of the states in `folder`, an older copy's, that pruning would have removed in a copy whose oldest kept checkpoint is that
/// of `oldest`: the newer copy has all that are needed of these rounds.
pub(crate) fn outdated(folder: &Path, oldest: Round) -> Result<Vec<PathBuf>, FileError> {
    let mut outdated = Vec::new();
    for (client, rounds) in read(folder)? {
        outdated.extend(superseded(&rounds, oldest, None).into_iter().map(|round| client_folder(folder, client).join(file_name(round))));
    }
    Ok(outdated)
}

/// Returns the rounds after which clients have states; none if `folder` doesn't exist. Names that we don't write are ignored.
fn read(folder: &Path) -> Result<BTreeMap<ClientId, BTreeSet<Round>>, FileError> {
    let listed = files::require_folder(folder).and_then(|()| files::names_in(folder, CLIENTS_MAX));
    let names = match listed {
        Err(error) if error.is_not_found() => return Ok(BTreeMap::new()),
        names => names?,
    };
    let mut known = BTreeMap::new();
    for client in names.iter().filter_map(|name| number(name, CLIENT, "")).map(ClientId) {
        let folder = client_folder(folder, client);
        files::require_folder(&folder)?;
        let names = files::names_in(&folder, ROUNDS_MAX)?;
        let rounds: BTreeSet<Round> = names.iter().filter_map(|name| number(name, ROUND, EXTENSION)).map(Round).collect();
        known.insert(client, rounds);
    }
    Ok(known)
}

fn client_folder(folder: &Path, client: ClientId) -> PathBuf {
    folder.join(named(client.0, CLIENT, ""))
}

fn file_name(round: Round) -> String {
    named(round.0, ROUND, EXTENSION)
}

fn named(number: u32, prefix: &str, suffix: &str) -> String {
    format!("{prefix}{number:06}{suffix}")
}

/// Returns the number in a name exactly as [`named`] writes it: no sign, and the same number of zeros.
fn number(name: &str, prefix: &str, suffix: &str) -> Option<u32> {
    let number = name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok()?;
    (named(number, prefix, suffix) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let clients = files::names_in(folder, 100).unwrap();
        clients
            .iter()
            .flat_map(|client| files::names_in(&folder.join(client), 100).unwrap().into_iter().map(move |name| format!("{client}/{name}")))
            .collect()
    }

    fn open(folder: &Path, round: u32) -> ClientStateStore {
        ClientStateStore::open(folder.to_owned(), Round(round)).unwrap()
    }

    #[test]
    fn a_run_that_saves_nothing_leaves_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("client-state");
        let store = open(&folder, 0);
        store.sync(Round(9)).unwrap();
        store.prune(Round(9), |_| None).unwrap();
        assert!(!store.has(ClientId(0), Round(1)));
        assert!(!folder.exists());
    }

    #[test]
    fn states_are_read_as_they_were_saved_and_later_ones_are_void() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("client-state");
        let store = open(&folder, 0);
        for (client, round) in [(3, 1), (3, 4), (3, 1_000_000), (12, 5)] {
            store.save(ClientId(client), Round(round), &[client as u8, round as u8]).unwrap();
        }
        store.save(ClientId(3), Round(4), b"again").unwrap();
        assert_eq!(store.load(ClientId(3), Round(4)).unwrap(), b"again");
        assert!(store.path(ClientId(3), Round(4)).ends_with("client-state/client-000003/round-000004.safetensors"));
        assert!(store.load(ClientId(3), Round(2)).unwrap_err().is_not_found());
        store.sync(Round(4)).unwrap();
        assert_eq!(store.known().unsynced, BTreeSet::from([(Round(5), ClientId(12)), (Round(1_000_000), ClientId(3))]));

        // A kill left something unfinished, and somebody else something unknown.
        fs::write(folder.join("client-000003/.new-1"), "").unwrap();
        fs::write(folder.join("client-000003/round-4.safetensors"), "").unwrap();
        fs::create_dir(folder.join("notes")).unwrap();
        let resumed = open(&folder, 4);
        assert!(resumed.has(ClientId(3), Round(4)) && resumed.has(ClientId(3), Round(1)) && !resumed.has(ClientId(12), Round(5)));
        let left =
            ["client-000003/round-000001.safetensors", "client-000003/round-000004.safetensors", "client-000003/round-4.safetensors"];
        assert_eq!(names(&folder), left);
        resumed.sync(Round(4)).unwrap();
        resumed.prune(Round(4), |_| Some(Round(4))).unwrap();
        assert_eq!(names(&folder), left[1..]);
        assert!(open(&folder, 0).known().rounds.values().all(BTreeSet::is_empty));
    }

    #[test]
    fn links_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let (other, folder) = (root.path().join("other"), root.path().join("client-state"));
        open(&other, 0).save(ClientId(1), Round(1), b"x").unwrap();
        std::os::unix::fs::symlink(&other, &folder).unwrap();
        let error = ClientStateStore::open(folder.clone(), Round(0)).unwrap_err();
        assert!(matches!(error, FileError::NotAFolder { .. }), "{error}");
        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(other.join("client-000001"), folder.join("client-000001")).unwrap();
        assert!(matches!(ClientStateStore::open(folder, Round(0)), Err(FileError::NotAFolder { .. })));
        assert!(open(&other, 1).has(ClientId(1), Round(1)));
    }
}
