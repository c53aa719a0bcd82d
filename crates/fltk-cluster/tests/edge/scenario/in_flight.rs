//! Which requests were being answered at the same time.

use super::{Call, Scenario};

/// A step in the life of the request of this number.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Begun(usize),
    /// It was answered, or nobody waits for that any more.
    Over(usize),
}

/// A request that is being answered, until this is dropped.
pub struct InFlight {
    scenario: Scenario,
    number: usize,
}

impl InFlight {
    /// The request of this number, which has just been made.
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

/// How many of the requests that `which` selects were under way at once, at most.
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
