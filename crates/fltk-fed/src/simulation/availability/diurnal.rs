//! Clients that come and go by the time of day.

use fltk_core::catalogue::{Entry, Number, Range};

use super::{super::Micros, Availability, ClientDraw, Cycle, Presence};

const PERIOD: Number = Number::new("period_h", 24.0, "The length of a day, in hours.").within(Range::between(0.001, 10_000.0));
const SHARE: Number = Number::new("share", 0.4, "The share of a day in which a client is there, as when its phone charges at night.")
    .within(Range::positive_up_to(1.0));
const SPREAD: Number = Number::new(
    "spread",
    0.1,
    "The standard deviation of the middle of that time over clients, as a share of a day. With 0 all come and go at once; from about 0.5 on, as many are \
     there at any time of day.",
)
.within(Range::between(0.0, 100.0));

const START: Number = Number::new(
    "start_h",
    12.0,
    "The time of day at which the run begins, in hours; most clients are there at noon, in the middle of the day.",
)
.within(Range::between(0.0, 10_000.0));

/// A client is there once a day, for `share` of it. The middle of that time is at noon, in the middle of the day, plus `spread z` days,
/// where `z` is drawn for each client from the standard normal distribution.
///
/// With a day of 24 h, a share of a quarter and `z = 0`, a client is there from 9 to 15 h.
pub static LAW: Availability = Availability {
    entry: Entry::new("diurnal", "Clients that are there once a day, most of them at about the same time.").parameters(&[
        PERIOD.parameter(),
        SHARE.parameter(),
        SPREAD.parameter(),
        START.parameter(),
    ]),
    read: None,
    is_always: false,
    presence,
    cycle: |client| {
        let (day, length) = lengths(client);
        Some(Cycle { period: Micros(day), there: Micros(length) })
    },
};

fn presence(client: &ClientDraw<'_>, at: Micros) -> Presence {
    let settings = client.settings;
    let ((day, length), share) = (lengths(client), SHARE.of(settings));
    if length == day {
        return Presence { is_there: true, until: None };
    }
    // The beginning of the time in which it is there, after that of a day.
    let begin = (0.5 + SPREAD.of(settings) * client.normal() - share / 2.0).rem_euclid(1.0);
    let start = Micros::from_millis(START.of(settings) * 3_600_000.0).0;
    let since = ((at.0 % day + start % day) % day + day - fraction(begin, day) % day) % day;
    let (is_there, left) = if since < length { (true, length - since) } else { (false, day - since) };
    Presence { is_there, until: Some(at.plus(Micros(left))) }
}

/// Returns the length of a day, and that of the time in which a client is there.
fn lengths(client: &ClientDraw<'_>) -> (u64, u64) {
    let day = Micros::from_millis(PERIOD.of(client.settings) * 3_600_000.0).0.max(1);
    (day, fraction(SHARE.of(client.settings), day).clamp(1, day))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of a day in microseconds")]
fn fraction(share: f64, day: u64) -> u64 {
    (share * day as f64).round() as u64
}
