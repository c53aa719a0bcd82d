//! The laws of availability: the times at which clients are there.

mod always;
mod diurnal;
mod trace;

use fltk_core::catalogue::Entry;

use super::{ClientDraw, Micros, table::ReadTable};

/// A law of availability.
#[derive(Debug)]
pub struct Availability {
    /// The name in experiment files, the source, and the parameters.
    pub entry: Entry,
    /// Reads the text of the file that the settings name; `None` if they name none.
    pub read: Option<ReadTable>,
    /// Returns true if every client is always there, so that nobody needs to ask.
    pub is_always: bool,
    /// Returns whether the client is there at a time, and until when that holds.
    pub presence: fn(&ClientDraw<'_>, Micros) -> Presence,
    /// Returns after how long the client's times begin anew, and for how long of that it is there; `None` if they don't.
    pub cycle: fn(&ClientDraw<'_>) -> Option<Cycle>,
}

impl PartialEq for Availability {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name
    }
}

/// The state of a client that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// True if it is there.
    pub is_there: bool,
    /// The time at which that changes, later than the one asked for; `None` if it never does.
    pub until: Option<Micros>,
}

/// The times of a client that begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The length, above 0.
    pub period: Micros,
    /// The part of it in which the client is there.
    pub there: Micros,
}

/// Every law of availability.
pub const CATALOGUE: &[&Availability] = &[&always::LAW, &diurnal::LAW, &trace::LAW];

/// Returns the law of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Availability> {
    CATALOGUE.iter().copied().find(|law| law.entry.name == name)
}
