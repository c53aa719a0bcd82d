//! The rate at which runs go on, and the time that is left. Estimates are corrected by what was measured since the beginning.

/// The progress of all runs.
pub struct Pace {
    /// The estimated core-seconds of the runs that haven't ended.
    left: f64,
    /// The estimated core-seconds of the rounds that were watched, and the wall-clock seconds that they took.
    watched: (f64, f64),
}

/// The ratio of wall-clock time to the time on one core before anything was measured: both cores of a small machine are busy.
const RATIO: f64 = 0.5;

impl Pace {
    /// Begins with runs that are estimated to take `core_seconds` in all.
    pub const fn new(core_seconds: f64) -> Self {
        Self { left: core_seconds, watched: (0.0, 0.0) }
    }

    /// Takes in that a run went on by `core_seconds` of its estimate in `seconds`.
    pub fn watch(&mut self, core_seconds: f64, seconds: f64) {
        self.watched.0 += core_seconds;
        self.watched.1 += seconds;
        self.pass(core_seconds);
    }

    /// Takes in that `core_seconds` of the estimate are over, or needn't be done.
    pub fn pass(&mut self, core_seconds: f64) {
        self.left = (self.left - core_seconds).max(0.0);
    }

    /// Returns the wall-clock seconds for work of `core_seconds`.
    pub fn seconds(&self, core_seconds: f64) -> f64 {
        let (estimated, measured) = self.watched;
        core_seconds * if estimated > 0.0 { measured / estimated } else { RATIO }
    }

    /// Returns the wall-clock seconds for all that is left.
    pub fn left(&self) -> f64 {
        self.seconds(self.left)
    }
}

/// Returns a duration as people say it.
pub fn told(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 3600.0 => format!("{:.1} h", seconds / 3600.0),
        seconds if seconds >= 60.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_corrected_by_measurements() {
        let mut pace = Pace::new(1000.0);
        assert!((pace.left() - 500.0).abs() < 1e-9);
        // A resumed run has 200 done already.
        pace.pass(200.0);
        pace.watch(100.0, 300.0);
        assert!((pace.left() - 700.0 * 3.0).abs() < 1e-9);
        pace.watch(900.0, 300.0);
        assert!(pace.left().abs() < 1e-9 && (pace.seconds(10.0) - 6.0).abs() < 1e-9);
    }

    #[test]
    fn durations_are_told() {
        assert_eq!([59.4, 60.0, 3599.0, 5400.0].map(told), ["59 s", "1 min", "60 min", "1.5 h"]);
    }
}
