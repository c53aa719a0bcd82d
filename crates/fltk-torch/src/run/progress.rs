//! The output during a run: a bar on a terminal, a line per round or epoch elsewhere, nothing when quiet.

use std::time::Duration;

use fltk::{Bar, log};
use fltk_core::{client_test::ClientTestSummary, event::RunEvent, metrics::Evaluation, milestone::Milestone, terminal};
use fltk_records::history::Unit;
use indicatif::ProgressBar;

/// The time between two redraws of the bar.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Shows the progress of one run on standard error.
pub struct Progress {
    unit: Unit,
    steps: u32,
    bar: Option<Bar>,
}

impl Progress {
    /// Creates the output for a run of `steps` rounds or epochs (`unit`) that starts at `from`.
    #[must_use]
    pub fn new(title: &str, unit: Unit, steps: u32, from: Milestone) -> Self {
        let bar = log::has_bars().then(|| {
            let bar = ProgressBar::new(u64::from(steps)).with_position(u64::from(from.completed));
            let bar = Bar::draw(bar, "{prefix} {bar:30} {pos}/{len} {msg} [{elapsed}, {eta} left]");
            bar.set_prefix(terminal::plain(title).into_owned());
            bar.enable_steady_tick(DRAW_EVERY);
            bar
        });
        if bar.is_none() {
            let resumed = if from > Milestone::START { format!(", resuming after {}", from.text(unit.name())) } else { String::new() };
            tracing::info!("{title}: {steps} {}s{resumed}", unit.name());
        }
        Self { unit, steps, bar }
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
            }
            RunEvent::ClientAbsent { round, client, absence, reason } => {
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
                tracing::debug!(round = round.0, client = client.0, "  round {round}, client {client} {}{reason}", absence.words());
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
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(step));
            bar.set_message(text);
            return;
        }
        let (round, epoch) = match self.unit {
            Unit::Round => (Some(step), None),
            // A program of the user's own, which counts steps, isn't run here.
            Unit::Epoch | Unit::Step => (None, Some(step)),
        };
        let (accuracy, test_loss) = (test.map(|test| test.accuracy), test.map(|test| test.loss));
        let client_accuracy = clients.map(|clients| clients.accuracy);
        let line = format!("{} {step:>3}/{}  {text}", self.unit.name(), self.steps);
        tracing::info!(round, epoch, accuracy, test_loss, client_accuracy, train_loss, train_seconds = seconds, virtual_seconds, "{line}");
    }
}
