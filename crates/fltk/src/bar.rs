//! The progress bar on a terminal. While it is drawn, lines are written above it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use fltk_core::terminal;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use ratatui::crossterm;

use crate::pace::{Pace, Unit};

/// The bar that is drawn, if there is one.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The time between two redraws, in which the time that is left passes.
const DRAW_EVERY: Duration = Duration::from_millis(250);
/// The number of steps of the drawn bar for each unit of work, so that a part of a long unit is seen.
const FINE: f64 = 1000.0;
/// The width of a terminal from which on there is room for a wide bar, in columns.
const WIDE: u16 = 100;

/// A bar that is drawn until it is dropped. There is one at a time.
///
/// ```text
/// mnist, seed 1  ████████░░░░  12/50  1.3 s/round, 50 s left  accuracy 0.8123  loss 0.5432
/// ```
pub struct Bar {
    bar: ProgressBar,
    stand: Arc<Mutex<Stand>>,
    began: Instant,
}

/// How far the work is.
struct Stand {
    pace: Pace,
    /// The work that is done, which may be more than at the last mark of the pace.
    done: f64,
}

impl Bar {
    /// Draws the bar of work that is counted in `unit`, of which `from` is done; `total` is all of it, if that is known. `title` may come from elsewhere.
    #[must_use]
    pub fn draw(title: &str, unit: Unit, total: Option<u64>, from: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "what is shown has three digits")]
        let (all, done) = (total.map(|total| total as f64), from as f64);
        let mut pace = Pace::new(all);
        pace.reach(0.0, done);
        let (stand, began) = (Arc::new(Mutex::new(Stand { pace, done })), Instant::now());
        let bar = match all {
            Some(all) => ProgressBar::new(fine(all)).with_position(fine(done)),
            None => ProgressBar::new_spinner(),
        };
        let gap = if title.is_empty() { "" } else { "  " };
        let width = if crossterm::terminal::size().is_ok_and(|(columns, _)| columns >= WIDE) { 30 } else { 12 };
        let shown = match total {
            Some(_) => format!("{{prefix}}{gap}{{bar:{width}}}  {{amount}}{{pace}}  {{wide_msg}}"),
            None => format!("{{spinner}} {{prefix}}{gap}{{amount}}{{pace}}  {{wide_msg}}"),
        };
        let (amount, rate) = (Arc::clone(&stand), Arc::clone(&stand));
        let amount = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let Stand { pace, done } = &*amount.lock().unwrap_or_else(PoisonError::into_inner);
            // Writing to a line of text can't fail.
            let _ = match pace.total() {
                Some(all) => write!(out, "{}/{}", unit.amount(done.floor()), unit.amount(all)),
                None if *done > 0.0 => write!(out, "{}", unit.amount(*done)),
                None => Ok(()),
            };
        };
        let pace_words = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let now = began.elapsed().as_secs_f64();
            let words = rate.lock().unwrap_or_else(PoisonError::into_inner).pace.words(now, unit);
            let _ = if words.is_empty() { write!(out, "  {}", crate::pace::time(now)) } else { write!(out, "  {words}") };
        };
        // The templates are ours and correct; a wrong one would have the default looks.
        if let Ok(style) = ProgressStyle::with_template(&shown) {
            bar.set_style(style.with_key("amount", amount).with_key("pace", pace_words));
        }
        bar.set_prefix(terminal::plain(title).into_owned());
        bar.enable_steady_tick(DRAW_EVERY);
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self { bar, stand, began }
    }

    /// Shows that `done` of the work is done, which may be a part of a unit.
    pub fn reach(&self, done: f64) {
        let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        stand.pace.reach(self.began.elapsed().as_secs_f64(), done);
        stand.done = done;
        self.bar.set_position(fine(done));
    }

    /// Shows that `done` of the work is done, which goes at `pace`, whose times count from when this was drawn: whoever calls this knows better how long it takes.
    pub fn stand(&self, pace: Pace, done: f64) {
        if let Some(total) = pace.total() {
            self.bar.set_length(fine(total));
        }
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = Stand { pace, done };
        self.bar.set_position(fine(done));
    }

    /// Shows `message`, which may come from elsewhere, after the figures.
    pub fn say(&self, message: &str) {
        self.bar.set_message(terminal::one_line(message, usize::MAX));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and the drawn bar has a few characters")]
fn fine(done: f64) -> u64 {
    (done * FINE).round() as u64
}

impl Drop for Bar {
    fn drop(&mut self) {
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.bar.finish_and_clear();
    }
}

/// Calls `write`, which writes whole lines to the terminal: the bar is removed before, and drawn again below them.
pub fn above(write: impl FnOnce()) {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match drawn {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
