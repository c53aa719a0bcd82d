//! Classes of devices.

use fltk_core::catalogue::{Entry, NumberList};

use super::{
    super::draw::{CLASSES_MAX, SHARES, check_shares},
    Devices, MS,
};

const MS_PER_SAMPLE: NumberList = NumberList::required(
    "ms_per_sample",
    CLASSES_MAX,
    MS,
    "For each class, the milliseconds that a device takes for a step on one sample.",
);

/// A device is of one of a few classes, drawn for each client. With `ms_per_sample: [5, 50]` and `shares: [3, 1]`, three quarters of the clients, on
/// average, take 5 ms for a sample and the others 50 ms.
pub static LAW: Devices = Devices {
    entry: Entry::new("classes", "Devices of a few classes, such as phones of different years.")
        .parameters(&[MS_PER_SAMPLE.parameter(), SHARES.parameter()])
        .check(|settings| check_shares(settings, MS_PER_SAMPLE.name(), MS_PER_SAMPLE.of(settings).len())),
    read: None,
    ms_per_sample: |client| {
        let times = MS_PER_SAMPLE.of(client.settings);
        times.get(client.class(times.len())).copied().unwrap_or(0.0)
    },
};
