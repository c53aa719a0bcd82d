//! Devices that are all alike.

use fltk_core::catalogue::Entry;

use super::{Devices, MS_PER_SAMPLE};

/// Every device takes `ms_per_sample` for a sample.
pub static LAW: Devices = Devices {
    entry: Entry::new("constant", "Devices that are all alike.").parameters(&[MS_PER_SAMPLE.parameter()]),
    read: None,
    ms_per_sample: |client| MS_PER_SAMPLE.of(client.settings),
};
