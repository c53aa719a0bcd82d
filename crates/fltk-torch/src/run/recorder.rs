//! The record of one run, and what a person sees of it: one place where the clock is read.

use std::time::Instant;

use fltk::{
    exit::{Exit, OrExit as _},
    output,
};
use fltk_core::{event::RunEvent, milestone::Milestone, schedule::LearningRate};
use fltk_records::{
    RunFolder, RunRecorder,
    checkpoint::{Files, KEPT},
    history::Unit,
};
use jiff::Timestamp;

use super::progress::Progress;

/// What is to be expected of a run that failed, if it is begun again from its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It goes on, and is soon begun again: another rank was lost.
    Restart,
    /// The same failure: its settings are to blame, not the machine or another process.
    SameFailure,
    /// Nobody knows.
    Unknown,
}

/// Writes a run's journal, and shows it.
pub struct Recorder {
    records: RunRecorder,
    progress: Progress,
    unit: Unit,
    /// Clients' records that wait for the end of their round, so that a round costs one sync.
    pending: Vec<RunEvent>,
    /// For how long it took: the clock on the wall may be set meanwhile.
    began: Instant,
    /// Whether the learning rate's minimum was spoken of: once is enough.
    warned_of_held_rate: bool,
}

impl Recorder {
    /// Takes up `records` at `from`, and notes that in the journal.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn start(mut records: RunRecorder, progress: Progress, unit: Unit, from: Milestone) -> anyhow::Result<Self> {
        let started_at = Timestamp::now();
        let event = RunEvent::Started { from, version: env!("CARGO_PKG_VERSION").to_owned() };
        records.record(&event, started_at).or_exit(Exit::Records)?;
        Ok(Self { records, progress, unit, pending: Vec::new(), began: Instant::now(), warned_of_held_rate: false })
    }

    /// Records `event`; when this returns it is on disk, but for a client's, which wait for the next other event.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn record(&mut self, event: RunEvent) -> anyhow::Result<()> {
        self.progress.show(&event);
        let is_client = matches!(event, RunEvent::ClientTrained { .. });
        self.pending.push(event);
        if is_client {
            return Ok(());
        }
        let events = std::mem::take(&mut self.pending);
        self.records.record_all(&events, Timestamp::now()).or_exit(Exit::Records)
    }

    /// Warns, once, that the schedule would put the learning rate below its minimum and so leaves it.
    pub fn warn_of_held_rate(&mut self, rate: LearningRate) {
        if rate.held_by_minimum && !self.warned_of_held_rate {
            self.warned_of_held_rate = true;
            output::talk(format_args!(
                "warning: the learning rate stays at {}: a further reduction would go below its minimum",
                rate.value
            ));
        }
    }

    /// Saves a checkpoint taken at `at`, records it, and removes those before the newest [`KEPT`].
    ///
    /// # Errors
    /// If it can't be written, or an old one can't be removed.
    pub fn checkpoint(&mut self, at: Milestone, files: &Files, parameters_sha256: String) -> anyhow::Result<()> {
        let checkpoints = self.records.folder().checkpoints(self.unit);
        checkpoints.save(at, files).or_exit(Exit::Records)?;
        self.record(RunEvent::CheckpointSaved { at, parameters_sha256 })?;
        let known = self.records.history().checkpoints();
        checkpoints.prune(KEPT, |at| known.contains_key(&at)).or_exit(Exit::Records)
    }

    /// Records that the run went through, and lets its folder go.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn finish(mut self, parameters_sha256: String) -> anyhow::Result<RunFolder> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.record(RunEvent::Finished { parameters_sha256, seconds })?;
        Ok(self.records.folder().clone())
    }

    /// Records that the run gave up. What can't be recorded any more is not reported again: `reason` is about to be.
    pub fn fail(mut self, reason: &str, prospect: Prospect) {
        if prospect == Prospect::Restart {
            self.records.expect_another_start();
        }
        // One line, so that it fits a table.
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        let _ = self.record(RunEvent::Failed { reason, for_good: prospect == Prospect::SameFailure });
    }
}
