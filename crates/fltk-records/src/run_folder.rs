//! A run's folder: created atomically, and validated when it is opened.

mod description;
mod error;
mod followed;
pub(crate) mod lock;
mod partition;
mod recorder;

use std::{
    fs,
    path::{Path, PathBuf},
};

use fltk_core::{catalogue::Catalogues, experiment::Experiment, ids::Round, name::Name};
use fltk_experiment::SourceFile;
use jiff::Timestamp;

pub use self::{
    description::{CHANGES_NOTHING, Host, Hyperparameter, Hyperparameters, RunDescription},
    error::RunError,
    followed::FollowedRun,
    lock::RunLock,
    partition::{ClientCounts, PartitionCounts},
    recorder::RunRecorder,
};
use crate::{
    checkpoint::CheckpointStore,
    client_states::ClientStateStore,
    derived::Derived,
    files::{self, FileError},
    folder,
    history::{History, OrderError, Status, Unit},
    journal::{self, Follower, Journal, Replay},
};

/// The largest `experiment.yaml`, in bytes: several thousand tasks.
const EXPERIMENT_BYTES_MAX: u64 = 16 << 20;
/// The largest `run.json`, in bytes.
const DESCRIPTION_BYTES_MAX: u64 = 1 << 20;

const EXPERIMENT: &str = "experiment.yaml";
pub(crate) const DESCRIPTION: &str = "run.json";
pub(crate) const JOURNAL: &str = "journal.jsonl";
pub(crate) const LOCK: &str = "lock";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const CLIENT_STATES: &str = "client-state";

/// A run's folder and the content of its `run.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFolder {
    path: PathBuf,
    description: RunDescription,
}

/// A run's folder and the content of its journal.
#[derive(Clone, Debug)]
pub struct RunRef {
    /// The folder.
    pub folder: RunFolder,
    /// The run's journal, folded.
    pub history: History,
    /// The status of the run.
    pub status: Status,
}

