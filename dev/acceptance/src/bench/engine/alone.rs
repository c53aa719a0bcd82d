//! What no peer has, or what is measured without one: a million clients, the time to the first round, and a round beyond its training.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use jiff::Timestamp;
use serde::Deserialize;

use super::contestants::{Contestant, Contestants, Measurement};
use crate::{
    bench::{goal::Goal, journal, measured::LIMIT, median},
    sh,
};

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

/// Measures all of it, and returns the goals. `rounds` is the example of this name.
pub fn measure(contestants: &Contestants, rounds: &Path, repeats: u32) -> anyhow::Result<Vec<Goal>> {
    let (million, million_start) = million(contestants)?;
    let many = |one: &dyn Fn() -> anyhow::Result<f64>| -> anyhow::Result<f64> {
        Ok(median(&mut (0..repeats.max(1)).map(|_| one()).collect::<anyhow::Result<Vec<_>>>()?))
    };
    Ok(vec![
        Goal::at_most("a million clients: memory, MB", million.memory_mb, MILLION_MEMORY_MB),
        Goal::at_most("a million clients: command to first round, s", million_start, MILLION_START_SECONDS),
        Goal::at_most("quickstart: command to first round, s", many(&|| first_round_seconds(contestants))?, FIRST_ROUND_SECONDS),
        Goal::at_most("100 clients, dummy: a round, processor ms", many(&|| round_ms(rounds))?, ROUND_MS),
    ])
}

/// Returns what a run with a million clients took, and the time to its first round. It is measured once: it takes half a minute, and is far from its goals.
fn million(contestants: &Contestants) -> anyhow::Result<(Measurement, f64)> {
    let runs = tempfile::tempdir()?;
    let began = Timestamp::now();
    let taken = contestants.run(Contestant::Fltk, contestants.fltk_run(&contestants.root.join(MILLION), runs.path()))?;
    Ok((taken, journal::rounds(runs.path())?.began.duration_since(began).as_secs_f64()))
}

/// Returns the time from the command of the quickstart to the beginning of its first round, by the clock of this machine.
fn first_round_seconds(contestants: &Contestants) -> anyhow::Result<f64> {
    let runs = tempfile::tempdir()?;
    let mut command = Command::new(&contestants.fltk);
    command.arg("run").arg(contestants.root.join(QUICKSTART)).args(["--quiet", "--runs"]).arg(runs.path()).stdin(Stdio::null());
    let began = Timestamp::now();
    sh::output(&mut command, LIMIT)?;
    Ok(journal::rounds(runs.path())?.began.duration_since(began).as_secs_f64())
}

fn round_ms(rounds: &Path) -> anyhow::Result<f64> {
    let text = sh::output(Command::new(rounds).stdin(Stdio::null()), LIMIT)?;
    Ok(serde_json::from_str::<Rounds>(&text)?.round_ms)
}
