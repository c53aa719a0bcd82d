//! The recorder of one run, with its progress output: the only place where the clock is read.

use std::{rc::Rc, time::Instant};

use fltk::exit::{Exit, OrExit as _};
use fltk_core::{event::RunEvent, milestone::Milestone, schedule::LearningRate};
use fltk_records::{
    RunFolder, RunRecorder,
    checkpoint::{Files, KEPT},
    history::{History, Unit},
};
use jiff::Timestamp;

use super::progress::Progress;

/// The expected outcome if a failed run restarts from its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// The run resumes, and restarts soon: another rank was lost.
    Restart,
    /// The run fails again: its settings are the cause, not the machine or another process.
    SameFailure,
    /// The outcome isn't known.
    Unknown,
}

/// Writes a run's journal, and shows its progress.
pub struct Recorder {
    records: RunRecorder,
    progress: Rc<Progress>,
    unit: Unit,
    /// The events of clients that wait for the end of their round, so that a round costs one sync.
    pending: Vec<RunEvent>,
    /// The start, for measuring the duration: the wall clock may be set in the meantime.
    began: Instant,
    /// True if the warning about the learning rate's minimum was given: once is enough.
    warned_of_held_rate: bool,
}

impl Recorder {
    /// Starts to record at `from`, and notes that in the journal.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn start(mut records: RunRecorder, progress: Progress, unit: Unit, from: Milestone) -> anyhow::Result<Self> {
        let started_at = Timestamp::now();
        let event = RunEvent::Started { from, version: env!("CARGO_PKG_VERSION").to_owned() };
        records.record(&event, started_at).or_exit(Exit::Records)?;
        Ok(Self { records, progress: Rc::new(progress), unit, pending: Vec::new(), began: Instant::now(), warned_of_held_rate: false })
    }

    /// Records `event`; when this returns, the event is on disk, except a client's, which waits for the next event of another kind.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn record(&mut self, event: RunEvent) -> anyhow::Result<()> {
        self.progress.show(&event);
        let is_client = matches!(event, RunEvent::ClientTrained { .. } | RunEvent::ClientAbsent { .. } | RunEvent::ClientTested { .. });
        self.pending.push(event);
        if is_client {
            return Ok(());
        }
        let events = std::mem::take(&mut self.pending);
        self.records.record_all(&events, Timestamp::now()).or_exit(Exit::Records)
    }

    /// The progress output, for work that isn't recorded in parts.
    #[must_use]
    pub fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }

    /// Warns, once, that the learning rate isn't reduced further, since the schedule would put it below its minimum.
    pub fn warn_of_held_rate(&mut self, rate: LearningRate) {
        if rate.held_by_minimum && !self.warned_of_held_rate {
            self.warned_of_held_rate = true;
            tracing::warn!("the learning rate stays at {}: a further reduction would go below its minimum", rate.value);
        }
    }

    /// Saves a checkpoint taken at `at`, records it, and removes all but the newest [`KEPT`]; returns the milestone of the oldest that is left.
    ///
    /// # Errors
    /// If the checkpoint can't be written, or an old one can't be removed.
    pub fn checkpoint(&mut self, at: Milestone, files: &Files, parameters_sha256: String) -> anyhow::Result<Milestone> {
        let checkpoints = self.records.folder().checkpoints(self.unit);
        checkpoints.save(at, files).or_exit(Exit::Records)?;
        self.record(RunEvent::CheckpointSaved { at, parameters_sha256 })?;
        let known = self.records.history().checkpoints();
        let oldest = checkpoints.prune(KEPT, |at| known.contains_key(&at)).or_exit(Exit::Records)?;
        Ok(oldest.unwrap_or(at))
    }

    /// The state of the run, but for what waits to be recorded.
    #[must_use]
    pub fn history(&self) -> &History {
        self.records.history()
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        self.records.folder()
    }

    /// Records that the run finished, and returns its folder.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn finish(mut self, parameters_sha256: String) -> anyhow::Result<RunFolder> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.record(RunEvent::Finished { parameters_sha256, seconds })?;
        Ok(self.records.folder().clone())
    }

    /// Records that the run failed. An error in recording isn't reported, since `reason` is about to be.
    pub fn fail(mut self, reason: &str, prospect: Prospect) {
        if prospect == Prospect::Restart {
            self.records.expect_another_start();
        }
        // One line fits a table.
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        let _ = self.record(RunEvent::Failed { reason, for_good: prospect == Prospect::SameFailure });
    }
}
