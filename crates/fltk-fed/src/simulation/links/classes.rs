//! Classes of links.

use fltk_core::catalogue::{Choice, Entry, Misfit, NumberList};

use super::{
    super::draw::{CLASSES_MAX, SHARES, check_shares},
    LATENCY, Link, Links, RATE,
};

const UP: NumberList =
    NumberList::required("up_mbit", CLASSES_MAX, RATE, "For each class, the rate from a client to the server, in Mbit/s (10^6 bits).");
const DOWN: NumberList =
    NumberList::required("down_mbit", CLASSES_MAX, RATE, "For each class, the rate from the server to a client, in Mbit/s.");
const LATENCY_MS: NumberList = NumberList::new(
    "latency_ms",
    &[],
    CLASSES_MAX,
    LATENCY,
    "For each class, the milliseconds in each direction before the first byte arrives; 0 if left out.",
);

/// A link is of one of a few classes, drawn for each client.
pub static LAW: Links = Links {
    entry: Entry::new("classes", "Links of a few classes, such as mobile networks and home lines.")
        .parameters(&[UP.parameter(), DOWN.parameter(), LATENCY_MS.parameter(), SHARES.parameter()])
        .check(check),
    read: None,
    link: |client| {
        let (up, down, latency) = (UP.of(client.settings), DOWN.of(client.settings), LATENCY_MS.of(client.settings));
        let class = client.class(up.len());
        let (up_mbit, down_mbit) = (*up.get(class)?, *down.get(class)?);
        Some(Link { up_mbit, down_mbit, latency_ms: latency.get(class).copied().unwrap_or(0.0) })
    },
};

fn check(settings: &Choice) -> Result<(), Misfit> {
    let (num_classes, down, latency) = (UP.of(settings).len(), DOWN.of(settings).len(), LATENCY_MS.of(settings).len());
    let misfit = |parameter: &'static str, found| {
        let message = format!("`{parameter}` has {found} numbers, and `up_mbit` has {num_classes}");
        Err(Misfit { parameter, message, hint: "give one number for each class in each list".to_owned() })
    };
    if down != num_classes {
        return misfit(DOWN.name(), down);
    }
    if latency != 0 && latency != num_classes {
        return misfit(LATENCY_MS.name(), latency);
    }
    check_shares(settings, UP.name(), num_classes)
}
