//! Links with log-normally distributed rates.

use fltk_core::catalogue::{Entry, Number, Range};

use super::{LATENCY, Link, Links, RATE, RATE_MAX, RATE_MIN};

const UP: Number =
    Number::required("median_up_mbit", "The median over clients of the rate to the server, in Mbit/s (10^6 bits).").within(RATE);
const DOWN: Number = Number::required("median_down_mbit", "The median over clients of the rate from the server, in Mbit/s.").within(RATE);
const SIGMA: Number = Number::new("sigma", 1.0, "The standard deviation of the logarithm of the rates.").within(Range::between(0.0, 10.0));
const LATENCY_MS: Number =
    Number::new("latency_ms", 0.0, "The milliseconds in each direction before the first byte arrives.").within(LATENCY);

/// Both rates of a client are `exp(sigma z)` times their medians, where `z` is drawn for each client from the standard normal distribution: a client
/// with a good link has one in both directions.
pub static LAW: Links = Links {
    entry: Entry::new("lognormal", "Links whose rates have a log-normal distribution: most are similar, and a few are slow.")
        .parameters(&[UP.parameter(), DOWN.parameter(), SIGMA.parameter(), LATENCY_MS.parameter()]),
    read: None,
    link: |client| {
        let settings = client.settings;
        let factor = (SIGMA.of(settings) * client.normal()).exp();
        let rate = |median: f64| (median * factor).clamp(RATE_MIN, RATE_MAX);
        Some(Link { up_mbit: rate(UP.of(settings)), down_mbit: rate(DOWN.of(settings)), latency_ms: LATENCY_MS.of(settings) })
    },
};
