//! The folder of a stream of jobs: what is to be run, and the orchestrator's journal.
//!
//! ```text
//! <name>/
//!   stream.json       what it is, since when, and the digests of the next three
//!   experiment.yaml   the experiment, every default written out
//!   cluster.json      where its jobs run, as far as that is said
//!   trace.txt         the arrivals as they were written, CSV or JSON, where they come from a trace
//!   journal.jsonl     what happened, in order
//!   lock              held by the one orchestrator
//!   jobs.csv, jobs.sqlite, events.out.tfevents.*    made of the journal, for other programs
//! ```

pub mod derived;
mod listing;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fltk_core::experiment::Experiment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::listing::{StreamListing, StreamSummary};
use crate::{
    RunError, RunLock, files, folder,
    journal::{Journal, JournalError, JournalEvent, Replay, replay},
    run_folder::{self, check_name},
};

pub(crate) const DESCRIPTION: &str = "stream.json";
const EXPERIMENT: &str = "experiment.yaml";
const CLUSTER: &str = "cluster.json";
const TRACE: &str = "trace.txt";
const JOURNAL: &str = "journal.jsonl";

/// Largest text of such a folder, in bytes: a trace of a million arrivals.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDescription {
    /// The version that began it.
    pub fltk_version: String,
    /// Names it: its folder, and its objects in a cluster.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// When it began; times in its journal count from here.
    pub started_at: Timestamp,
}

/// What `stream.json` holds.
#[derive(Serialize, Deserialize)]
struct Recorded {
    #[serde(flatten)]
    description: StreamDescription,
    /// As of [`StreamTexts::digests`]; empty where an earlier version, which recorded none, began the stream.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files_sha256: BTreeMap<String, String>,
}

/// The texts of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamTexts {
    /// The experiment, YAML.
    pub experiment: String,
    /// Where its jobs run, JSON.
    pub cluster: Option<String>,
    /// The arrivals of its trace, CSV or JSON.
    pub trace: Option<String>,
}

impl StreamTexts {
    /// Those that there are, by the name of their file.
    fn by_file(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let optional =
            [(CLUSTER, &self.cluster), (TRACE, &self.trace)].into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        [(EXPERIMENT, self.experiment.as_str())].into_iter().chain(optional)
    }

    /// The SHA-256 of each, lower-case hex, by the name of its file.
    fn digests(&self) -> BTreeMap<String, String> {
        self.by_file().map(|(name, text)| (name.to_owned(), hex::encode(Sha256::digest(text)))).collect()
    }
}

/// A stream's folder that is there.
#[derive(Clone, Debug)]
pub struct StreamFolder {
    path: PathBuf,
    description: StreamDescription,
    /// As of [`Recorded`].
    files_sha256: BTreeMap<String, String>,
}

