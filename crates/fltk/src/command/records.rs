//! The records of a command's run: figures that its program prints, and how it began and ended. The clock is read here.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use fltk_core::{
    event::RunEvent,
    milestone::Milestone,
    report::{self, ReportError, Reported, Reports, StepUnit},
};
use fltk_records::{RunFolder, RunRecorder, history::Unit};
use jiff::Timestamp;

use crate::exit::{Exit, OrExit as _};

/// How long figures wait for further lines of their step.
const STEP_OPEN: Duration = Duration::from_secs(2);
/// The least time between two writes, each with a sync: people look less often, and steps that are reported out of order have the derived files written anew.
const WRITE_AGAIN: Duration = Duration::from_millis(200);
/// The limit on characters of a refused line in a message.
const LINE_SHOWN_CHARS_MAX: usize = 100;

/// Records a run of a command.
pub struct CommandRecords {
    records: RunRecorder,
    title: String,
    reports: Reports,
    /// Complete steps that aren't recorded yet.
    pending: Vec<RunEvent>,
    /// The time of the last line with figures.
    last_line: Instant,
    began: Instant,
    /// The time of the last look at what is to be written.
    written: Instant,
    num_refused: u64,
}

impl CommandRecords {
    /// Opens the records in `folder`.
    ///
    /// # Errors
    /// If there is another writer, or the journal can't be read or written.
    pub fn open(folder: RunFolder, title: String) -> anyhow::Result<Self> {
        let (records, _torn) = RunRecorder::open(folder, &crate::host::who()).or_exit(Exit::Records)?;
        let now = Instant::now();
        Ok(Self {
            records,
            title,
            reports: Reports::default(),
            pending: Vec::new(),
            last_line: now,
            began: now,
            written: now,
            num_refused: 0,
        })
    }

    /// Returns what the run is called.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Records a start of the program, which goes on by itself from wherever it stopped.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn started(&mut self) -> anyhow::Result<()> {
        let history = self.records.history();
        let unit = history.unit().map(|unit| match unit {
            Unit::Round => StepUnit::Round,
            Unit::Epoch => StepUnit::Epoch,
            Unit::Step => StepUnit::Step,
        });
        let last = history.rows().next_back().map_or(0, |row| row.step);
        self.reports = Reports::going_on(unit, last, history.rows().count());
        let from = Milestone::from(last);
        let event = RunEvent::Started { from, version: env!("CARGO_PKG_VERSION").to_owned() };
        self.began = Instant::now();
        self.records.record(&event, Timestamp::now()).or_exit(Exit::Records)?;
        let resumed = if from > Milestone::START {
            format!(", figures so far: {}", from.text(unit.unwrap_or(StepUnit::Step).name()))
        } else {
            String::new()
        };
        tracing::info!("{}: starts{resumed}", self.title);
        Ok(())
    }

    /// Takes a line with figures. The first that can't be read is shown, and the others are counted.
    pub fn take(&mut self, line: &str) {
        let Some(report) = report::parse(line) else { return };
        self.last_line = Instant::now();
        match report.and_then(|report| self.reports.take(report)) {
            Ok(None) => {}
            Ok(Some(step)) => self.complete(step),
            Err(error) => self.refuse(line, &error),
        }
    }

    fn refuse(&mut self, line: &str, error: &ReportError) {
        self.num_refused += 1;
        if self.num_refused == 1 {
            let shown: String = line.chars().take(LINE_SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
            tracing::warn!("{}: a line with figures isn't recorded: {error}: `{shown}`; further ones are only counted", self.title);
        }
    }

    fn complete(&mut self, step: Reported) {
        tracing::info!("{}: {step}", self.title);
        let Reported { unit, step, figures } = step;
        self.pending.push(RunEvent::Reported { unit, step, figures });
    }

    /// Records the complete steps, with one write. A step is also complete once no line has come for a while.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn record(&mut self) -> anyhow::Result<()> {
        if self.written.elapsed() < WRITE_AGAIN {
            return Ok(());
        }
        if self.reports.has_unit() && self.reports.has_open() && self.last_line.elapsed() >= STEP_OPEN {
            self.reports.flush().into_iter().for_each(|step| self.complete(step));
        }
        self.write()
    }

    /// Records all figures, after the last line. Those that came before any line said a unit are of no step yet if the program starts again (`goes_on`): then it says them
    /// again, and a unit.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn record_rest(&mut self, goes_on: bool) -> anyhow::Result<()> {
        if self.reports.has_unit() || !goes_on {
            self.reports.flush().into_iter().for_each(|step| self.complete(step));
        }
        if self.num_refused > 1 {
            tracing::warn!("{}: {} lines with figures aren't recorded", self.title, self.num_refused);
        }
        self.num_refused = 0;
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.written = Instant::now();
        let events = std::mem::take(&mut self.pending);
        if events.is_empty() { Ok(()) } else { self.records.record_all(&events, Timestamp::now()).or_exit(Exit::Records) }
    }

    /// Returns true if figures have been recorded, or are about to be.
    pub fn has_figures(&self) -> bool {
        self.reports.has_open() || !self.pending.is_empty() || self.records.history().rows().next().is_some()
    }

    /// Records that the program ended successfully, and returns the folder.
    ///
    /// # Errors
    /// If the journal can't be written.
    pub fn finish(mut self) -> anyhow::Result<RunFolder> {
        let event = RunEvent::ProgramEnded { seconds: self.began.elapsed().as_secs_f64() };
        self.records.record(&event, Timestamp::now()).or_exit(Exit::Records)?;
        Ok(self.records.folder().clone())
    }

    /// Records that the run failed. An error in recording isn't reported, since `reason` is about to be.
    pub fn fail(mut self, reason: &str) {
        let mut line = String::new();
        // Writing to a string can't fail.
        let _ = write!(line, "{}", reason.lines().next().unwrap_or_default());
        let _ = self.records.record(&RunEvent::Failed { reason: line, for_good: false }, Timestamp::now());
    }
}
