//! The list of streams with the numbers of their jobs.

use std::{collections::BTreeMap, path::PathBuf};

use fltk_records::{
    StreamFolder,
    stream_folder::{StreamListing, StreamSummary},
};
use serde::Serialize;

/// A stream in one line.
#[derive(Debug, Serialize)]
pub struct StreamLine {
    /// The stream.
    #[serde(flatten)]
    pub summary: StreamSummary,
    /// The number of its jobs; left out if it isn't known without reading the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
    /// The number of jobs in each state; left out likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<BTreeMap<String, u32>>,
}

/// Lists the streams in these folders; damaged ones are left out.
#[must_use]
pub fn streams(folders: Vec<PathBuf>) -> Vec<StreamLine> {
    let roots: BTreeMap<String, PathBuf> =
        folders.iter().filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path.clone()))).collect();
    let line = |summary: StreamSummary| {
        let states = roots.get(&summary.stream).and_then(|path| StreamFolder::open(path).ok()).and_then(|folder| folder.states());
        StreamLine { jobs: states.as_ref().map(|states| states.values().sum()), states, summary }
    };
    StreamListing::of_folders(folders).streams.into_iter().map(line).collect()
}
