//! The folder of a stream of jobs: the experiment that is to be run, and the orchestrator's journal.
//!
//! ```text
//! <name>/
//!   stream.json       the stream's name, when it started, and the digests of the next three
//!   experiment.yaml   the experiment, every default written out
//!   cluster.json      the settings of the cluster, if its jobs run on one
//!   trace.txt         the arrivals as they were written, CSV or JSON, if they come from a trace
//!   module-<SHA-256>.pt    the TorchScript modules that travel with jobs to a cluster
//!   journal.jsonl     the events, in order
//!   lock              held by the single orchestrator
//!   jobs.csv, jobs.sqlite, events.out.tfevents.*    derived from the journal, for other programs
//! ```

pub mod derived;
mod listing;
mod states;
pub mod timeline;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use fltk_core::{catalogue::Catalogues, experiment::Experiment, name::Name};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::listing::{StreamListing, StreamSummary};
use crate::{
    RunError, RunLock, files, folder,
    journal::{Journal, JournalError, JournalEvent, Replay, replay},
    run_folder,
};

pub(crate) const DESCRIPTION: &str = "stream.json";
const EXPERIMENT: &str = "experiment.yaml";
const CLUSTER: &str = "cluster.json";
const TRACE: &str = "trace.txt";
const JOURNAL: &str = "journal.jsonl";

/// The beginning of the names of modules.
const MODULE: &str = "module-";

/// The largest module in such a folder, in bytes.
const MODULE_BYTES_MAX: u64 = 64 << 20;

/// The largest text in such a folder, in bytes: a trace of a million arrivals.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// The identity of a stream, as recorded in `stream.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDescription {
    /// The version of fltk that started it.
    pub fltk_version: String,
    /// The name of the stream: that of its folder, and of its objects in a cluster.
    pub run: Name,
    /// The experiment's name.
    pub experiment: Name,
    /// The time at which it started; times in its journal count from here.
    pub started_at: Timestamp,
}

/// The content of `stream.json`.
#[derive(Serialize, Deserialize)]
struct Recorded {
    #[serde(flatten)]
    description: StreamDescription,
    /// The result of [`StreamTexts::digests`]; empty if an earlier version, which recorded no digests, started the stream.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files_sha256: BTreeMap<String, String>,
}

/// The texts that define a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamTexts {
    /// The experiment, as YAML.
    pub experiment: String,
    /// The settings of the cluster on which its jobs run, as JSON; absent if they run on this machine.
    pub cluster: Option<String>,
    /// The arrivals of its trace, as CSV or JSON.
    pub trace: Option<String>,
    /// The TorchScript modules that travel with its jobs, by their [names](module_name) in its folder. Those of a folder are [read](StreamFolder::modules) where they are needed.
    pub modules: Modules,
}

/// TorchScript modules by their [names](module_name).
pub type Modules = BTreeMap<String, Arc<[u8]>>;

/// Returns the name of a TorchScript module that travels with jobs: it says the SHA-256 of the file.
#[must_use]
pub fn module_name(bytes: &[u8]) -> String {
    format!("{MODULE}{}.pt", hex::encode(Sha256::digest(bytes)))
}

impl StreamTexts {
    /// Returns the texts that exist, by the name of their file.
    fn by_file(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let optional =
            [(CLUSTER, &self.cluster), (TRACE, &self.trace)].into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        [(EXPERIMENT, self.experiment.as_str())].into_iter().chain(optional)
    }

    /// Returns the SHA-256 of each text and module, lower-case hex, by the name of its file.
    fn digests(&self) -> BTreeMap<String, String> {
        let texts = self.by_file().map(|(name, text)| (name, text.as_bytes()));
        let modules = self.modules.iter().map(|(name, bytes)| (name.as_str(), &**bytes));
        texts.chain(modules).map(|(name, bytes)| (name.to_owned(), hex::encode(Sha256::digest(bytes)))).collect()
    }
}

/// An existing folder of a stream.
#[derive(Clone, Debug)]
pub struct StreamFolder {
    path: PathBuf,
    description: StreamDescription,
    /// The field of the same name of [`Recorded`].
    files_sha256: BTreeMap<String, String>,
}

