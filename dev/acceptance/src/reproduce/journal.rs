//! The state of a run, read from its folder: the rounds that have ended, and how the run did.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

/// The rounds of a run that count, and its end.
#[derive(Debug, Default, PartialEq)]
pub struct History {
    /// The test accuracy and the seconds of training of each round; 0 is the initial model.
    pub rounds: BTreeMap<u32, (f64, f64)>,
    /// The end, if the run has one.
    pub end: Option<End>,
}

/// The end of a run.
#[derive(Debug, PartialEq)]
pub enum End {
    /// The run has done all of its rounds.
    Finished {
        /// The SHA-256 of the final parameters and buffers.
        parameters_sha256: String,
    },
    /// The run would fail in the same way again.
    FailedForGood {
        /// The reason.
        reason: String,
    },
}

/// The fields of `run.json` that are used here.
#[derive(Debug, Deserialize)]
pub struct Description {
    /// The version of fltk that began the run.
    pub fltk_version: String,
    /// The machine.
    pub host: Host,
}

/// The machine of a run.
#[derive(Debug, Deserialize)]
pub struct Host {
    /// The kind of processor.
    pub cpu: String,
    /// The number of cores that the program could use.
    pub cores: u32,
    /// The version of libtorch.
    pub libtorch: Option<String>,
}

/// The events of a journal that are used here; `docs/records.md` describes all of them.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Started {
        from: u32,
    },
    RoundEnded {
        round: u32,
        test: Option<Test>,
        train_seconds: f64,
    },
    Finished {
        parameters_sha256: String,
    },
    Failed {
        reason: String,
        #[serde(default)]
        for_good: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Test {
    accuracy: f64,
}

impl History {
    /// Reads the journal in the folder `run`.
    ///
    /// # Errors
    /// If it can't be read, or has a line that is no event.
    pub fn read(run: &Path) -> anyhow::Result<Self> {
        let path = run.join("journal.jsonl");
        let text = fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))?;
        Self::of(&text).with_context(|| format!("`{}` is damaged", path.display()))
    }

    fn of(journal: &str) -> anyhow::Result<Self> {
        let mut history = Self::default();
        // A last line without an end is still being written, or was torn by a kill.
        for line in journal.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            match serde_json::from_str(line)? {
                Event::Started { from } => {
                    // The records after the checkpoint are void; from the beginning on, all of them.
                    history.rounds.retain(|&round, _| from > 0 && round <= from);
                    history.end = None;
                }
                Event::RoundEnded { round, test, train_seconds } => {
                    history.rounds.insert(round, (test.map_or(f64::NAN, |test| test.accuracy), train_seconds));
                }
                Event::Finished { parameters_sha256 } => history.end = Some(End::Finished { parameters_sha256 }),
                Event::Failed { reason, for_good: true } => history.end = Some(End::FailedForGood { reason }),
                Event::Failed { .. } | Event::Other => {}
            }
        }
        Ok(history)
    }
}

/// Returns the run in the folder `runs` that was written last; there is more than one if the experiment has changed.
pub fn newest(runs: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(runs).ok()?;
    let written = |entry: fs::DirEntry| Some((fs::metadata(entry.path().join("journal.jsonl")).ok()?.modified().ok()?, entry.path()));
    entries.flatten().filter_map(written).max().map(|(_, path)| path)
}

/// Returns the description of the run in the folder `run`.
///
/// # Errors
/// If it can't be read.
pub fn description(run: &Path) -> anyhow::Result<Description> {
    let path = run.join("run.json");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` doesn't describe a run", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(round: u32, accuracy: f64) -> String {
        format!(
            r#"{{"crc":"0","seq":1,"event":"round_ended","round":{round},"test":{{"accuracy":{accuracy},"loss":"NaN"}},"train_seconds":2.5}}"#
        )
    }

    #[test]
    fn resumed_rounds_replace_void_ones() {
        let started = |from: u32| format!(r#"{{"crc":"0","seq":0,"event":"started","from":{from},"version":"0.1.0"}}"#);
        let failed = r#"{"event":"failed","reason":"lost"}"#.to_owned();
        let finished = r#"{"event":"finished","parameters_sha256":"ab","seconds":1.0}"#.to_owned();
        let trained = r#"{"event":"client_trained","round":1,"client":0}"#.to_owned();
        let lines = [started(0), round(0, 0.1), trained, round(1, 0.2), round(2, 0.3), failed, started(1), round(2, 0.4), finished];
        let history = History::of(&(lines.join("\n") + "\n")).unwrap();
        assert_eq!(history.rounds, BTreeMap::from([(0, (0.1, 2.5)), (1, (0.2, 2.5)), (2, (0.4, 2.5))]));
        assert_eq!(history.end, Some(End::Finished { parameters_sha256: "ab".to_owned() }));
        let again = History::of(&([&lines[..], &[started(0)]].concat().join("\n") + "\n")).unwrap();
        assert_eq!(again, History::default());
    }

    #[test]
    fn torn_line_is_left_out_and_a_failure_for_good_is_an_end() {
        let failed = r#"{"event":"failed","reason":"it diverged","for_good":true}"#;
        let history = History::of(&format!("{}\n{failed}\n{{\"crc\":", round(0, 0.1))).unwrap();
        assert_eq!(history.end, Some(End::FailedForGood { reason: "it diverged".to_owned() }));
        assert!(History::of("{}\n").is_err());
    }
}
