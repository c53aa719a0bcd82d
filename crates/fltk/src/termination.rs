//! The report of how this process ended, for the process that started it: collected during the run and written last as a [`TerminationReport`].
//!
//! A process that is killed, or panics, writes no report.

use std::{fs, path::Path, sync::OnceLock};

use fltk_core::termination::TerminationReport;
use fltk_records::RunFolder;
use jiff::Timestamp;

use crate::exit;

/// The environment variable with the path of the report: in Kubernetes the container's `terminationMessagePath`.
pub const TERMINATION_LOG: &str = "FLTK_TERMINATION_LOG";

/// The facts for the report, in addition to how the process ended.
#[derive(Debug, Default)]
pub struct Termination {
    first_step_ms: OnceLock<u64>,
    run: OnceLock<String>,
}

impl Termination {
    /// Records that a step was done, or a client trained; only the first call counts.
    pub fn stepped(&self) {
        self.first_step_ms.get_or_init(|| Timestamp::now().as_millisecond().try_into().unwrap_or(0));
    }

    /// Records that a child process did its first step at `at_ms`, in milliseconds since the Unix epoch; only the first call counts.
    pub fn stepped_at(&self, at_ms: u64) {
        self.first_step_ms.get_or_init(|| at_ms);
    }

    /// Records the run's folder, to which this process writes.
    pub fn has_folder(&self, folder: &RunFolder) {
        self.run.get_or_init(|| folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned());
    }

    /// Writes the report of `outcome` to `path`, and warns if that fails. The file is written in place: it may be a mount, which can't be replaced.
    pub fn write(&self, path: &Path, outcome: &anyhow::Result<()>) {
        let report = TerminationReport {
            first_step_ms: self.first_step_ms.get().copied(),
            error: outcome.as_ref().err().map(|error| format!("{error:#}")),
            exit: outcome.as_ref().map_or_else(exit::status, |()| 0),
            run: self.run.get().cloned(),
        };
        let written = report.to_json().map_err(Into::into).and_then(|json| fs::write(path, json));
        if let Err(error) = written {
            tracing::warn!("can't write `{}`: {error}", path.display());
        }
    }
}