impl StreamFolder {
    /// Creates the folder of `description.run` in `root`. The folder is filled under a temporary name and renamed, so a folder that exists
    /// is complete.
    ///
    /// # Errors
    /// If the folder already exists, or it can't be written.
    pub fn create<E: JournalEvent>(root: &Path, description: &StreamDescription, texts: &StreamTexts) -> Result<Self, RunError> {
        let path = root.join(description.run.as_str());
        let recorded = Recorded { description: description.clone(), files_sha256: texts.digests() };
        folder::create(root, &path, |new| {
            let write = |name: &str, text: &str| files::write_new(&new.join(name), text.as_bytes());
            texts.by_file().try_for_each(|(name, text)| write(name, text))?;
            texts.modules.iter().try_for_each(|(name, bytes)| files::write_new(&new.join(name), bytes))?;
            let json = serde_json::to_string_pretty(&recorded).expect("texts and a time can always be written");
            write(DESCRIPTION, &format!("{json}\n"))?;
            Journal::<E>::create(&new.join(JOURNAL))?;
            Ok(())
        })?;
        Ok(Self { path, description: recorded.description, files_sha256: recorded.files_sha256 })
    }

    /// Opens the stream's folder at `path`.
    ///
    /// # Errors
    /// If it isn't a stream's folder, or is damaged.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RunError> {
        let path = path.into();
        for missing in [DESCRIPTION, JOURNAL, EXPERIMENT] {
            if !files::is_there(&path.join(missing)) {
                return Err(RunError::NotAStream { path, missing });
            }
        }
        let file = path.join(DESCRIPTION);
        let bytes = files::read(&file, files::TEXT_BYTES_MAX as u64)?;
        let damaged = |problem: String| RunError::Description { path: file.clone(), problem };
        let Recorded { description, files_sha256 } = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { path, description, files_sha256 })
    }

    /// Opens the folder that a person named: the path of a folder, or the name of a folder in `root`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn find(root: &Path, named: &Path) -> Result<Self, RunError> {
        Self::open(folder::find(root, named, DESCRIPTION))
    }

    /// Lists the folders of streams in `root`, sorted by name.
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

    /// Returns the identity of the stream, as recorded in `stream.json`.
    #[must_use]
    pub fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// Reads the texts that define the stream.
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn texts(&self) -> Result<StreamTexts, RunError> {
        let optional = |name: &str| files::is_there(&self.path.join(name)).then(|| self.text(name)).transpose();
        let (cluster, trace) = (optional(CLUSTER)?, optional(TRACE)?);
        Ok(StreamTexts { experiment: self.text(EXPERIMENT)?, cluster, trace, modules: Modules::new() })
    }

    /// Returns the TorchScript modules that travel with its jobs, as far as they are there.
    ///
    /// # Errors
    /// If one can't be read.
    pub fn modules(&self) -> Result<Modules, RunError> {
        let names = self.files_sha256.keys().filter(|name| name.starts_with(MODULE) && !name.contains('/'));
        let there = names.map(|name| (name, self.path.join(name))).filter(|(_, path)| files::is_there(path));
        there.map(|(name, path)| Ok((name.clone(), files::read(&path, MODULE_BYTES_MAX)?.into()))).collect()
    }

    /// Checks that its texts are those that it was started with. Earlier versions recorded no digests: then nothing is checked.
    ///
    /// # Errors
    /// If a text has changed, was removed or added, or can't be read.
    pub fn check_texts(&self) -> Result<(), RunError> {
        if self.files_sha256.is_empty() {
            return Ok(());
        }
        let now = StreamTexts { modules: self.modules()?, ..self.texts()? }.digests();
        let is_other = |name: &&String| now.get(*name) != self.files_sha256.get(*name);
        let Some(name) = now.keys().chain(self.files_sha256.keys()).find(is_other) else { return Ok(()) };
        let has =
            |digests: &BTreeMap<String, String>| digests.get(name).map_or_else(|| "nothing".to_owned(), |hex| format!("SHA-256 {hex}"));
        Err(RunError::OtherText { path: self.path.join(name), begun: has(&self.files_sha256), now: has(&now) })
    }

    fn text(&self, name: &str) -> Result<String, RunError> {
        let path = self.path.join(name);
        let text = String::from_utf8(files::read(&path, TEXT_BYTES_MAX)?);
        text.map_err(|_| RunError::Description { path, problem: "it is not UTF-8".to_owned() })
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
        run_folder::parse(self.path.join(EXPERIMENT), self.text(EXPERIMENT)?, &self.description.fltk_version, catalogues)
    }

    /// Acquires the right to write the stream. `who` is shown to other processes.
    ///
    /// # Errors
    /// If another process has it.
    pub fn lock(&self, who: &str) -> Result<RunLock, RunError> {
        run_folder::lock::take(&self.path, who)
    }

    /// Returns true if an orchestrator is running the stream.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        run_folder::lock::is_taken(&self.path)
    }

    /// Opens its journal for appending, and returns its content. The caller must hold the lock.
    ///
    /// # Errors
    /// If the journal is damaged.
    pub fn journal<E: JournalEvent>(&self) -> Result<(Journal<E>, Replay<E>), JournalError> {
        Journal::open_append(&self.path.join(JOURNAL))
    }

    /// Returns the content of its journal.
    ///
    /// # Errors
    /// If the journal is damaged.
    pub fn replay<E: JournalEvent>(&self) -> Result<Replay<E>, JournalError> {
        replay(&self.path.join(JOURNAL))
    }
}

