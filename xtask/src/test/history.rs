//! The durations of parts in the last runs, which are used to estimate the remaining time, and are shown by `--times`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Part, Work, report::End, table};
use crate::checkout::Checkout;

/// The number of runs that are kept.
const RUNS_MAX: usize = 10;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The start, in Unix seconds.
    pub began: u64,
    /// The duration of the whole run, in seconds.
    pub seconds: f64,
    /// True if the run was with `--cluster`.
    pub cluster: bool,
    /// The outcome of each part.
    pub parts: BTreeMap<String, Ended>,
}

/// The outcome of a part, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It passed in so many seconds.
    Seconds(f64),
    /// It failed.
    Failed,
    /// It was skipped.
    Skipped,
}

impl Ended {
    /// Returns what is kept of an outcome.
    pub fn of(end: &End, took: Duration) -> Self {
        match end {
            End::Passed(_) => Self::Seconds(took.as_secs_f64()),
            End::Failed(_) => Self::Failed,
            End::Skipped(_) => Self::Skipped,
        }
    }
}

/// The last runs, with the oldest first.
#[derive(Default)]
pub struct History {
    path: PathBuf,
    runs: Vec<Run>,
}

impl History {
    /// Reads the history in the target folder.
    ///
    /// # Errors
    /// If there is a file that can't be read. A damaged file is replaced by an empty history, since nothing depends on it.
    pub fn read(checkout: &Checkout) -> anyhow::Result<Self> {
        let path = checkout.target.join("xtask-test-times.json");
        let runs = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("can't read `{}`", path.display())),
        };
        Ok(Self { path, runs })
    }

    /// Adds `run`, and keeps only the last runs.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn add(&self, run: Run) -> anyhow::Result<()> {
        let mut runs = self.runs.clone();
        runs.push(run);
        runs.drain(..runs.len().saturating_sub(RUNS_MAX));
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_string_pretty(&runs)?).with_context(|| format!("can't write `{}`", new.display()))?;
        fs::rename(&new, &self.path).with_context(|| format!("can't write `{}`", self.path.display()))
    }

    /// Returns the expected seconds of `part`: as measured here, otherwise as in the table of proofs.
    pub fn expected(&self, part: &Part) -> f64 {
        self.measured(part).unwrap_or_else(|| table::seconds(part.name))
    }

    /// Returns the median of the part's last three passes here. For a part that compiles, this is the last time that it had something to
    /// do.
    pub fn measured(&self, part: &Part) -> Option<f64> {
        let seconds = |run: &Run| if let Some(Ended::Seconds(seconds)) = run.parts.get(part.name) { Some(*seconds) } else { None };
        let mut last: Vec<f64> = self.runs.iter().rev().filter_map(seconds).collect();
        if matches!(part.work, Work::Cargo(_) | Work::Compile) {
            let longest = last.iter().copied().fold(0.0, f64::max);
            return last.into_iter().find(|seconds| *seconds >= longest / 10.0);
        }
        last.truncate(3);
        last.sort_by(f64::total_cmp);
        // With two values, the shorter is used: the first run here has built and downloaded things.
        last.get(last.len().saturating_sub(1) / 2).copied()
    }

    /// Returns a table with a row for each part and a column for each run.
    pub fn table(&self) -> String {
        if self.runs.is_empty() {
            return "no run was kept yet\n".to_owned();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let (mut text, width) = (String::new(), super::PARTS.iter().map(|part| part.name.chars().count()).max().unwrap_or(0));
        // Writing to a string can't fail.
        let mut row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
            let _ = write!(text, "{name:<width$}");
            for cell in cells {
                let _ = write!(text, " {cell:>8}");
            }
            text.push('\n');
        };
        row("hours ago", &mut self.runs.iter().map(|run| format!("{:.1}", now.saturating_sub(run.began) as f64 / 3600.0)));
        row("command", &mut self.runs.iter().map(|run| if run.cluster { "cluster" } else { "checks" }.to_owned()));
        for part in super::PARTS {
            let cell = |run: &Run| match run.parts.get(part.name) {
                Some(Ended::Seconds(seconds)) => format!("{seconds:.1}"),
                Some(Ended::Failed) => "failed".to_owned(),
                Some(Ended::Skipped) => "skipped".to_owned(),
                None => "-".to_owned(),
            };
            row(part.name, &mut self.runs.iter().map(cell));
        }
        row("all, in seconds", &mut self.runs.iter().map(|run| format!("{:.0}", run.seconds)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(began: u64, seconds: f64) -> Run {
        let ends = [("tidy", Ended::Seconds(seconds)), ("compile", Ended::Seconds(seconds)), ("format", Ended::Failed)];
        Run { began, seconds, cluster: false, parts: ends.map(|(name, end)| (name.to_owned(), end)).into() }
    }

    #[test]
    fn last_ten_durations_are_kept_and_the_median_of_three_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let checkout = Checkout { root: "/r".into(), target: folder.path().to_owned(), cache: "/c".into() };
        let named = |name| super::super::PARTS.iter().find(|part| part.name == name).unwrap();
        let tidy = named("tidy");
        assert_eq!(History::read(&checkout).unwrap().expected(tidy), table::seconds("tidy"));
        for seconds in [90.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 100.0, 9.0, 10.0] {
            History::read(&checkout).unwrap().add(run(1, seconds)).unwrap();
        }
        let history = History::read(&checkout).unwrap();
        assert_eq!((history.runs.len(), history.runs[0].seconds), (10, 2.0));
        assert_eq!((history.expected(tidy), history.expected(named("compile"))), (10.0, 10.0));
        history.add(run(1, 0.5)).unwrap();
        assert_eq!(History::read(&checkout).unwrap().expected(named("compile")), 10.0, "there was nothing to compile");
        let table = history.table();
        assert!(table.lines().any(|line| line.starts_with("format") && line.ends_with("failed")), "{table}");
        fs::write(&history.path, "{").unwrap();
        assert_eq!(History::read(&checkout).unwrap().table(), "no run was kept yet\n");
    }
}
