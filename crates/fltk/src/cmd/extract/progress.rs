//! The progress of an extraction: a line for each record, and while one is fetched a bar on a terminal, otherwise a line now and then.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use crate::{
    pace::Unit,
    work::{Counter, Work},
};

/// Shows the progress of an extraction.
pub struct Progress {
    wanted: usize,
    begun: usize,
    name: String,
    bytes: Rc<Cell<u64>>,
    work: Option<Work>,
}

impl Progress {
    /// Creates the progress of an extraction of `wanted` records.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, begun: 0, name: String::new(), bytes: Rc::default(), work: None }
    }

    /// Begins the next record.
    pub fn begin(&mut self, name: &str) {
        self.begun += 1;
        self.bytes.set(0);
        self.name = format!("{}/{}  {name}", self.begun, self.wanted);
        // Its files may first be compared.
        self.work = Some(Work::wait(self.name.clone()));
    }

    /// Begins to fetch the record, whose files have so many bytes.
    pub fn fetch(&mut self, num_bytes: u64) {
        // The old one goes before the new one comes.
        self.work = None;
        self.work = Some(Work::begin(self.name.clone(), Unit::Bytes, Some(num_bytes)));
    }

    /// Ends the record, with `words` as its outcome.
    pub fn end(&mut self, words: &str) {
        self.work = None;
        tracing::info!("{}/{}  {words}", self.begun, self.wanted);
    }

    /// Returns the number of bytes received of the current record.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Returns a reader of `inner` that counts its bytes.
    pub fn watch<R: Read>(&self, inner: R) -> impl Read + use<R> {
        Watched { inner, bytes: Rc::clone(&self.bytes), counted: self.work.as_ref().map(Work::counter) }
    }
}

struct Watched<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
    counted: Option<Counter>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        self.counted.iter().for_each(|counter| counter.add(read as u64));
        Ok(read)
    }
}