impl StreamFolder {
    /// Makes the folder of `description.run` in `root`. It is filled under a temporary name and renamed: a folder that exists is complete.
    ///
    /// # Errors
    /// If the name isn't allowed, there is such a folder, or it can't be written.
    pub fn create<E: JournalEvent>(root: &Path, description: &StreamDescription, texts: &StreamTexts) -> Result<Self, RunError> {
        check_name("the name of a stream", &description.run)?;
        let path = root.join(&description.run);
        let recorded = Recorded { description: description.clone(), files_sha256: texts.digests() };
        folder::create(root, &path, |new| {
            let write = |name: &str, text: &str| files::write_new(&new.join(name), text.as_bytes());
            texts.by_file().try_for_each(|(name, text)| write(name, text))?;
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
    /// If it is none, or damaged.
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
        check_name("the name of a stream", &description.run)?;
        Ok(Self { path, description, files_sha256 })
    }

    /// Opens what a person named: the path of a folder, or the name of one in `root`.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub fn find(root: &Path, named: &Path) -> Result<Self, RunError> {
        Self::open(folder::find(root, named, DESCRIPTION))
    }

    /// The folders of streams in `root`, sorted by name.
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

    /// What it is.
    #[must_use]
    pub fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// What is to be run.
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn texts(&self) -> Result<StreamTexts, RunError> {
        let optional = |name: &str| files::is_there(&self.path.join(name)).then(|| self.text(name)).transpose();
        Ok(StreamTexts { experiment: self.text(EXPERIMENT)?, cluster: optional(CLUSTER)?, trace: optional(TRACE)? })
    }

    /// That its texts are those that it was begun with. An earlier version recorded no digests: then nobody knows.
    ///
    /// # Errors
    /// If one is another, is gone or wasn't there then, or can't be read.
    pub fn check_texts(&self) -> Result<(), RunError> {
        if self.files_sha256.is_empty() {
            return Ok(());
        }
        let now = self.texts()?.digests();
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
        run_folder::parse(self.path.join(EXPERIMENT), self.text(EXPERIMENT)?, &self.description.fltk_version)
    }

    /// The right to write it. `who` is what others are told.
    ///
    /// # Errors
    /// If another has it.
    pub fn lock(&self, who: &str) -> Result<RunLock, RunError> {
        run_folder::lock::take(&self.path, who)
    }

    /// Whether an orchestrator is at work on it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        run_folder::lock::is_taken(&self.path)
    }

    /// Its journal, for appending, and what is in it. Needs the lock.
    ///
    /// # Errors
    /// If it's damaged.
    pub fn journal<E: JournalEvent>(&self) -> Result<(Journal<E>, Replay<E>), JournalError> {
        Journal::open_append(&self.path.join(JOURNAL))
    }

    /// What its journal holds.
    ///
    /// # Errors
    /// If it's damaged.
    pub fn replay<E: JournalEvent>(&self) -> Result<Replay<E>, JournalError> {
        replay(&self.path.join(JOURNAL))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use fltk_core::event::RunEvent;

    use super::*;

    #[test]
    fn texts_are_those_that_the_stream_was_begun_with() {
        let root = tempfile::tempdir().unwrap();
        let description = StreamDescription {
            fltk_version: "0".to_owned(),
            run: "s-1".to_owned(),
            experiment: "s".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
        };
        let texts = StreamTexts { experiment: "a".to_owned(), cluster: None, trace: Some("b".to_owned()) };
        let path = StreamFolder::create::<RunEvent>(root.path(), &description, &texts).unwrap().path().to_owned();
        let open = || StreamFolder::open(&path).unwrap();
        assert_eq!((open().description(), open().texts().unwrap()), (&description, texts));
        open().check_texts().unwrap();
        let check = |name: &str, text: Option<&str>, words: &[&str]| {
            let file = path.join(name);
            let before = fs::read(&file).ok();
            text.map_or_else(|| fs::remove_file(&file), |text| fs::write(&file, text)).unwrap();
            let said = open().check_texts().unwrap_err().to_string();
            for words in [&[name, "hint: put it back"], words].concat() {
                assert!(said.contains(words), "{words}: {said}");
            }
            before.map_or_else(|| fs::remove_file(&file), |before| fs::write(&file, before)).unwrap();
            open().check_texts().unwrap();
        };
        check(EXPERIMENT, Some("c"), &["begun with SHA-256 ca978112", "now it has SHA-256 2e7d2c03"]);
        check(TRACE, Some("c"), &["begun with SHA-256 3e23e816", "now it has SHA-256 2e7d2c03"]);
        check(TRACE, None, &["begun with SHA-256 3e23e816", "now it has nothing"]);
        check(CLUSTER, Some("c"), &["begun with nothing", "now it has SHA-256 2e7d2c03"]);
        // As an earlier version wrote it.
        fs::write(path.join(DESCRIPTION), serde_json::to_vec(&description).unwrap()).unwrap();
        fs::write(path.join(EXPERIMENT), "c").unwrap();
        open().check_texts().unwrap();
    }
}
