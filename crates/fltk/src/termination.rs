//! The report of how this process ended: noted on the way, written last, for whoever started it. What is in it: [`TerminationReport`].
//!
//! A process that is killed, or panics, leaves none.

use std::{fs, path::Path, sync::OnceLock};

use fltk_core::termination::TerminationReport;
use fltk_records::RunFolder;
use jiff::Timestamp;

use crate::{exit, output};

/// The variable that names the file of the report: in Kubernetes the container's `terminationMessagePath`.
pub const TERMINATION_LOG: &str = "FLTK_TERMINATION_LOG";

/// What the report will say beside how the process ended.
#[derive(Debug, Default)]
pub struct Termination {
    first_step_ms: OnceLock<u64>,
    run: OnceLock<String>,
}

impl Termination {
    /// A step was done, or a client trained; the first counts.
    pub fn stepped(&self) {
        self.first_step_ms.get_or_init(|| Timestamp::now().as_millisecond().try_into().unwrap_or(0));
    }

    /// Another process, which this one started, had done its first step at `at_ms`, in milliseconds since the Unix epoch; the first counts.
    pub fn stepped_at(&self, at_ms: u64) {
        self.first_step_ms.get_or_init(|| at_ms);
    }

    /// The run has this folder, which this process records in.
    pub fn has_folder(&self, folder: &RunFolder) {
        self.run.get_or_init(|| folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned());
    }

    /// Writes the report of `outcome` to `path`; warns if that can't be done. In place: the file may be a mount, which can't be replaced.
    pub fn write(&self, path: &Path, outcome: &anyhow::Result<()>) {
        let report = TerminationReport {
            first_step_ms: self.first_step_ms.get().copied(),
            error: outcome.as_ref().err().map(|error| format!("{error:#}")),
            exit: outcome.as_ref().map_or_else(exit::status, |()| 0),
            run: self.run.get().cloned(),
        };
        let written = report.to_json().map_err(Into::into).and_then(|json| fs::write(path, json));
        if let Err(error) = written {
            output::talk(format_args!("warning: can't write `{}`: {error}", path.display()));
        }
    }
}
