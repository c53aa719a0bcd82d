//! The laws of links: the time that models take to a client and back.

mod classes;
mod constant;
mod instant;
mod lognormal;
mod trace;

use fltk_core::catalogue::{Entry, Range};

use super::{ClientDraw, table::ReadTable};

/// A law of links.
#[derive(Debug)]
pub struct Links {
    /// The name in experiment files, the source, and the parameters.
    pub entry: Entry,
    /// Reads the text of the file that the settings name; `None` if they name none.
    pub read: Option<ReadTable>,
    /// Returns the client's link; `None` if nothing takes time.
    pub link: fn(&ClientDraw<'_>) -> Option<Link>,
}

impl PartialEq for Links {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name
    }
}

/// A client's link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The rate from the client to the server, in megabits per second (10^6 bits).
    pub up_mbit: f64,
    /// The rate from the server to the client, in megabits per second.
    pub down_mbit: f64,
    /// The time that passes in each direction before the first byte arrives, in milliseconds.
    pub latency_ms: f64,
}

/// Every law of links.
pub const CATALOGUE: &[&Links] = &[&instant::LAW, &constant::LAW, &classes::LAW, &lognormal::LAW, &trace::LAW];

/// Returns the law of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Links> {
    CATALOGUE.iter().copied().find(|law| law.entry.name == name)
}

/// The range of rates: from a bit per millisecond to a terabit per second.
const RATE: Range = Range::between(0.001, 1e6);
/// The largest rate.
const RATE_MAX: f64 = 1e6;
/// The smallest rate.
const RATE_MIN: f64 = 0.001;
/// The longest latency: ten minutes.
const LATENCY_MAX: f64 = 600_000.0;
/// The range of latencies.
const LATENCY: Range = Range::between(0.0, LATENCY_MAX);
