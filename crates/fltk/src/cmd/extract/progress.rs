//! The progress of an extraction: a bar on a terminal, otherwise a line for each record.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
    time::Duration,
};

use fltk_core::terminal;
use indicatif::ProgressBar;

use crate::{bar::Bar, log};

/// The time between two redraws of the bar.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Prints the progress of an extraction.
pub struct Progress {
    wanted: usize,
    begun: usize,
    bytes: Rc<Cell<u64>>,
    bar: Option<Bar>,
}

impl Progress {
    /// Creates the progress of an extraction of `wanted` records.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, begun: 0, bytes: Rc::default(), bar: None }
    }

    /// Begins the next record.
    pub fn begin(&mut self, name: &str) {
        self.begun += 1;
        self.bytes.set(0);
        if log::has_bars() {
            let bar = Bar::draw(ProgressBar::new_spinner(), "{spinner} {prefix} {msg} {bytes} {bytes_per_sec}");
            bar.set_prefix(format!("{}/{}", self.begun, self.wanted));
            bar.set_message(terminal::plain(name).into_owned());
            bar.enable_steady_tick(DRAW_EVERY);
            self.bar = Some(bar);
        }
    }

    /// Ends the record, with `words` as its outcome.
    pub fn end(&mut self, words: &str) {
        self.bar = None;
        tracing::info!("{}/{}  {words}", self.begun, self.wanted);
    }

    /// Returns the number of bytes received of the current record.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Returns a reader of `inner` that counts its bytes.
    pub fn watch<R: Read>(&self, inner: R) -> impl Read + use<R> {
        Watched { inner, bytes: Rc::clone(&self.bytes), bar: self.bar.as_deref().cloned() }
    }
}

struct Watched<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
    bar: Option<ProgressBar>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        if let Some(bar) = &self.bar {
            bar.inc(read as u64);
        }
        Ok(read)
    }
}
