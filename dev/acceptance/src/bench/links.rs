//! `cargo xtask bench links`: a run of two minutes whose links are simulated, and the same run over two node processes that impose them. Both have to last as long.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::{Output, goal::Goal, journal, measured::LIMIT};
use crate::{checkout::Checkout, setup::libtorch, sh};

/// The clients of a round, each of which has a worker of its own.
const CLIENTS: &str = "6";

/// The largest and smallest allowed time on the wall clock, of the simulated one.
const OF_SIMULATED_MAX: f64 = 1.1;
const OF_SIMULATED_MIN: f64 = 0.9;

/// The experiment. Its training takes hundredths of a second; links differ much between clients.
const EXPERIMENT: &str = "name: bench-links
seeds: [1]
tasks:
  - kind: federated
    network: LeNet5
    dataset: fashion-mnist-mini
    train: { batch_size: 32, optimizer: { type: SGD, learning_rate: 0.05 } }
    checkpoint_every: ROUNDS
    federated:
      clients: 30
      clients_per_round: 6
      rounds: ROUNDS
      steps_per_round: 1
      evaluate_every: ROUNDS
      nodes: NODES
      simulation:
        CLOCK
        devices: { type: constant, ms_per_sample: 0.01 }
        network: { type: lognormal, median_up_mbit: 1, median_down_mbit: 4, sigma: 0.5, latency_ms: 50 }
";

/// The measured times.
#[derive(Serialize)]
struct Figures {
    rounds: u32,
    simulated_seconds: f64,
    imposed_seconds: f64,
    ratio: f64,
    same_parameters: bool,
}

/// Runs both, and prints their times from the end of the first round to that of the last but one, which is before the only test.
pub fn run(checkout: &Checkout, rounds: u32, output: Output) -> anyhow::Result<()> {
    let libtorch = libtorch::ensure(checkout)?;
    let fltk = checkout.build(&libtorch, &["--release"])?;
    let measure = |clock: &str, nodes: u32| -> anyhow::Result<(journal::Spans, String)> {
        let (folder, runs) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let file = folder.path().join("experiment.yaml");
        let text = EXPERIMENT.replace("ROUNDS", &rounds.to_string()).replace("NODES", &nodes.to_string()).replace("CLOCK", clock);
        fs::write(&file, text)?;
        let mut command = Command::new(&fltk);
        command.arg("run").arg(&file).args(["--workers", CLIENTS, "--output", "json", "--runs"]).arg(runs.path()).stdin(Stdio::null());
        let result: serde_json::Value = serde_json::from_str(&sh::output(&mut command, LIMIT)?).context("fltk printed something else")?;
        let digest = result["parameters_sha256"].as_str().context("a run without parameters")?.to_owned();
        Ok((journal::spans(runs.path())?, digest))
    };
    let (simulated, expected) = measure("clock: virtual", 0)?;
    let (imposed, digest) = measure("clock: wall\n        impose_links: true", 2)?;
    let simulated_seconds = simulated.simulated_seconds.context("a run whose time isn't simulated")?;
    let imposed_seconds = imposed.wall_seconds;
    let ratio = imposed_seconds / simulated_seconds;
    let figures = Figures { rounds, simulated_seconds, imposed_seconds, ratio, same_parameters: digest == expected };
    let goals = [
        Goal::at_most("imposed links: time, of simulated", ratio, OF_SIMULATED_MAX),
        Goal::at_least("imposed links: time, of simulated", ratio, OF_SIMULATED_MIN),
    ];
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "links": figures, "goals": goals }))?),
        Output::Text => {
            println!(
                "{rounds} rounds of six clients, LeNet5, log-normal links: simulated {simulated_seconds:.1} s, imposed on two nodes {imposed_seconds:.1} s"
            );
            goals.iter().for_each(|goal| println!("{goal}"));
        }
    }
    ensure!(figures.same_parameters, "the final parameters differ: {expected} with simulated links, {digest} with imposed ones");
    ensure!(goals.iter().all(|goal| goal.met), "not every goal is met; if the machine has other work, try again without it");
    Ok(())
}
