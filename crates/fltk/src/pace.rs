//! The pace of work: how fast it goes, and how long it still takes. Whatever shows a rate or the time that is left has its words from here.
//!
//! A [`Pace`] is a value: whoever has a clock says what was done when.

use std::collections::VecDeque;

/// The number of marks from which a rate is computed: enough that one slow step doesn't decide it, and few enough that it follows a change.
const MARKS_MAX: usize = 20;
/// The least time between two marks, in seconds, so that those of thousands of small steps cover more than an instant.
const MARK_EVERY: f64 = 0.5;
/// The number of longest gaps between marks after which work without a new mark counts as slower than before.
const GAPS_PATIENCE: f64 = 2.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;

/// Returns a figure such as an accuracy or a loss with four decimals; a large one in powers of ten, so that it takes no more room.
#[must_use]
pub fn figure(value: f64) -> String {
    if value.abs() < 1e5 { format!("{value:.4}") } else { format!("{value:.3e}") }
}

/// The unit in which work is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things of this name, in the singular.
    Named(&'static str),
}

impl Unit {
    /// Returns an amount in words, such as `3.4 MB` or `12`.
    #[must_use]
    pub fn amount(self, amount: f64) -> String {
        match self {
            Self::Bytes => bytes(amount),
            Self::Named(_) => format!("{amount:.0}"),
        }
    }

    /// Returns a rate in words, such as `3.4 MB/s`, `12 jobs/s` or `2.5 s/round`.
    #[must_use]
    pub fn rate(self, per_second: f64) -> String {
        match self {
            Self::Bytes => format!("{}/s", bytes(per_second)),
            Self::Named(name) if per_second >= 10.0 => format!("{per_second:.0} {name}s/s"),
            Self::Named(name) if per_second >= 1.0 => format!("{per_second:.1} {name}s/s"),
            Self::Named(name) => match 1.0 / per_second {
                seconds if seconds < MINUTE => format!("{seconds:.1} s/{name}"),
                seconds if seconds < HOUR => format!("{:.1} min/{name}", seconds / MINUTE),
                seconds => format!("{:.1} h/{name}", seconds / HOUR),
            },
        }
    }
}

/// Returns a number of bytes with three digits and its unit.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes.max(0.0), 0);
    // At 999.5, three digits would become four.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Returns a length of time as people say it, with one or two units: `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round();
    let two = |whole: f64, large: f64, small: f64, names: (&str, &str)| {
        let (first, second) = ((whole / large).floor(), ((whole % large) / small).floor());
        if second > 0.0 { format!("{first:.0} {} {second:.0} {}", names.0, names.1) } else { format!("{first:.0} {}", names.0) }
    };
    match seconds {
        _ if seconds < MINUTE => format!("{seconds:.0} s"),
        _ if seconds < 10.0 * MINUTE => two(seconds, MINUTE, 1.0, ("min", "s")),
        // Half a minute more or less doesn't matter any more.
        _ if seconds < HOUR => format!("{:.0} min", (seconds / MINUTE).floor()),
        _ if seconds < DAY => two(seconds, HOUR, MINUTE, ("h", "min")),
        _ => two(seconds, DAY, HOUR, ("d", "h")),
    }
}

/// The pace of some work. Times are seconds since any moment, the same for all calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    total: Option<f64>,
    /// The times at which so much was done, ascending.
    marks: VecDeque<(f64, f64)>,
}

impl Pace {
    /// Returns the pace of work of which nothing was seen yet. `total` is all of it, if that is known.
    #[must_use]
    pub fn new(total: Option<f64>) -> Self {
        Self { total, marks: VecDeque::new() }
    }

    /// Returns the pace of work of which `done` of `total` is done, and whose rate isn't known.
    #[must_use]
    pub fn standing(done: f64, total: f64) -> Self {
        Self { total: Some(total), marks: [(0.0, done)].into() }
    }

    /// Returns all of the work, if that is known.
    #[must_use]
    pub fn total(&self) -> Option<f64> {
        self.total
    }

