//! A run's folder: made in one piece, opened with suspicion.

mod description;
mod error;
pub(crate) mod lock;
mod recorder;

use std::{
    fs,
    path::{Path, PathBuf},
};

use fltk_core::experiment::{self, Experiment, SourceFile};
use jiff::Timestamp;

pub use self::{
    description::{CHANGES_NOTHING, Host, Hyperparameter, Hyperparameters, RunDescription},
    error::RunError,
    lock::RunLock,
    recorder::RunRecorder,
};
use crate::{
    checkpoint::CheckpointStore,
    derived::Derived,
    files::{self, FileError},
    folder,
    history::{History, OrderError, Status, Unit},
    journal::{self, Journal, Replay},
};

/// Most bytes of `experiment.yaml`: some thousand tasks.
const EXPERIMENT_BYTES_MAX: u64 = 16 << 20;
/// Most bytes of `run.json`.
const DESCRIPTION_BYTES_MAX: u64 = 1 << 20;
/// Longest name of an experiment or a task, so that folder names and Kubernetes labels hold them.
const NAME_LENGTH_MAX: usize = 63;

const EXPERIMENT: &str = "experiment.yaml";
pub(crate) const DESCRIPTION: &str = "run.json";
pub(crate) const JOURNAL: &str = "journal.jsonl";
pub(crate) const LOCK: &str = "lock";
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// A run's folder and what `run.json` says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFolder {
    path: PathBuf,
    description: RunDescription,
}

/// A run's folder together with what its journal holds.
#[derive(Clone, Debug)]
pub struct RunRef {
    /// The folder.
    pub folder: RunFolder,
    /// Its journal, folded.
    pub history: History,
    /// Where it stands.
    pub status: Status,
}

impl RunFolder {
    /// Makes the folder `<name>-<yyyymmdd-hhmmss>-<id_hex>` in `root` (UTC; `root` is made if it isn't there), with `experiment.yaml`, `run.json`,
    /// an empty journal and no checkpoints. It is filled under a temporary name and renamed: a folder that exists is complete.
    ///
    /// `name` has letters, digits, `-` and `_`; `id_hex` is lower-case hex, which must tell apart runs begun in the same second.
    ///
    /// # Errors
    /// If a name isn't allowed, there is such a folder, or it can't be written.
    pub fn create(
        root: &Path,
        name: &str,
        now: Timestamp,
        id_hex: &str,
        experiment_yaml: &str,
        run: &RunDescription,
    ) -> Result<Self, RunError> {
        check_name("the name of a run", name)?;
        if id_hex.is_empty() || id_hex.len() > 32 || !id_hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(RunError::Name { what: "the hexadecimal id of a run", name: files::printable(id_hex) });
        }
        run.check().map_err(|problem| RunError::Description { path: root.join(DESCRIPTION), problem })?;
        let run_json = run.to_json();
        // What could not be read back is not written.
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
    /// If it is not a run's folder, or its `run.json` is damaged, too large, or of a newer version.
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

    /// Opens what a person named: the path of a folder, or the name of one in `root`.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub fn find(root: &Path, named: &Path) -> Result<Self, RunError> {
        Self::open(folder::find(root, named, DESCRIPTION))
    }

    /// The folders of runs in `root`, sorted by name; none if `root` isn't there. Damaged ones are among them: opening says what is wrong.
    ///
    /// # Errors
    /// If `root` can't be listed.
    pub fn list(root: &Path) -> Result<Vec<PathBuf>, RunError> {
        folder::list(root, DESCRIPTION)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's own name, such as `quickstart-20260102-030405-1a2b3c4d`.
    #[must_use]
    pub fn name(&self) -> String {
        let canonical = || self.path.canonicalize().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).or_else(canonical);
        files::printable(&name.unwrap_or_default())
    }

    /// What `run.json` says.
    #[must_use]
    pub fn description(&self) -> &RunDescription {
        &self.description
    }

    /// The resolved experiment, as YAML.
    ///
    /// # Errors
    /// If the file can't be read, is too large, or not UTF-8.
    pub fn experiment_yaml(&self) -> Result<String, RunError> {
        let path = self.path.join(EXPERIMENT);
        let bytes = files::read(&path, EXPERIMENT_BYTES_MAX)?;
        let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        Ok(String::from_utf8(bytes).map_err(|error| FileError::io("read", &path)(invalid(error)))?)
    }

    /// The experiment that was begun, as this version reads it: settings that came later are what was done before.
    ///
    /// # Errors
    /// If the file can't be read, or says what this version doesn't know.
    pub fn experiment(&self) -> Result<Experiment, RunError> {
        self.written_experiment().map(Experiment::with_earliest_defaults)
    }

    /// The same as it is written: what an earlier version left open still is.
    ///
    /// # Errors
    /// As [`experiment`](Self::experiment).
    pub fn written_experiment(&self) -> Result<Experiment, RunError> {
        parse(self.path.join(EXPERIMENT), self.experiment_yaml()?, &self.description.fltk_version)
    }

    /// Where the journal is.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// The run's checkpoints, taken after rounds or epochs as `unit` says.
    #[must_use]
    pub fn checkpoints(&self, unit: Unit) -> CheckpointStore {
        CheckpointStore::new(self.path.join(CHECKPOINTS), unit)
    }

    /// Becomes the one writer, until the lock is dropped or the process ends, however it ends. `who` is for the others: which process, on
    /// which machine.
    ///
    /// # Errors
    /// [`RunError::Locked`] if there is a writer; or if the lock file can't be written.
    pub fn lock(&self, who: &str) -> Result<RunLock, RunError> {
        lock::take(&self.path, who)
    }

    /// Whether there is a writer now. False where that can't be found out.
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

    /// Makes again what is derived from the journal. `who` is as of [`lock`](Self::lock).
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

/// The experiment in `text`, the content of `path`, which fltk `version` wrote.
pub(crate) fn parse(path: PathBuf, text: String, version: &str) -> Result<Experiment, RunError> {
    let source = SourceFile { name: path.display().to_string(), text };
    match experiment::parse(&[source], &[]) {
        Ok(parsed) => Ok(parsed.experiment),
        Err(report) => Err(RunError::Experiment { path, version: version.to_owned(), report: Box::new(report) }),
    }
}

/// Whether the run's folder at `path` has a writer now.
pub(crate) fn is_locked(path: &Path) -> bool {
    lock::is_taken(path)
}

/// Names become parts of paths, tables and Kubernetes objects.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), RunError> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(RunError::Name { what, name: files::printable(name) })
    }
}

#[cfg(test)]
mod tests;
