//! The derived files, functions of a run's description and journal: `metrics.csv` and the TensorBoard event files.
//!
//! [`Derived::rebuild`] writes all of them from scratch; [`Derived::add_row`] and [`Derived::end`] then append exactly the bytes that a
//! rebuild with that row or end would add. They are not synced after every row: after a crash they are rebuilt.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    RunDescription,
    files::{self, FileError},
    history::{End, History, Row},
    journal::Entry,
    metrics_csv,
    tensorboard::{self, EventFiles},
};

const METRICS: &str = "metrics.csv";

/// Returns true if a file of this name in a run's folder is a derived file.
pub(crate) fn is_derived(name: &str) -> bool {
    name == METRICS || tensorboard::is_ours(name)
}

/// The derived files of a run, open for appending.
#[derive(Debug)]
pub(crate) struct Derived {
    csv: File,
    csv_path: PathBuf,
    events: EventFiles,
}

impl Derived {
    pub(crate) fn rebuild(folder: &Path, run: &RunDescription, history: &History, entries: &[Entry]) -> Result<Self, FileError> {
        files::sweep(folder)?;
        let csv_path = folder.join(METRICS);
        let csv = files::replace(&csv_path, &metrics_csv::table(history.rows()))?;
        let events = EventFiles::update(folder, run, entries)?;
        Ok(Self { csv, csv_path, events })
    }

    pub(crate) fn add_row(&mut self, row: &Row) -> Result<(), FileError> {
        self.csv.write_all(&metrics_csv::row(row)).map_err(FileError::io("write", &self.csv_path))?;
        self.events.add_row(row)
    }

    pub(crate) fn end(&mut self, end: &End) -> Result<(), FileError> {
        self.events.add_end(end)
    }
}
