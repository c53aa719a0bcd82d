//! The schedule of parts: a pure function of the finished and running parts. A simulation of it estimates how long all parts will take.

use std::{collections::BTreeMap, time::Duration};

use super::{
    part::{After, Part, Resource},
    report::End,
};

/// The state of each part so far, by its position in the list.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The running parts.
    pub running: Vec<usize>,
    /// The finished parts, with the time that each took.
    pub over: BTreeMap<usize, (End, Duration)>,
}

/// The next action.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Start the part.
    Start(usize),
    /// Skip the part, since one that it needs has not passed.
    Skip(usize, &'static str),
    /// Start nothing before a part ends; if none is running, all are over.
    Wait,
}

/// The parts to run, and the machine.
pub struct Schedule<'a> {
    parts: &'a [&'a Part],
    cores: u32,
    /// For each part, the least possible seconds from its start to the end of all that come after it.
    ahead: Vec<f64>,
    seconds: Vec<f64>,
}

impl<'a> Schedule<'a> {
    /// Makes a schedule for `parts` on `cores` processors, if each part takes `seconds`.
    pub fn new(parts: &'a [&'a Part], cores: u32, seconds: Vec<f64>) -> Self {
        let mut ahead = seconds.clone();
        // The list is in an order in which all parts may run one after another; a test ensures this.
        for at in (0..parts.len()).rev() {
            let later = (at + 1..parts.len()).filter(|&later| parts[later].after.iter().any(|after| after.name() == Some(parts[at].name)));
            ahead[at] = seconds[at] + later.map(|later| ahead[later]).fold(0.0, f64::max);
        }
        Self { parts, cores, ahead, seconds }
    }

    /// Returns the expected seconds of the part at `at`.
    pub fn seconds_of(&self, at: usize) -> f64 {
        self.seconds[at]
    }

    /// Returns the next action in `state`. Among the parts that could start, it takes the one with the most time ahead of it.
    pub fn next(&self, state: &State) -> Next {
        let mut best: Option<usize> = None;
        for at in 0..self.parts.len() {
            if state.running.contains(&at) || state.over.contains_key(&at) {
                continue;
            }
            match self.is_ready(at, state) {
                Readiness::Waits => {}
                Readiness::Never(needed) => return Next::Skip(at, needed),
                Readiness::Ready if self.fits(at, state) => {
                    if best.is_none_or(|best| self.ahead[at] > self.ahead[best]) {
                        best = Some(at);
                    }
                }
                Readiness::Ready => {}
            }
        }
        best.map_or(Next::Wait, Next::Start)
    }

    fn is_ready(&self, at: usize, state: &State) -> Readiness {
        let mut readiness = Readiness::Ready;
        for after in self.parts[at].after {
            if *after == After::AllOthers && state.over.len() + 1 < self.parts.len() {
                readiness = Readiness::Waits;
            }
            // A part that isn't on the list was run before.
            let Some(needed) = self.parts.iter().position(|part| after.name() == Some(part.name)) else { continue };
            match (state.over.get(&needed), after) {
                (None, _) => readiness = Readiness::Waits,
                (Some((End::Failed(_) | End::Skipped(_), _)), After::Passed(name)) => return Readiness::Never(name),
                (Some(_), _) => {}
            }
        }
        readiness
    }

    fn fits(&self, at: usize, state: &State) -> bool {
        let load = |at: usize| self.parts[at].load;
        let uses = |at: usize, resource| load(at).uses.contains(&resource);
        if !state.running.is_empty() && (uses(at, Resource::Quiet) || state.running.iter().any(|&other| uses(other, Resource::Quiet))) {
            return false;
        }
        let is_free = |resource: &Resource| !state.running.iter().any(|&other| uses(other, *resource));
        let busy: u32 = state.running.iter().map(|&other| load(other).cores.min(self.cores)).sum();
        load(at).uses.iter().all(is_free) && busy + load(at).cores.min(self.cores) <= self.cores
    }

    /// Returns the seconds until all is over, if from now on every part takes its expected time; `gone` gives the seconds that each running
    /// part has already taken.
    pub fn left(&self, state: &State, gone: &dyn Fn(usize) -> f64) -> f64 {
        let mut state = state.clone();
        let mut ends: Vec<(usize, f64)> = state.running.iter().map(|&at| (at, (self.seconds[at] - gone(at)).max(0.0))).collect();
        let mut now = 0.0;
        loop {
            match self.next(&state) {
                Next::Start(at) => {
                    state.running.push(at);
                    ends.push((at, now + self.seconds[at]));
                }
                Next::Skip(at, _) => drop(state.over.insert(at, (End::Skipped(String::new()), Duration::ZERO))),
                Next::Wait => {
                    let Some(first) = (0..ends.len()).min_by(|&a, &b| ends[a].1.total_cmp(&ends[b].1)) else { return now };
                    let (at, end) = ends.swap_remove(first);
                    now = end;
                    state.running.retain(|&other| other != at);
                    state.over.insert(at, (End::Passed(String::new()), Duration::ZERO));
                }
            }
        }
    }
}

