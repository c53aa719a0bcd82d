//! The times of a run's rounds, out of its journal.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// An entry of a journal, as far as it is used here.
#[derive(Deserialize)]
struct Entry {
    time: Timestamp,
    event: String,
    round: Option<u32>,
    #[serde(default)]
    train_seconds: f64,
    #[serde(default)]
    test_seconds: f64,
}

/// The time from the first round to the end of the last.
pub struct Rounds {
    /// The beginning of the first round: the time of its record, less its training and its test. It is too late by what the round had to wait for.
    pub began: Timestamp,
    /// The time of the record of the last round.
    pub ended: Timestamp,
}

/// Returns the times of the only run in `runs`.
pub fn rounds(runs: &Path) -> anyhow::Result<Rounds> {
    let run = fs::read_dir(runs)?.next().context("a run without a folder")??.path();
    let journal = run.join("journal.jsonl");
    let mut rounds: Option<Rounds> = None;
    for line in BufReader::new(fs::File::open(&journal)?).lines() {
        let entry: Entry = serde_json::from_str(&line?).with_context(|| format!("`{}`", journal.display()))?;
        match &mut rounds {
            _ if entry.event != "round_ended" => {}
            Some(rounds) => rounds.ended = entry.time,
            None if entry.round == Some(1) => {
                let taken = SignedDuration::try_from_secs_f64(entry.train_seconds + entry.test_seconds)?;
                rounds = Some(Rounds { began: entry.time.checked_sub(taken)?, ended: entry.time });
            }
            None => {}
        }
    }
    rounds.with_context(|| format!("`{}` has no first round", journal.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_began_before_its_training_and_its_test() {
        let runs = tempfile::tempdir().unwrap();
        let run = runs.path().join("a-run");
        fs::create_dir(&run).unwrap();
        let ended = |round: u32| {
            let seconds = r#""train_seconds":1.25,"test_seconds":0.25"#;
            format!("{{\"time\":\"2026-11-29T09:33:0{round}.5Z\",\"event\":\"round_ended\",\"round\":{round},{seconds}}}\n")
        };
        let started = "{\"time\":\"2026-11-29T09:33:00Z\",\"event\":\"started\",\"from\":0}\n";
        fs::write(run.join("journal.jsonl"), started.to_owned() + &ended(0) + &ended(1) + &ended(2)).unwrap();
        let found = rounds(runs.path()).unwrap();
        assert_eq!((found.began, found.ended), ("2026-11-29T09:33:00Z".parse().unwrap(), "2026-11-29T09:33:02.5Z".parse().unwrap()));
        fs::write(run.join("journal.jsonl"), started.to_owned() + &ended(0)).unwrap();
        assert!(rounds(runs.path()).is_err());
    }
}