    /// Notes that `done` of the work was done at `at`. If that is less than before, the work has begun anew.
    pub fn reach(&mut self, at: f64, done: f64) {
        match self.marks.back() {
            Some(&(last_at, last)) if done < last || at < last_at => self.marks.clear(),
            // What was there before the first step says when it began.
            Some(&(_, last)) if done == last && self.marks.len() > 1 => return,
            _ => {}
        }
        let is_close = |marks: &VecDeque<(f64, f64)>| marks.len() > 2 && at - marks[marks.len() - 2].0 < MARK_EVERY;
        if is_close(&self.marks) {
            self.marks.pop_back();
        }
        self.marks.push_back((at, done));
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_front();
        }
    }

    /// Returns how much is done.
    #[must_use]
    pub fn done(&self) -> f64 {
        self.marks.back().map_or(0.0, |(_, done)| *done)
    }

    /// Returns the rate per second at `now`; `None` before there was any progress.
    #[must_use]
    pub fn per_second(&self, now: f64) -> Option<f64> {
        let (first, last) = (self.marks.front()?, self.marks.back()?);
        let end = if self.is_slow(now) { now } else { last.0 };
        let rate = (last.1 - first.1) / (end - first.0);
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }

    /// Returns the seconds that are left at `now`; `None` if they can't be known.
    #[must_use]
    pub fn left(&self, now: f64) -> Option<f64> {
        let (rate, last) = (self.per_second(now)?, self.marks.back()?);
        let left = (self.total? - last.1).max(0.0) / rate;
        let since = if self.is_slow(now) { 0.0 } else { now - last.0 };
        Some((left - since).max(0.0))
    }

    /// Returns the rate and the time that is left in words, such as `2.5 s/round, 50 s left`; empty before there was any progress.
    #[must_use]
    pub fn words(&self, now: f64, unit: Unit) -> String {
        let Some(rate) = self.per_second(now) else { return String::new() };
        let is_over = self.total.is_some_and(|total| self.done() >= total);
        match self.left(now).filter(|_| !is_over) {
            Some(left) => format!("{}, {} left", unit.rate(rate), time(left)),
            None => unit.rate(rate),
        }
    }

    /// Returns true if the next mark is long overdue.
    fn is_slow(&self, now: f64) -> bool {
        let gaps = self.marks.iter().zip(self.marks.iter().skip(1)).map(|(before, after)| after.0 - before.0);
        let longest = gaps.fold(MARK_EVERY, f64::max);
        self.marks.back().is_some_and(|(last, _)| now - last > GAPS_PATIENCE * longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_take_little_room() {
        let shown = [0.5, -2.0, 99_999.0, 3.4e38, f64::NAN, f64::INFINITY].map(figure);
        assert_eq!(shown, ["0.5000", "-2.0000", "99999.0000", "3.400e38", "NaN", "inf"]);
    }

    #[test]
    fn times_have_one_or_two_units() {
        for (seconds, expected) in [
            (-1.0, "0 s"),
            (0.4, "0 s"),
            (59.6, "1 min"),
            (12.0, "12 s"),
            (200.0, "3 min 20 s"),
            (599.0, "9 min 59 s"),
            (601.0, "10 min"),
            (3599.0, "59 min"),
            (3600.0, "1 h"),
            (7500.0, "2 h 5 min"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(time(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn rates_and_amounts_have_their_unit() {
        for (unit, per_second, expected) in [
            (Unit::Bytes, 0.0, "0 B/s"),
            (Unit::Bytes, 999.6, "1.00 kB/s"),
            (Unit::Bytes, 12_345_678.0, "12.3 MB/s"),
            (Unit::Named("round"), 123.4, "123 rounds/s"),
            (Unit::Named("round"), 1.25, "1.2 rounds/s"),
            (Unit::Named("round"), 0.4, "2.5 s/round"),
            (Unit::Named("epoch"), 1.0 / 90.0, "1.5 min/epoch"),
            (Unit::Named("epoch"), 1.0 / 9000.0, "2.5 h/epoch"),
        ] {
            assert_eq!(unit.rate(per_second), expected);
        }
        assert_eq!([Unit::Bytes.amount(1e9), Unit::Named("job").amount(12.0)], ["1.00 GB", "12"]);
    }

    #[test]
    fn time_left_follows_the_rate() {
        let mut pace = Pace::new(Some(10.0));
        assert_eq!((pace.words(0.0, Unit::Named("round")), pace.left(0.0)), (String::new(), None));
        (0..=4).for_each(|round| pace.reach(f64::from(round) * 2.0, f64::from(round)));
        assert_eq!(pace.words(8.0, Unit::Named("round")), "2.0 s/round, 12 s left");
        // While a round runs, the time that is left passes.
        assert_eq!(pace.left(9.0), Some(11.0));
        // A round that takes five times as long makes the rate fall.
        assert!(pace.left(18.0).is_some_and(|left| left > 20.0), "{:?}", pace.left(18.0));
        pace.reach(20.0, 10.0);
        assert_eq!(pace.words(20.0, Unit::Named("round")), "2.0 s/round", "nothing is left");
    }

    #[test]
    fn rate_is_that_of_the_last_marks() {
        let mut pace = Pace::new(None);
        (0..100).for_each(|second| pace.reach(f64::from(second), f64::from(second)));
        (100..130).for_each(|second| pace.reach(f64::from(second), 100.0 + f64::from(second - 100) * 10.0));
        assert_eq!(pace.per_second(129.0), Some(10.0));
        assert_eq!((pace.left(129.0), pace.words(129.0, Unit::Bytes)), (None, "10 B/s".to_owned()));
        // Thousands of small steps are a few marks.
        let mut fine = Pace::new(Some(1e6));
        (0..10_000).for_each(|step| fine.reach(f64::from(step) * 0.001, f64::from(step)));
        assert!(fine.marks.len() <= MARKS_MAX && fine.per_second(10.0).is_some_and(|rate| (rate - 1000.0).abs() < 1.0), "{fine:?}");
        // Work that begins anew has no rate yet.
        fine.reach(11.0, 0.0);
        assert_eq!(fine.per_second(11.0), None);
    }
}
