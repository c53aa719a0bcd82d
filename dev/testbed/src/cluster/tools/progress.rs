//! The progress of a build with Go, for the person who waits: a changing line on a terminal, an occasional line in a log.

use std::{
    collections::BTreeSet,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// The time between two lines: short enough to show movement, long enough for a log.
const PAUSE_ON_TERMINAL: Duration = Duration::from_millis(500);
const PAUSE_IN_LOG: Duration = Duration::from_secs(15);

/// The percentage below which the remaining time can't be estimated.
const PERCENT_MIN: usize = 5;

/// A build of one module after another.
pub struct Progress {
    /// The packages of all modules, one for each time that it is compiled: modules share packages of the same version.
    packages: BTreeSet<String>,
    /// The paths of these packages, by which Go names them.
    paths: BTreeSet<String>,
    /// The number of packages up to the end of each module that isn't built yet, starting with the next one.
    ends: std::collections::VecDeque<usize>,
    done: usize,
    begin: Instant,
    said: Option<Instant>,
    is_terminal: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            packages: BTreeSet::new(),
            paths: BTreeSet::new(),
            ends: std::collections::VecDeque::new(),
            done: 0,
            begin: Instant::now(),
            said: None,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }
}

impl Progress {
    /// Adds a module, to be built after the earlier ones: its packages, each as its path followed by text that distinguishes its versions.
    pub fn expect(&mut self, packages: &[String]) {
        self.packages.extend(packages.iter().cloned());
        self.paths.extend(packages.iter().filter_map(|package| package.split(' ').next()).map(str::to_owned));
        self.ends.push_back(self.packages.len());
        self.begin = Instant::now();
    }

    /// Processes a line of Go's output; shows it unless it names a package.
    pub fn see(&mut self, line: &str) {
        if !self.paths.contains(line) {
            self.clear();
            eprintln!("{line}");
            return;
        }
        self.done += 1;
        let pause = if self.is_terminal { PAUSE_ON_TERMINAL } else { PAUSE_IN_LOG };
        if self.said.is_none_or(|said| said.elapsed() >= pause) {
            self.say();
        }
    }

    /// Records that a module is built: packages that Go didn't compile were in its cache.
    pub fn finish_module(&mut self) {
        self.done = self.ends.pop_front().unwrap_or(self.done);
        self.say();
        if self.ends.is_empty() {
            self.end_line();
        }
    }

    fn say(&mut self) {
        self.said = Some(Instant::now());
        let text = text(self.done, self.packages.len(), self.begin.elapsed());
        self.clear();
        if self.is_terminal {
            eprint!("{text}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
    }

    /// Clears the last output, if the terminal allows that.
    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }

    fn end_line(&self) {
        if self.is_terminal {
            eprintln!();
        }
    }
}

fn text(done: usize, all: usize, elapsed: Duration) -> String {
    // Go may compile one package more than we know.
    let done = done.min(all);
    let percent = (100 * done).checked_div(all).unwrap_or(100);
    let left = if done == all || percent < PERCENT_MIN {
        String::new()
    } else {
        format!(", about {} left", minutes(elapsed.mul_f64((all - done) as f64 / done as f64)))
    };
    format!("  {done} of {all} packages ({percent} %) after {}{left}", minutes(elapsed))
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_is_estimated_when_possible() {
        let check = |done, seconds, expected: &str| assert_eq!(text(done, 200, Duration::from_secs(seconds)), expected);
        check(0, 0, "  0 of 200 packages (0 %) after 0:00 min");
        check(9, 10, "  9 of 200 packages (4 %) after 0:10 min");
        check(50, 61, "  50 of 200 packages (25 %) after 1:01 min, about 3:03 min left");
        check(200, 200, "  200 of 200 packages (100 %) after 3:20 min");
        check(201, 200, "  200 of 200 packages (100 %) after 3:20 min");
    }

    #[test]
    fn packages_count_once_per_version() {
        let module = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let mut progress = Progress::default();
        progress.expect(&module(&["fmt ", "a/b a v1", "a/c a v1"]));
        progress.expect(&module(&["fmt ", "a/b a v2", "a/c a v1"]));
        assert_eq!(progress.packages.len(), 4);
        // Go doesn't name packages that are already in its cache.
        ["a/b", "go: a warning"].iter().for_each(|line| progress.see(line));
        assert_eq!(progress.done, 1);
        progress.finish_module();
        assert_eq!(progress.done, 3);
        progress.see("a/b");
        progress.finish_module();
        assert_eq!(progress.done, 4);
    }
}
