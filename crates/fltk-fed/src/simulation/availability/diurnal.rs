//! Clients that come and go by the time of day.

use fltk_core::catalogue::{Entry, Number, Range};

use super::{super::Micros, Availability, ClientDraw, Presence};

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

/// A client is there once a day, for `share` of it. The middle of that time is at noon, which is half a day after the beginning, plus `spread z` days,
/// where `z` is drawn for each client from the standard normal distribution.
///
/// With a day of 24 h, a share of a quarter and `z = 0`, a client is there from 9 to 15 h.
pub static LAW: Availability = Availability {
    entry: Entry::new("diurnal", "Clients that are there once a day, most of them at about the same time.").parameters(&[
        PERIOD.parameter(),
        SHARE.parameter(),
        SPREAD.parameter(),
    ]),
    read: None,
    is_always: false,
    presence,
};

fn presence(client: &ClientDraw<'_>, at: Micros) -> Presence {
    let settings = client.settings;
    let day = Micros::from_millis(PERIOD.of(settings) * 3_600_000.0).0.max(1);
    let share = SHARE.of(settings);
    if share >= 1.0 {
        return Presence { is_there: true, until: None };
    }
    let length = fraction(share, day).clamp(1, day);
    // The beginning of the time in which it is there, after that of a day.
    let begin = (0.5 + SPREAD.of(settings) * client.normal() - share / 2.0).rem_euclid(1.0);
    let since = (at.0 % day + day - fraction(begin, day) % day) % day;
    let (is_there, left) = if since < length { (true, length - since) } else { (false, day - since) };
    if length == day { Presence { is_there: true, until: None } } else { Presence { is_there, until: Some(at.plus(Micros(left))) } }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of a day in microseconds")]
fn fraction(share: f64, day: u64) -> u64 {
    (share * day as f64).round() as u64
}