enum Readiness {
    Ready,
    Waits,
    /// The part can never run, since this one has not passed.
    Never(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::part::{Load, Stage, Touched, Work};

    const fn part(name: &'static str, after: &'static [After], load: Load) -> Part {
        Part { name, proves: "", stage: Stage::Checks, after, work: Work::Own, load, touched: Touched::Always }
    }

    const COMPILE: Part = part("compile", &[], Load::cores(u32::MAX).using(&[Resource::Cargo]));
    const DOWNLOAD: Part = part("download", &[], Load::cores(0));
    const WAITS: Part = part("waits", &[After::Passed("compile")], Load::cores(0));
    const ONE: Part = part("one", &[After::Passed("compile")], Load::cores(1));
    const TWO: Part = part("two", &[After::Passed("compile"), After::Over("download")], Load::cores(2));
    const ALONE: Part = part("alone", &[After::Passed("compile")], Load::cores(0).using(&[Resource::Quiet]));

    const LAST: Part = part("last", &[After::AllOthers], Load::cores(0));

    /// Returns what is started and ended in which order, and the estimate at the beginning, if the part `failed` fails.
    fn order(parts: &[&Part], cores: u32, failed: &str) -> (Vec<String>, f64) {
        let end = |name: &str| if name == failed { End::Failed(String::new()) } else { End::Passed(String::new()) };
        let schedule = Schedule::new(parts, cores, vec![10.0; parts.len()]);
        let (mut state, mut said) = (State::default(), Vec::new());
        let left = schedule.left(&state, &|_| 0.0);
        loop {
            match schedule.next(&state) {
                Next::Start(at) => {
                    said.push(format!("+{}", parts[at].name));
                    state.running.push(at);
                }
                Next::Skip(at, needed) => {
                    said.push(format!("{} needs {needed}", parts[at].name));
                    state.over.insert(at, (End::Skipped(String::new()), Duration::ZERO));
                }
                Next::Wait if state.running.is_empty() => return (said, left),
                Next::Wait => {
                    let at = state.running.remove(0);
                    said.push(format!("-{}", parts[at].name));
                    state.over.insert(at, (end(parts[at].name), Duration::ZERO));
                }
            }
        }
    }

    #[test]
    fn waiting_parts_run_concurrently_with_computing_ones() {
        let (said, left) = order(&[&COMPILE, &DOWNLOAD, &WAITS, &ONE, &TWO], 2, "");
        assert_eq!(
            said,
            ["+compile", "+download", "-compile", "+waits", "+one", "-download", "-waits", "-one", "+two", "-two"],
            "the one that begins later needs both cores"
        );
        assert_eq!(left, 30.0);
        // On a machine with one core, all cores are one.
        assert_eq!(order(&[&TWO], 1, "").1, 10.0);
    }

    #[test]
    fn quiet_parts_run_alone() {
        let (said, left) = order(&[&DOWNLOAD, &ALONE, &WAITS, &ONE], 2, "");
        let at = |what: &str| said.iter().position(|said| said == what).unwrap();
        assert_eq!(at("-alone"), at("+alone") + 1, "{said:?}");
        assert_eq!(left, 20.0);
    }

    #[test]
    fn part_with_a_failed_need_is_skipped_and_a_later_part_runs() {
        let (said, _) = order(&[&COMPILE, &DOWNLOAD, &ONE, &TWO], 2, "compile");
        assert_eq!(said, ["+compile", "+download", "-compile", "one needs compile", "two needs compile", "-download"]);
        let (said, _) = order(&[&COMPILE, &DOWNLOAD, &TWO], 2, "download");
        assert_eq!(said.last().unwrap(), "-two");
        let (said, _) = order(&[&COMPILE, &LAST, &ONE], 2, "compile");
        assert_eq!(said, ["+compile", "-compile", "one needs compile", "+last", "-last"]);
    }

    #[test]
    fn elapsed_time_is_not_counted_as_remaining() {
        let parts = [&COMPILE, &ONE];
        let schedule = Schedule::new(&parts, 2, vec![10.0, 5.0]);
        let state = State { running: vec![0], over: BTreeMap::new() };
        assert_eq!(schedule.left(&state, &|_| 4.0), 11.0);
        // The part takes longer than expected, and the rest is unknown.
        assert_eq!(schedule.left(&state, &|_| 40.0), 5.0);
    }
}
