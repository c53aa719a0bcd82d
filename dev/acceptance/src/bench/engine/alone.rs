//! What no peer has, or what is measured without one: a million clients, the time to the first round, and a round beyond its training.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Goal,
    contestants::{Contestant, Contestants, LIMIT},
    goal,
};
use crate::{bench::median, sh};

/// SCAFFOLD with a million clients, whose samples are made when they train.
const MILLION: &str = "examples/million-clients.yaml";
const QUICKSTART: &str = "examples/quickstart.yaml";

/// The goals: memory in MB, times in seconds and, for a round, in milliseconds of processor time.
const MILLION_MEMORY_MB: f64 = 500.0;
const MILLION_START_SECONDS: f64 = 5.0;
const FIRST_ROUND_SECONDS: f64 = 0.4;
const ROUND_MS: f64 = 1.0;

/// The output of the example `rounds` of `fltk-torch`.
#[derive(Deserialize)]
struct Rounds {
    round_ms: f64,
}

/// An entry of a journal, as far as it is used here.
#[derive(Deserialize)]
struct Entry {
    time: Timestamp,
    event: String,
}

/// Measures all of it, and returns the goals. `rounds` is the example of this name.
pub fn measure(contestants: &Contestants, rounds: &Path, repeats: u32) -> anyhow::Result<Vec<Goal>> {
    let million = contestants.run(Contestant::Fltk, contestants.fltk_run(&contestants.root.join(MILLION)))?;
    let many = |one: &dyn Fn() -> anyhow::Result<f64>| -> anyhow::Result<f64> {
        Ok(median(&mut (0..repeats.max(1)).map(|_| one()).collect::<anyhow::Result<Vec<_>>>()?))
    };
    Ok(vec![
        goal("a million clients: memory, MB".to_owned(), million.memory_mb, MILLION_MEMORY_MB),
        // The end of the command is in it too.
        goal("a million clients: start, s".to_owned(), million.wall_seconds - million.rounds_seconds, MILLION_START_SECONDS),
        goal("quickstart: command to first round, s".to_owned(), many(&|| first_round_seconds(contestants))?, FIRST_ROUND_SECONDS),
        goal("100 clients, dummy: a round, processor ms".to_owned(), many(&|| round_ms(rounds))?, ROUND_MS),
    ])
}

/// Returns the time from the command of the quickstart to the beginning of its rounds, by the clock of this machine.
fn first_round_seconds(contestants: &Contestants) -> anyhow::Result<f64> {
    let runs = tempfile::tempdir()?;
    let mut command = Command::new(&contestants.fltk);
    command.arg("run").arg(contestants.root.join(QUICKSTART)).args(["--quiet", "--runs"]).arg(runs.path()).stdin(Stdio::null());
    let began = Timestamp::now();
    sh::output(&mut command, LIMIT)?;
    let run = fs::read_dir(runs.path())?.next().context("a run without a folder")??.path();
    Ok(started(&run.join("journal.jsonl"))?.duration_since(began).as_secs_f64())
}

/// Returns the time of the journal's first entry, with which the rounds begin.
fn started(journal: &Path) -> anyhow::Result<Timestamp> {
    let mut line = String::new();
    BufReader::new(fs::File::open(journal)?).read_line(&mut line)?;
    let entry: Entry = serde_json::from_str(&line).with_context(|| format!("`{}`", journal.display()))?;
    anyhow::ensure!(entry.event == "started", "`{}` begins with `{}`", journal.display(), entry.event);
    Ok(entry.time)
}

fn round_ms(rounds: &Path) -> anyhow::Result<f64> {
    let text = sh::output(Command::new(rounds).stdin(Stdio::null()), LIMIT)?;
    Ok(serde_json::from_str::<Rounds>(&text)?.round_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rounds_begin_with_the_first_entry() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.jsonl");
        let entry = |event: &str| format!("{{\"crc\":\"0\",\"seq\":0,\"time\":\"2026-11-29T09:33:00.5Z\",\"event\":\"{event}\"}}\n");
        fs::write(&journal, entry("started") + &entry("ended")).unwrap();
        assert_eq!(started(&journal).unwrap().as_millisecond(), 1_795_944_780_500);
        fs::write(&journal, entry("ended")).unwrap();
        assert!(started(&journal).is_err());
    }
}