impl RunFolder {
    /// Creates the folder `<name>-<yyyymmdd-hhmmss>-<id_hex>` in `root` (UTC; `root` is created if it doesn't exist), with
    /// `experiment.yaml`, `run.json`, an empty journal and no checkpoints. The folder is filled under a temporary name and renamed, so a
    /// folder that exists is complete.
    ///
    /// `id_hex` is lower-case hex, and must distinguish runs started in the same second.
    ///
    /// # Errors
    /// If the id isn't allowed, the folder already exists, or it can't be written.
    pub fn create(
        root: &Path,
        name: &Name,
        now: Timestamp,
        id_hex: &str,
        experiment_yaml: &str,
        run: &RunDescription,
    ) -> Result<Self, RunError> {
        if id_hex.is_empty() || id_hex.len() > 32 || !id_hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(RunError::Id { id: files::printable(id_hex) });
        }
        run.check().map_err(|problem| RunError::Description { path: root.join(DESCRIPTION), problem })?;
        let run_json = run.to_json();
        // Anything too large to be read back is not written.
        for (file, bytes, bytes_max) in
            [(DESCRIPTION, run_json.len(), DESCRIPTION_BYTES_MAX), (EXPERIMENT, experiment_yaml.len(), EXPERIMENT_BYTES_MAX)]
        {
            if bytes as u64 > bytes_max {
                return Err(FileError::TooLarge { path: root.join(file), bytes_max }.into());
            }
        }
        let path = root.join(format!("{name}-{}-{id_hex}", now.strftime("%Y%m%d-%H%M%S")));
        folder::create(root, &path, |new| {
            files::write_new(&new.join(EXPERIMENT), experiment_yaml.as_bytes())?;
            files::write_new(&new.join(DESCRIPTION), &run_json)?;
            files::write_new(&new.join(LOCK), b"")?;
            Journal::<fltk_core::event::RunEvent>::create(&new.join(JOURNAL))?;
            let checkpoints = new.join(CHECKPOINTS);
            Ok(fs::create_dir(&checkpoints).map_err(FileError::io("create", &checkpoints))?)
        })?;
        Ok(Self { path, description: run.clone() })
    }

    /// Opens the run's folder at `path`.
    ///
    /// # Errors
    /// If it is not a run's folder, or its `run.json` is damaged, too large, or from a newer version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RunError> {
        let path = path.into();
        for missing in [DESCRIPTION, JOURNAL, EXPERIMENT] {
            if !files::is_there(&path.join(missing)) {
                return Err(RunError::NotARun { path, missing });
            }
        }
        let file = path.join(DESCRIPTION);
        let description = RunDescription::from_json(&files::read(&file, DESCRIPTION_BYTES_MAX)?, &file)?;
        Ok(Self { path, description })
    }

    /// Opens the folder that a person named: the path of a folder, or the name of a folder in `root`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn find(root: &Path, named: &Path) -> Result<Self, RunError> {
        Self::open(folder::find(root, named, DESCRIPTION))
    }

    /// Lists the folders of runs in `root`, sorted by name; none if `root` doesn't exist. Damaged folders are included: opening one reports
    /// the problem.
    ///
    /// # Errors
    /// If `root` can't be listed.
    pub fn list(root: &Path) -> Result<Vec<PathBuf>, RunError> {
        folder::list(root, DESCRIPTION)
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder's own name, such as `quickstart-20260102-030405-1a2b3c4d`.
    #[must_use]
    pub fn name(&self) -> String {
        let canonical = || self.path.canonicalize().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).or_else(canonical);
        files::printable(&name.unwrap_or_default())
    }

    /// Returns the content of `run.json`.
    #[must_use]
    pub fn description(&self) -> &RunDescription {
        &self.description
    }

    /// Returns the resolved experiment, as YAML.
    ///
    /// # Errors
    /// If the file can't be read, is too large, or isn't UTF-8.
    pub fn experiment_yaml(&self) -> Result<String, RunError> {
        let path = self.path.join(EXPERIMENT);
        let bytes = files::read(&path, EXPERIMENT_BYTES_MAX)?;
        let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        Ok(String::from_utf8(bytes).map_err(|error| FileError::io("read", &path)(invalid(error)))?)
    }

    /// Returns the experiment that was started, as this version reads it: settings that were added later have the value that matches the
    /// behavior of that time.
    ///
    /// # Errors
    /// If the file can't be read, or holds something that this version doesn't know.
    pub fn experiment(&self, catalogues: &Catalogues) -> Result<Experiment, RunError> {
        self.written_experiment(catalogues).map(Experiment::with_earliest_defaults)
    }

    /// Like [`experiment`](Self::experiment), but settings that the file leaves open, because an earlier version wrote it, stay open.
    ///
    /// # Errors
    /// Those of [`experiment`](Self::experiment).
    pub fn written_experiment(&self, catalogues: &Catalogues) -> Result<Experiment, RunError> {
        parse(self.path.join(EXPERIMENT), self.experiment_yaml()?, &self.description.fltk_version, catalogues)
    }

    /// Returns the path of the journal.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// Returns the run's checkpoints, taken after rounds or epochs according to `unit`.
    #[must_use]
    pub fn checkpoints(&self, unit: Unit) -> CheckpointStore {
        CheckpointStore::new(self.path.join(CHECKPOINTS), unit)
    }

    /// Opens the states of the run's clients, for a run that goes on after `round`. The caller must hold the [lock](Self::lock).
    ///
    /// # Errors
    /// If they can't be listed, or those of later rounds can't be removed.
    pub fn client_states(&self, round: Round) -> Result<ClientStateStore, RunError> {
        Ok(ClientStateStore::open(self.path.join(CLIENT_STATES), round)?)
    }

    /// Makes the caller the single writer, until the lock is dropped or the process ends in any way. `who` is shown to other processes:
    /// which process holds the lock, on which machine.
    ///
    /// # Errors
    /// [`RunError::Locked`] if there is another writer; or if the lock file can't be written.
    pub fn lock(&self, who: &str) -> Result<RunLock, RunError> {
        lock::take(&self.path, who)
    }

    /// Returns true if there is a writer now; false if that can't be determined.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        lock::is_taken(&self.path)
    }

    /// Reads the journal.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    pub fn replay(&self) -> Result<Replay, RunError> {
        Ok(journal::replay(&self.journal_path())?)
    }

    /// Returns a reader of the journal that reads on where it stopped, for a run that somebody else is writing.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower::new(self.journal_path())
    }

    /// Reads the journal and folds it.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    pub fn read(self) -> Result<RunRef, RunError> {
        let locked = self.is_locked();
        let history = self.fold(&self.replay()?)?;
        let status = history.status(locked);
        Ok(RunRef { folder: self, history, status })
    }

    /// Rebuilds the derived files from the journal. `who` is the same as for [`lock`](Self::lock).
    ///
    /// # Errors
    /// If there is a writer, the journal is damaged, or a file can't be written.
    pub fn derive(&self, who: &str) -> Result<(), RunError> {
        let _lock = self.lock(who)?;
        let replay = self.replay()?;
        let history = self.fold(&replay)?;
        Derived::rebuild(&self.path, &self.description, &history, &replay.entries)?;
        Ok(())
    }

    fn fold(&self, replay: &Replay) -> Result<History, RunError> {
        History::fold(&replay.entries).map_err(|source| self.order_error(source))
    }

    fn order_error(&self, source: OrderError) -> RunError {
        RunError::Order { path: self.journal_path(), source }
    }
}

/// Parses the experiment in `text`, the content of `path`, which fltk `version` wrote.
pub(crate) fn parse(path: PathBuf, text: String, version: &str, catalogues: &Catalogues) -> Result<Experiment, RunError> {
    let source = SourceFile { name: path.display().to_string(), text };
    match fltk_experiment::parse(&[source], &[], catalogues) {
        Ok(parsed) => Ok(parsed.experiment),
        Err(report) => Err(RunError::Experiment { path, version: version.to_owned(), report: Box::new(report) }),
    }
}

/// Returns true if the run's folder at `path` has a writer now.
pub(crate) fn is_locked(path: &Path) -> bool {
    lock::is_taken(path)
}

#[cfg(test)]
mod tests;
