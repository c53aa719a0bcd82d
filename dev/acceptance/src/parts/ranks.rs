//! One process group of a rank in Rust (the example of `torch-dist`) and one in plain PyTorch: both must end with the same parameters.

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

/// Trains two ranks in Rust, then one in each language, both ways round.
pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let program = python::existing(checkout)?.context("there are no Python packages")?;
    let example = checkout.target.join("release/examples/ddp");
    let rust = || Command::new(&example);
    let python = || {
        let mut command = Command::new(&program);
        command.arg(checkout.root.join("python/ddp_rank.py"));
        command
    };
    let digests = [pair([rust(), rust()])?, pair([rust(), python()])?, pair([python(), rust()])?];
    Ok(Outcome::Passed(format!("parameters {}", digests.join(", "))))
}

/// Runs the two ranks of a group and returns the start of the digest with which both end.
fn pair(mut commands: [Command; 2]) -> anyhow::Result<String> {
    // The port is freed before rank 0 takes it. If another program takes it in between, rank 0 reports that.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    for (rank, command) in commands.iter_mut().enumerate() {
        command.args([&rank.to_string(), "2", "127.0.0.1", &port.to_string()]).env("GLOO_SOCKET_IFNAME", "lo").stdin(Stdio::null());
    }
    let ranks = commands.map(|mut command| thread::spawn(move || sh::output(&mut command, PAIR_LIMIT)));
    let mut digests = Vec::new();
    for rank in ranks {
        let Ok(output) = rank.join() else { bail!("the thread of a rank panicked") };
        let output = output?;
        let digest = output.lines().last().and_then(|line| Some(line.split_once("parameters sha256 ")?.1.to_owned()));
        digests.push(digest.filter(|digest| digest.len() == 64).with_context(|| format!("a rank ended without a digest: {output}"))?);
    }
    ensure!(digests[0] == digests[1], "the ranks' parameters differ: {} and {}", digests[0], digests[1]);
    Ok(digests[0][..12].to_owned())
}
