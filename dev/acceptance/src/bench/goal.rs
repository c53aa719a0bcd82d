//! The goals of a benchmark, and whether they are met.

use std::fmt;

use serde::Serialize;

/// A goal and what was measured.
#[derive(Serialize)]
pub struct Goal {
    what: String,
    measured: f64,
    goal: f64,
    pub met: bool,
}

impl Goal {
    /// Returns a goal for what may be as large as `goal`.
    pub fn at_most(what: impl Into<String>, measured: f64, goal: f64) -> Self {
        Self { what: what.into(), measured, goal, met: measured <= goal }
    }

    /// Returns a goal for what may be as small as `goal`.
    pub fn at_least(what: impl Into<String>, measured: f64, goal: f64) -> Self {
        Self { what: what.into(), measured, goal, met: measured >= goal }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, measured, goal, met } = self;
        write!(f, "{what:<56} {measured:>8.3} ({goal:.3})  {}", if *met { "met" } else { "NOT MET" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_bound() {
        assert!(Goal::at_most("", 0.3, 0.3).met && !Goal::at_most("", 0.31, 0.3).met);
        assert!(Goal::at_least("", 0.6, 0.6).met && !Goal::at_least("", 0.59, 0.6).met);
        assert!(!Goal::at_most("", f64::NAN, 1.0).met && !Goal::at_least("", f64::NAN, 1.0).met);
    }
}
