//! The current time of a stream, independent of changes to the machine's wall clock.
//!
//! A process reads the wall clock once, when it starts or resumes the stream; from then on its time is monotonic. So setting the clock, by hand or by a time
//! server, has no effect while the process runs. Between two processes, only the wall clock measures the elapsed time; if it says that the journal lies in
//! the future, the elapsed time counts as zero.
//!
//! Monotonic time is Linux's `CLOCK_MONOTONIC`, which stops while the machine is suspended. A laptop's sleep doesn't count for a running stream.

use std::time;

use fltk_core::experiment::Duration;
use jiff::{SignedDuration, Timestamp};

/// How far the wall clock may be behind the journal without a warning: clocks of machines that time servers synchronize differ by less.
const UNSAID: time::Duration = time::Duration::from_secs(1);

/// The clock of a stream.
pub struct Clock<F = fn() -> time::Duration> {
    /// The stream's time when the process started or resumed it.
    anchor: Timestamp,
    /// The time by which the wall clock was behind the journal then.
    behind: time::Duration,
    /// The monotonic time since then.
    since: F,
}

impl Clock<Box<dyn Fn() -> time::Duration + Send + Sync>> {
    /// Starts the clock of the stream that began at `began` and whose journal ends `known` after that.
    #[must_use]
    pub fn start(began: Timestamp, known: Duration) -> Self {
        let start = time::Instant::now();
        Self::at(began, known, Timestamp::now(), Box::new(move || start.elapsed()))
    }
}

impl<F: Fn() -> time::Duration> Clock<F> {
    /// Creates the same clock for a process that starts or resumes the stream when the wall clock shows `wall`; `since` is the monotonic time since then.
    pub fn at(began: Timestamp, known: Duration, wall: Timestamp, since: F) -> Self {
        let known =
            began.checked_add(SignedDuration::from_millis(i64::try_from(known.as_millis()).unwrap_or(i64::MAX))).unwrap_or(Timestamp::MAX);
        let behind = time::Duration::try_from(known.duration_since(wall)).unwrap_or_default();
        Self { anchor: wall.max(known), behind, since }
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from((self.since)()).unwrap_or(SignedDuration::MAX);
        self.anchor.checked_add(since).unwrap_or(Timestamp::MAX)
    }

    /// Returns the warning about a journal that lies in the future, if it does.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.behind > UNSAID).then(|| {
            format!(
                "the clock is {} s behind the stream's journal: it was set back, or another machine wrote that; the stream continues as if no time had passed",
                self.behind.as_secs()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn process_counts_from_its_resumption_of_the_stream() {
        let passed = Rc::new(Cell::new(time::Duration::ZERO));
        let since = Rc::clone(&passed);
        // The wall clock is read only once, so later steps have no effect.
        let clock = Clock::at(at(0), Duration::from_millis(2000), at(10), move || since.get());
        assert_eq!((clock.now(), clock.warning()), (at(10), None));
        passed.set(time::Duration::from_secs(7));
        assert_eq!(clock.now(), at(17));
    }

    #[test]
    fn wall_clock_between_processes_never_goes_backwards() {
        let taken_up = |wall: i64| Clock::at(at(0), Duration::from_millis(60_000), at(wall), || time::Duration::from_secs(1));
        let later = taken_up(HOUR);
        assert_eq!((later.now(), later.warning()), (at(HOUR + 1), None));
        let earlier = taken_up(60 - HOUR);
        assert_eq!(earlier.now(), at(61));
        assert!(earlier.warning().unwrap().contains("the clock is 3600 s behind the stream's journal"));
        // The same holds for a clock that was set back to before the stream began; and the usual difference between clocks causes no warning.
        assert_eq!(taken_up(-HOUR).now(), at(61));
        assert_eq!(Clock::at(at(0), Duration::from_millis(500), at(0), || time::Duration::ZERO).warning(), None);
    }
}
