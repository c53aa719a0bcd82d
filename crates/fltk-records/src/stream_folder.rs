//! The folder of a stream of jobs: what is to be run, and the orchestrator's journal.
//!
//! ```text
//! <name>/
//!   stream.json       what it is, and since when
//!   experiment.yaml   the experiment, every default written out
//!   cluster.json      where its jobs run, as far as that is said
//!   trace.txt         the arrivals as they were written, CSV or JSON, where they come from a trace
//!   journal.jsonl     what happened, in order
//!   lock              held by the one orchestrator
//!   jobs.csv, jobs.sqlite, events.out.tfevents.*    made of the journal, for other programs
//! ```

pub mod derived;
mod listing;

use std::path::{Path, PathBuf};

use fltk_core::experiment::Experiment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

/// A stream's folder that is there.
#[derive(Clone, Debug)]
pub struct StreamFolder {
    path: PathBuf,
    description: StreamDescription,
}

impl StreamFolder {
    /// Makes the folder of `description.run` in `root`. It is filled under a temporary name and renamed: a folder that exists is complete.
    ///
    /// # Errors
    /// If the name isn't allowed, there is such a folder, or it can't be written.
    pub fn create<E: JournalEvent>(root: &Path, description: &StreamDescription, texts: &StreamTexts) -> Result<Self, RunError> {
        check_name("the name of a stream", &description.run)?;
        let path = root.join(&description.run);
        folder::create(root, &path, |new| {
            let write = |name: &str, text: &str| files::write_new(&new.join(name), text.as_bytes());
            write(EXPERIMENT, &texts.experiment)?;
            for (name, text) in [(CLUSTER, &texts.cluster), (TRACE, &texts.trace)] {
                text.as_ref().map_or(Ok(()), |text| write(name, text))?;
            }
            let json = serde_json::to_string_pretty(description).expect("texts and a time can always be written");
            write(DESCRIPTION, &format!("{json}\n"))?;
            Journal::<E>::create(&new.join(JOURNAL))?;
            Ok(())
        })?;
        Ok(Self { path, description: description.clone() })
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
        let description: StreamDescription = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        check_name("the name of a stream", &description.run)?;
        Ok(Self { path, description })
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
        self.written_experiment().map(Experiment::recorded)
    }

    /// The same as it is written: what a version of before left open still is.
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
