//! Process groups of a rank in Rust (an example of `torch-dist`) and one in plain PyTorch: both must end with the same parameters, or sums.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use crate::{checkout::Checkout, outcome::Outcome, setup::python, sh};

/// The time limit for one pair of ranks: they train for a second, and Python takes some seconds to start.
const PAIR_LIMIT: Duration = Duration::from_secs(120);

/// Trains two ranks in Rust in one group, then one in each language, both ways round; and does the same with ranks that have two groups.
pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let program = python::existing(checkout)?.context("there are no Python packages")?;
    let rust = |name: &str| Command::new(checkout.target.join("release/examples").join(name));
    let python = |name: &str| {
        let mut command = Command::new(&program);
        command.arg(checkout.root.join(format!("python/{name}_rank.py")));
        command
    };
    let pairs = |name: &str, result: &str| -> anyhow::Result<[String; 3]> {
        let (rust, python) = (|| rust(name), || python(name));
        Ok([pair([rust(), rust()], result)?, pair([rust(), python()], result)?, pair([python(), rust()], result)?])
    };
    let digests = pairs("ddp", " parameters sha256 ")?;
    ensure!(digests.iter().all(|digest| digest.len() == 64), "no digests: {}", digests.join(", "));
    let sums = pairs("groups", " sums ")?;
    ensure!(sums.iter().all(|sums| sums == "2.0 3"), "the sums are wrong: {}", sums.join(", "));
    Ok(Outcome::Passed(format!("parameters {}", digests.map(|digest| digest[..12].to_owned()).join(", "))))
}

/// Runs the two ranks of a group, and returns the text after `result` in the last line of both.
fn pair(mut commands: [Command; 2], result: &str) -> anyhow::Result<String> {
    // The port is freed before rank 0 takes it. If another program takes it in between, rank 0 reports that.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    for (rank, command) in commands.iter_mut().enumerate() {
        command.args([&rank.to_string(), "2", "127.0.0.1", &port.to_string()]).env("GLOO_SOCKET_IFNAME", "lo").stdin(Stdio::null());
    }
    let ranks = commands.map(|mut command| thread::spawn(move || sh::output(&mut command, PAIR_LIMIT)));
    let mut results = Vec::new();
    for rank in ranks {
        let Ok(output) = rank.join() else { bail!("the thread of a rank panicked") };
        let output = output?;
        let found = output.lines().last().and_then(|line| Some(line.split_once(result)?.1.to_owned()));
        results.push(found.with_context(|| format!("a rank ended without `{}`: {output}", result.trim()))?);
    }
    ensure!(results[0] == results[1], "the ranks'{result}differ: {} and {}", results[0], results[1]);
    Ok(results.swap_remove(0))
}
