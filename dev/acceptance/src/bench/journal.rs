//! The times of a run's rounds, out of its journal.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// An entry of a journal, as far as it is used here.
#[derive(Deserialize)]
struct Entry {
    time: Timestamp,
    event: String,
    round: Option<u32>,
    virtual_seconds: Option<f64>,
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
    let entries = entries(runs)?;
    let (Some(first), Some(last)) = (entries.iter().find(|entry| entry.round == Some(1)), entries.last()) else {
        bail!("`{}` has a journal without a first round", runs.display());
    };
    let taken = SignedDuration::try_from_secs_f64(first.train_seconds + first.test_seconds)?;
    Ok(Rounds { began: first.time.checked_sub(taken)?, ended: last.time })
}

/// Returns the time of the record of the initial model's test, in the only run in `runs`.
pub fn first_test(runs: &Path) -> anyhow::Result<Timestamp> {
    let entries = entries(runs)?;
    Ok(entries.iter().find(|entry| entry.round == Some(0)).context("a journal without a first test")?.time)
}

/// Returns the ends of the rounds of the only run in `runs`, from the first on, before their tests.
pub fn ends(runs: &Path) -> anyhow::Result<Vec<Timestamp>> {
    let entries = entries(runs)?;
    let trained = entries.iter().filter(|entry| entry.round > Some(0));
    trained.map(|entry| Ok(entry.time.checked_sub(SignedDuration::try_from_secs_f64(entry.test_seconds)?)?)).collect()
}

/// The times from the end of the first round to that of the last but one.
pub struct Spans {
    /// The time on the wall clock.
    pub wall_seconds: f64,
    /// The simulated time, if the run has one.
    pub simulated_seconds: Option<f64>,
}

/// Returns these times of the only run in `runs`.
pub fn spans(runs: &Path) -> anyhow::Result<Spans> {
    let entries: Vec<Entry> = entries(runs)?.into_iter().filter(|entry| entry.round > Some(0)).collect();
    let [first, .., last, _] = &entries[..] else {
        bail!("`{}` has a journal of fewer than three rounds", runs.display());
    };
    let simulated_seconds = last.virtual_seconds.zip(first.virtual_seconds).map(|(last, first)| last - first);
    Ok(Spans { wall_seconds: last.time.duration_since(first.time).as_secs_f64(), simulated_seconds })
}

/// Returns the records of rounds.
fn entries(runs: &Path) -> anyhow::Result<Vec<Entry>> {
    let run = fs::read_dir(runs)?.next().context("a run without a folder")??.path();
    let journal = run.join("journal.jsonl");
    let mut entries = Vec::new();
    for line in BufReader::new(fs::File::open(&journal)?).lines() {
        let entry: Entry = serde_json::from_str(&line?).with_context(|| format!("`{}`", journal.display()))?;
        if entry.event == "round_ended" {
            entries.push(entry);
        }
    }
    Ok(entries)
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
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        assert_eq!(ends(runs.path()).unwrap(), [at("2026-11-29T09:33:01.25Z"), at("2026-11-29T09:33:02.25Z")]);
        fs::write(run.join("journal.jsonl"), started.to_owned() + &ended(0)).unwrap();
        assert!(rounds(runs.path()).is_err());
    }
}
