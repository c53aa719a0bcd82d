//! The output during a run: a bar on a terminal, a line per round or epoch elsewhere, nothing when quiet.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use fltk::{
    Bar, log,
    pace::{Pace, Unit as Counted, time},
};
use fltk_core::{client_test::ClientTestSummary, event::RunEvent, metrics::Evaluation, milestone::Milestone};
use fltk_records::history::Unit;

/// The time within a step after which a line says how far it is, where there is no bar.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The time that must be left for a line to say so, in seconds: nobody plans with less.
const LEFT_SAID: f64 = 10.0;

/// Shows the progress of one run on standard error.
pub struct Progress {
    unit: Unit,
    steps: u32,
    bar: Option<Bar>,
    /// The number of parts of a step, such as clients or batches; 0 if it isn't known.
    parts: u64,
    inner: RefCell<Inner>,
}

/// The state that changes while a run goes on.
struct Inner {
    /// The pace of whole steps, with their evaluations; before the first is complete, that of its parts.
    pace: Pace,
    began: Instant,
    /// When the first step of this start began, in seconds since then; `None` once it is complete.
    first_since: Option<f64>,
    /// The steps that are complete.
    completed: u32,
    /// The parts of the next step that are done.
    done: u64,
    /// The last time at which a line was written.
    said: Instant,
}

impl Progress {
    /// Creates the output for a run of `steps` rounds or epochs (`unit`) that starts at `from`, each in so many `parts`: selected clients, or batches.
    #[must_use]
    pub fn new(title: &str, unit: Unit, steps: u32, parts: u64, from: Milestone) -> Self {
        let bar = log::has_bars().then(|| Bar::draw(title, Counted::Named(unit.name()), Some(u64::from(steps)), u64::from(from.completed)));
        if bar.is_none() {
            let resumed = if from > Milestone::START { format!(", resuming after {}", from.text(unit.name())) } else { String::new() };
            tracing::info!("{title}: {steps} {}s{resumed}", unit.name());
        }
        let mut pace = Pace::new(Some(f64::from(steps)));
        pace.reach(0.0, f64::from(from.completed));
        let now = Instant::now();
        let inner =
            RefCell::new(Inner { pace, began: now, first_since: Some(0.0), completed: from.completed, done: from.steps.into(), said: now });
        Self { unit, steps, bar, parts, inner }
    }

    /// Shows the event that was just recorded.
    pub fn show(&self, event: &RunEvent) {
        match event {
            RunEvent::ClientTrained { round, client, train, seconds, staleness, .. } => {
                let stale =
                    staleness.filter(|staleness| *staleness > 0).map_or_else(String::new, |staleness| format!(", staleness {staleness}"));
                tracing::debug!(
                    round = round.0,
                    client = client.0,
                    samples = train.num_samples,
                    train_loss = train.loss,
                    seconds,
                    "  round {round}, client {client}: {}, {} samples, {seconds:.2} s{stale}",
                    train.loss.map_or_else(|| "no step".to_owned(), |loss| format!("loss {loss:.4}")),
                    train.num_samples
                );
                self.part();
            }
            RunEvent::ClientAbsent { round, client, absence, reason } => {
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
                tracing::debug!(round = round.0, client = client.0, "  round {round}, client {client} {}{reason}", absence.words());
                self.part();
            }
            RunEvent::RoundEnded { round, train, test, client_test, train_seconds, virtual_seconds, .. } => {
                let (train_loss, seconds) = (train.as_ref().and_then(|train| train.loss), (*train_seconds, *virtual_seconds));
                self.step(round.0, train_loss, test.as_ref(), client_test.as_ref(), seconds);
            }
            RunEvent::EpochEnded { epoch, train, test, train_seconds, .. } => {
                self.step(epoch.0, train.loss, Some(test), None, (*train_seconds, None));
            }
            RunEvent::CheckpointSaved { at, .. } if at.steps > 0 => {
                tracing::debug!("  checkpoint after {}", at.text(self.unit.name()));
            }
            _ => {}
        }
    }

