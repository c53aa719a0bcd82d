//! Devices with log-normally distributed times.

use fltk_core::catalogue::{Entry, Number, Range};

use super::{Devices, MS, MS_MAX};

const MEDIAN: Number = Number::required("median_ms", "The median over clients of the milliseconds for a step on one sample.").within(MS);
const SIGMA: Number = Number::new(
    "sigma",
    1.0,
    "The standard deviation of the logarithm of the time: of 100 clients, the 16th slowest takes `exp(sigma)` times as long as the median.",
)
.within(Range::between(0.0, 10.0));

/// The time for a sample is `median_ms exp(sigma z)`, where `z` is drawn for each client from the standard normal distribution; at most a minute.
pub static LAW: Devices = Devices {
    entry: Entry::new("lognormal", "Devices whose times have a log-normal distribution: most are similar, and a few are slow.")
        .parameters(&[MEDIAN.parameter(), SIGMA.parameter()]),
    read: None,
    ms_per_sample: |client| (MEDIAN.of(client.settings) * (SIGMA.of(client.settings) * client.normal()).exp()).min(MS_MAX),
};