#[cfg(test)]
impl StreamDescription {
    /// The description of a stream for tests.
    pub(crate) fn example() -> Self {
        Self {
            fltk_version: "0".to_owned(),
            run: "s-1".parse().unwrap(),
            experiment: "s".parse().unwrap(),
            started_at: Timestamp::UNIX_EPOCH,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use fltk_core::event::RunEvent;

    use super::*;

    #[test]
    fn stream_folder_has_the_modules_that_travel() {
        let root = tempfile::tempdir().unwrap();
        let module: Arc<[u8]> = vec![1, 2, 3].into();
        let name = module_name(&module);
        let modules = Modules::from([(name.clone(), module)]);
        let texts = StreamTexts { experiment: "a".to_owned(), modules, ..StreamTexts::default() };
        let folder = StreamFolder::create::<RunEvent>(root.path(), &StreamDescription::example(), &texts).unwrap();
        folder.check_texts().unwrap();
        let open = || StreamFolder::open(folder.path()).unwrap();
        assert_eq!((open().texts().unwrap().experiment, open().modules().unwrap()), (texts.experiment, texts.modules));
        let check = |now: &str| {
            let said = open().check_texts().unwrap_err().to_string();
            assert!(said.contains(&name) && said.contains("started with SHA-256 039058c6") && said.contains(now), "{said}");
        };
        fs::write(folder.path().join(&name), [1, 2, 4]).unwrap();
        check("now it has SHA-256");
        fs::remove_file(folder.path().join(&name)).unwrap();
        check("now it has nothing");
    }

    #[test]
    fn stream_folder_has_the_texts_of_its_first_start() {
        let root = tempfile::tempdir().unwrap();
        let description = StreamDescription::example();
        let texts = StreamTexts { experiment: "a".to_owned(), trace: Some("b".to_owned()), ..StreamTexts::default() };
        let path = StreamFolder::create::<RunEvent>(root.path(), &description, &texts).unwrap().path().to_owned();
        let open = || StreamFolder::open(&path).unwrap();
        assert_eq!((open().description(), open().texts().unwrap()), (&description, texts));
        open().check_texts().unwrap();
        let check = |name: &str, text: Option<&str>, words: &[&str]| {
            let file = path.join(name);
            let before = fs::read(&file).ok();
            text.map_or_else(|| fs::remove_file(&file), |text| fs::write(&file, text)).unwrap();
            let said = open().check_texts().unwrap_err().to_string();
            for words in [&[name, "hint: restore it"], words].concat() {
                assert!(said.contains(words), "{words}: {said}");
            }
            before.map_or_else(|| fs::remove_file(&file), |before| fs::write(&file, before)).unwrap();
            open().check_texts().unwrap();
        };
        check(EXPERIMENT, Some("c"), &["started with SHA-256 ca978112", "now it has SHA-256 2e7d2c03"]);
        check(TRACE, Some("c"), &["started with SHA-256 3e23e816", "now it has SHA-256 2e7d2c03"]);
        check(TRACE, None, &["started with SHA-256 3e23e816", "now it has nothing"]);
        check(CLUSTER, Some("c"), &["started with nothing", "now it has SHA-256 2e7d2c03"]);
        // The file as an earlier version wrote it.
        fs::write(path.join(DESCRIPTION), serde_json::to_vec(&description).unwrap()).unwrap();
        fs::write(path.join(EXPERIMENT), "c").unwrap();
        open().check_texts().unwrap();
    }
}
