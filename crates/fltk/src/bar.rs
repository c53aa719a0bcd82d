//! The progress bar on a terminal. While it is drawn, lines are written above it.

use std::{
    ops::Deref,
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};

/// The bar that is drawn, if there is one.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A bar that is drawn until it is dropped. There is one at a time.
pub struct Bar(ProgressBar);

impl Bar {
    /// Draws `bar`, whose looks `template` describes.
    #[must_use]
    pub fn draw(bar: ProgressBar, template: &str) -> Self {
        // The templates are ours and correct; a wrong one would have the default looks.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self(bar)
    }
}

impl Deref for Bar {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.0
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.finish_and_clear();
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
