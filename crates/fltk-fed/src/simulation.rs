//! Simulated time: how long clients' devices, links and absences delay their answers, as pure functions of the settings and the seed.
//!
//! ```text
//! order at t --> download --> training --> upload --> answer at t'
//!                (link)       (device)     (link)
//! ```
//!
//! Whatever a client does goes on only while it is there. Time is counted in whole microseconds, so that a sum doesn't depend on the order of its
//! terms, and a checkpoint holds it exactly for 285 years.
//!
//! A law of devices, of links or of availability is an entry in its own file and a line in a catalogue. What a client draws depends on the seed and its
//! own number alone: nothing is kept for clients, of which there may be a million.

pub mod availability;
pub mod devices;
mod draw;
mod fleet;
pub mod links;
mod table;

use std::time::Duration;

use fltk_core::catalogue::Entry;

pub use draw::ClientDraw;
pub(crate) use fleet::model_bytes;
pub use fleet::{Arrival, Fleet, FleetError, Job, TraceFile, Transfers, check_file, update_bytes};
pub use table::{DeviceTimes, ReadTable, Table, TraceError};

/// A point in simulated time, or a length of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

impl Micros {
    /// The largest time that an `f64` holds exactly, in which checkpoints store it.
    pub const MAX: Self = Self(1 << 53);

    /// Returns `millis` milliseconds, rounded to the nearest microsecond, and at most [`Self::MAX`].
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "`as` takes what is out of range to the nearest end"
    )]
    pub fn from_millis(millis: f64) -> Self {
        Self((millis * 1000.0).round().min(Self::MAX.0 as f64) as u64)
    }

    /// Returns the sum, at most [`Self::MAX`].
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0)).min(Self::MAX)
    }

    /// Returns the time as seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact up to the largest time")]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).min(Self::MAX)
    }
}

impl From<Micros> for Duration {
    fn from(micros: Micros) -> Self {
        Self::from_micros(micros.0)
    }
}

/// Returns the entries of all laws of devices, for the program's catalogues.
#[must_use]
pub fn devices() -> Vec<&'static Entry> {
    devices::CATALOGUE.iter().map(|law| &law.entry).collect()
}

/// Returns the entries of all laws of links, for the program's catalogues.
#[must_use]
pub fn links() -> Vec<&'static Entry> {
    links::CATALOGUE.iter().map(|law| &law.entry).collect()
}

/// Returns the entries of all laws of availability, for the program's catalogues.
#[must_use]
pub fn availability() -> Vec<&'static Entry> {
    availability::CATALOGUE.iter().map(|law| &law.entry).collect()
}

#[cfg(test)]
mod tests;
