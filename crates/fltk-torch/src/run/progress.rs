//! The output during a run: a bar on a terminal, a line per round or epoch elsewhere, nothing when quiet.

use std::io::IsTerminal as _;

use fltk::{cli::Cli, output};
use fltk_core::{event::RunEvent, metrics::Evaluation, milestone::Milestone, terminal};
use indicatif::{ProgressBar, ProgressStyle};

/// The amount of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// No output.
    Quiet,
    /// Rounds and epochs.
    Normal,
    /// Rounds, epochs and every client.
    Verbose,
}

impl Talk {
    /// The amount of output that the command line asks for.
    #[must_use]
    pub fn of(cli: &Cli) -> Self {
        match (cli.quiet, cli.verbose) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Verbose,
            (false, false) => Self::Normal,
        }
    }
}

/// Shows the progress of one run on standard error.
pub struct Progress {
    talk: Talk,
    unit: &'static str,
    steps: u32,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Creates the output for a run of `steps` rounds or epochs (`unit`) that starts at `from`.
    #[must_use]
    pub fn new(talk: Talk, title: &str, unit: &'static str, steps: u32, from: Milestone) -> Self {
        let bar = (talk != Talk::Quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(u64::from(steps)).with_position(u64::from(from.completed));
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} [{elapsed}, {eta} left]");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(terminal::plain(title).into_owned());
            bar.enable_steady_tick(std::time::Duration::from_millis(250));
            bar
        });
        if talk != Talk::Quiet && bar.is_none() {
            let resumed = if from > Milestone::START { format!(", going on after {}", from.text(unit)) } else { String::new() };
            output::talk(format_args!("{title}: {steps} {unit}s{resumed}"));
        }
        Self { talk, unit, steps, bar }
    }

    /// Shows the event that was just recorded.
    pub fn show(&self, event: &RunEvent) {
        match event {
            RunEvent::ClientTrained { round, client, train, seconds } if self.talk == Talk::Verbose => {
                self.line(&format!(
                    "  round {round}, client {client}: {}, {} samples, {seconds:.2} s",
                    train.loss.map_or_else(|| "no step".to_owned(), |loss| format!("loss {loss:.4}")),
                    train.num_samples
                ));
            }
            RunEvent::RoundEnded { round, train, test, train_seconds, .. } => {
                self.step(round.0, train.as_ref().and_then(|train| train.loss), test.as_ref(), *train_seconds);
            }
            RunEvent::EpochEnded { epoch, train, test, train_seconds, .. } => {
                self.step(epoch.0, train.loss, Some(test), *train_seconds);
            }
            RunEvent::CheckpointSaved { at, .. } if at.steps > 0 && self.talk == Talk::Verbose => {
                self.line(&format!("  checkpoint after {}", at.text(self.unit)));
            }
            _ => {}
        }
    }

    fn step(&self, step: u32, train_loss: Option<f64>, test: Option<&Evaluation>, seconds: f64) {
        let mut text = String::new();
        if let Some(test) = test {
            text.push_str(&format!("accuracy {:.4}  loss {:.4}", test.accuracy, test.loss));
        }
        if let Some(loss) = train_loss {
            text.push_str(&format!("  train loss {loss:.4}  {seconds:.1} s"));
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(u64::from(step));
                bar.set_message(text);
            }
            None => self.line(&format!("{} {step:>3}/{}  {text}", self.unit, self.steps)),
        }
    }

    fn line(&self, text: &str) {
        match (&self.bar, self.talk) {
            (_, Talk::Quiet) => {}
            (Some(bar), _) => bar.println(terminal::plain(text)),
            (None, _) => output::talk(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
