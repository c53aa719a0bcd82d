//! The content of a screen, as plain data. All texts in it can be shown by a terminal.

use fltk_core::terminal;
use fltk_records::history::Status;

use super::grid::Grid;

/// The kind of record that is watched.
#[derive(Clone, Debug)]
pub enum View {
    /// One run.
    Run(Box<RunView>),
    /// A stream of jobs.
    Stream(Box<StreamView>),
}

/// One run.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The name of its folder.
    pub name: String,
    /// Its task, net, data set and seed.
    pub about: String,
    /// Its status.
    pub status: Status,
    /// The reason why it failed, if it did.
    pub failure: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// Its last figures, the most important first.
    pub figures: Vec<(String, String)>,
    /// Its curves, the most important first.
    pub charts: Vec<Chart>,
    /// Its tables, each with its title: the last steps first.
    pub tables: Vec<(&'static str, Grid)>,
    /// The clients that were selected and didn't count, in words; empty if there are none.
    pub absences: String,
}

/// A stream of jobs.
#[derive(Clone, Debug)]
pub struct StreamView {
    /// The name of its folder.
    pub name: String,
    /// Its experiment, and the replication that is running.
    pub about: String,
    /// Its status: running while an orchestrator is.
    pub status: Status,
    /// How far it is.
    pub progress: Progress,
    /// The number of jobs in each state that has some.
    pub states: Vec<(&'static str, usize)>,
    /// When the next job arrives, in words; empty if none will.
    pub next: String,
    /// Its curves: waiting and running jobs over time, and the accuracy of running jobs.
    pub charts: Vec<Chart>,
    /// Its jobs that have arrived: those that run, those that wait, those that are over, the last first.
    pub jobs: Vec<JobView>,
    /// The table of its jobs, one row for each.
    pub table: Grid,
}

/// A job of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: String,
    /// A sentence about it: why it waits, where it runs, or how it ended.
    pub words: String,
}

/// How far something is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The work that is done, and of how much, such as `round 12 of 50`.
    pub words: String,
    /// The part that is done, `0..=1`; `None` if it isn't known.
    pub part: Option<f64>,
    /// The rate, in words; empty if it isn't known.
    pub rate: String,
    /// The seconds that are left; `None` if they aren't known, or nothing is.
    pub left: Option<f64>,
    /// The seconds since it began, until it ended.
    pub elapsed: f64,
    /// The seconds since something was last recorded, while it runs.
    pub quiet: Option<f64>,
}

/// Curves in one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// The curves.
    pub curves: Vec<Curve>,
    /// The quantity on its horizontal axis.
    pub along: Along,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name; empty if it is the only one.
    pub name: String,
    /// Its points, ascending in their first coordinate, all finite.
    pub points: Vec<(f64, f64)>,
}

/// The quantity on a horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Steps of this name.
    Steps(&'static str),
    /// Seconds.
    Seconds,
}

/// The limit on characters of a text from elsewhere, so that no name fills a screen.
const CHARS_MAX: usize = 400;

/// Returns `text`, which may come from anywhere, as one line that a terminal shows as it is.
pub fn shown(text: &str) -> String {
    let cut: String = text.chars().take(CHARS_MAX).collect();
    terminal::plain(&cut.replace(['\n', '\t'], " ")).into_owned()
}

/// The limit on points of a curve: several for each column of a wide terminal.
const POINTS_MAX: usize = 2000;

impl Curve {
    /// Creates a curve of the finite points, thinned evenly if there are many.
    pub fn new(name: impl Into<String>, points: impl Iterator<Item = (f64, f64)>) -> Self {
        let points: Vec<(f64, f64)> = points.filter(|(along, value)| along.is_finite() && value.is_finite()).collect();
        let stride = points.len().div_ceil(POINTS_MAX).max(1);
        let last = points.len().saturating_sub(1);
        let kept = points.into_iter().enumerate().filter(|(at, _)| at % stride == 0 || *at == last);
        Self { name: name.into(), points: kept.map(|(_, point)| point).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_elsewhere_are_one_plain_line() {
        assert_eq!(shown("a\nb\t\u{1b}[2J\u{202e}"), "a b \\u{1b}[2J\\u{202e}");
        assert_eq!(shown(&"x".repeat(1000)).len(), CHARS_MAX);
    }

    #[test]
    fn curves_keep_their_last_point() {
        let curve = Curve::new("", (0..5001).map(|at| (f64::from(at), if at == 7 { f64::NAN } else { 0.5 })));
        assert!(curve.points.len() <= POINTS_MAX + 1, "{}", curve.points.len());
        assert_eq!((curve.points[0], curve.points[curve.points.len() - 1]), ((0.0, 0.5), (5000.0, 0.5)));
    }
}
