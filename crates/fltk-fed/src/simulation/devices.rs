//! The laws of devices: the time that a client's device takes to train on a sample.

mod classes;
mod constant;
mod lognormal;
mod trace;

use fltk_core::catalogue::{Entry, Number, Range};

use super::{ClientDraw, table::ReadTable};

/// A law of devices.
#[derive(Debug)]
pub struct Devices {
    /// The name in experiment files, the source, and the parameters.
    pub entry: Entry,
    /// Reads the text of the file that the settings name; `None` if they name none.
    pub read: Option<ReadTable>,
    /// Returns the milliseconds that the client's device takes for a step on one sample.
    pub ms_per_sample: fn(&ClientDraw<'_>) -> f64,
}

impl PartialEq for Devices {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name
    }
}

/// Every law of devices.
pub const CATALOGUE: &[&Devices] = &[&constant::LAW, &classes::LAW, &lognormal::LAW, &trace::LAW];

/// Returns the law of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Devices> {
    CATALOGUE.iter().copied().find(|law| law.entry.name == name)
}

/// The longest time for a sample: a minute.
const MS_MAX: f64 = 60_000.0;
/// The range of the time for a sample.
const MS: Range = Range::between(0.0, MS_MAX);

const MS_PER_SAMPLE: Number =
    Number::required("ms_per_sample", "The milliseconds that a device takes for a step on one sample.").within(MS);
