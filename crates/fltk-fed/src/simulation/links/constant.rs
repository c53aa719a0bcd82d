//! Links that are all alike.

use fltk_core::catalogue::{Entry, Number};

use super::{LATENCY, Link, Links, RATE};

const UP: Number = Number::required("up_mbit", "The rate from a client to the server, in Mbit/s (10^6 bits).").within(RATE);
const DOWN: Number = Number::required("down_mbit", "The rate from the server to a client, in Mbit/s.").within(RATE);
const LATENCY_MS: Number =
    Number::new("latency_ms", 0.0, "The milliseconds in each direction before the first byte arrives.").within(LATENCY);

/// Every link has the same rates and the same latency. A model of 1 MB takes 0.8 s at 10 Mbit/s.
pub static LAW: Links = Links {
    entry: Entry::new("constant", "Links that are all alike.").parameters(&[UP.parameter(), DOWN.parameter(), LATENCY_MS.parameter()]),
    read: None,
    link: |client| {
        let settings = client.settings;
        Some(Link { up_mbit: UP.of(settings), down_mbit: DOWN.of(settings), latency_ms: LATENCY_MS.of(settings) })
    },
};
