//! Requests that were in flight at the same time.

use crate::{Call, Scenario};

/// A step in the life of the request with this number.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Begun(usize),
    /// The request was answered, or its client no longer waits.
    Over(usize),
}

/// A request in flight, until this value is dropped.
pub struct InFlight {
    scenario: Scenario,
    number: usize,
}

impl InFlight {
    /// Records that the request with this number was sent.
    pub fn begin(scenario: &Scenario, number: usize) -> Self {
        scenario.world().steps.push(Step::Begun(number));
        Self { scenario: scenario.clone(), number }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.scenario.world().steps.push(Step::Over(self.number));
    }
}

/// The peak number of concurrent requests among those that `which` selects.
pub fn peak(calls: &[Call], steps: &[Step], which: impl Fn(&Call) -> bool) -> usize {
    let (mut now, mut peak) = (0_usize, 0);
    for step in steps {
        match step {
            Step::Begun(number) if which(&calls[*number]) => now += 1,
            Step::Over(number) if which(&calls[*number]) => now -= 1,
            Step::Begun(_) | Step::Over(_) => {}
        }
        peak = peak.max(now);
    }
    peak
}
