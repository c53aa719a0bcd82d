//! The listing of the streams in a folder, each in one line.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{RunError, StreamFolder, files};

/// A stream in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSummary {
    /// The name of the stream's folder.
    pub stream: String,
    /// The experiment's name.
    pub experiment: String,
    /// The time at which it started.
    pub started_at: Timestamp,
    /// True if an orchestrator is running the stream.
    pub is_orchestrated: bool,
}

/// The result of a listing.
#[derive(Debug, Default)]
pub struct StreamListing {
    /// The streams, by name.
    pub streams: Vec<StreamSummary>,
    /// Folders that could not be read, for a warning.
    pub skipped: Vec<(PathBuf, RunError)>,
}

impl StreamListing {
    /// Lists the streams in the folder `root`; empty if it doesn't exist.
    ///
    /// # Errors
    /// If `root` can't be listed.
    pub fn of(root: &Path) -> Result<Self, RunError> {
        Ok(Self::of_folders(StreamFolder::list(root)?))
    }

    /// Lists the streams in these folders.
    #[must_use]
    pub fn of_folders(folders: Vec<PathBuf>) -> Self {
        let mut listing = Self::default();
        for path in folders {
            match StreamFolder::open(&path) {
                Ok(folder) => listing.streams.push(StreamSummary {
                    // The stream is found by the folder's name, whatever a copy's description says.
                    stream: files::printable(&path.file_name().unwrap_or_default().to_string_lossy()),
                    experiment: folder.description().experiment.to_string(),
                    started_at: folder.description().started_at,
                    is_orchestrated: folder.is_taken(),
                }),
                Err(problem) => listing.skipped.push((path, problem)),
            }
        }
        listing
    }
}