    /// Shows that one more part of the step is done.
    pub fn part(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.done += 1;
        // Of an asynchronous strategy, or of one with more clients than are needed, there are more parts.
        let parts = self.parts.max(1);
        #[expect(clippy::cast_precision_loss, reason = "counts of clients or batches")]
        let part = if self.parts == 0 { 0.0 } else { inner.done.min(parts) as f64 / parts as f64 };
        // The step itself, with its evaluation, isn't complete yet.
        let done = f64::from(inner.completed) + part.min(0.99);
        if inner.first_since.is_some() {
            let now = inner.began.elapsed().as_secs_f64();
            inner.pace.reach(now, done);
        }
        match &self.bar {
            Some(bar) => bar.stand(inner.pace.clone(), done),
            None if inner.said.elapsed() >= LINE_EVERY && self.parts > 0 => {
                let of = match self.unit {
                    Unit::Round => "clients",
                    Unit::Epoch | Unit::Step => "batches",
                };
                let (step, done, left) = (inner.completed + 1, inner.done.min(parts), left(&inner));
                tracing::info!("{} {step:>3}/{}  {done} of {parts} {of}{left}", self.unit.name(), self.steps);
                inner.said = Instant::now();
            }
            None => {}
        }
    }

    /// Shows a step, which took so many seconds of the wall clock, and ended at so many simulated ones.
    fn step(
        &self,
        step: u32,
        train_loss: Option<f64>,
        test: Option<&Evaluation>,
        clients: Option<&ClientTestSummary>,
        (seconds, virtual_seconds): (f64, Option<f64>),
    ) {
        let mut text = String::new();
        if let Some(test) = test {
            text.push_str(&format!("accuracy {:.4}  loss {:.4}", test.accuracy, test.loss));
        }
        if let Some(ClientTestSummary { accuracy, worst_decile, .. }) = clients {
            let gap = if text.is_empty() { "" } else { "  " };
            text.push_str(&format!("{gap}clients {accuracy:.4}, worst {worst_decile:.4}"));
        }
        if let Some(loss) = train_loss {
            text.push_str(&format!("  train loss {loss:.4}  {seconds:.1} s"));
        }
        if let Some(seconds) = virtual_seconds {
            text.push_str(&format!("  virtual {seconds:.1} s"));
        }
        let mut inner = self.inner.borrow_mut();
        let now = inner.began.elapsed().as_secs_f64();
        if step == inner.completed {
            // The initial model was evaluated: the first step begins now.
            inner.pace = Pace::new(Some(f64::from(self.steps)));
            inner.first_since = Some(now);
        } else if let Some(since) = inner.first_since.take() {
            inner.pace = Pace::new(Some(f64::from(self.steps)));
            let completed = f64::from(inner.completed);
            inner.pace.reach(since, completed);
        }
        inner.pace.reach(now, f64::from(step));
        (inner.completed, inner.done, inner.said) = (step, 0, Instant::now());
        if let Some(bar) = &self.bar {
            bar.stand(inner.pace.clone(), f64::from(step));
            bar.say(text.trim_start());
            return;
        }
        let (round, epoch) = match self.unit {
            Unit::Round => (Some(step), None),
            // A program of the user's own, which counts steps, isn't run here.
            Unit::Epoch | Unit::Step => (None, Some(step)),
        };
        let (accuracy, test_loss) = (test.map(|test| test.accuracy), test.map(|test| test.loss));
        let client_accuracy = clients.map(|clients| clients.accuracy);
        let left = left(&inner);
        let line = format!("{} {step:>3}/{}  {text}{left}", self.unit.name(), self.steps);
        tracing::info!(round, epoch, accuracy, test_loss, client_accuracy, train_loss, train_seconds = seconds, virtual_seconds, "{line}");
    }
}

/// Returns the time that is left in words, after a gap, if it is worth a word.
fn left(inner: &Inner) -> String {
    let left = inner.pace.left(inner.began.elapsed().as_secs_f64()).filter(|left| *left >= LEFT_SAID);
    left.map_or_else(String::new, |left| format!("  {} left", time(left)))
}
