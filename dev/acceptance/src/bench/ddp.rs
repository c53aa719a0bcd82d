//! `cargo xtask bench ddp`: one epoch of data-parallel training on two ranks, and all-reduce, compared with PyTorch.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::{Output, median};
use crate::{
    checkout::Checkout,
    setup::{debian, libtorch, python},
    sh,
};

/// The time limit of one measurement.
const LIMIT: Duration = Duration::from_secs(10 * 60);
const RANKS: u32 = 2;

/// The variants of training with PyTorch, and our highest allowed ratio to each.
const PEERS: [(&str, f64); 3] = [("loader", 0.50), ("memory", 0.65), ("tuned", 1.00)];
/// The highest allowed ratio of our all-reduce time to PyTorch's.
const ALL_REDUCE_GOAL: f64 = 1.05;

/// The output of one rank.
#[derive(Deserialize)]
struct Measurement {
    epoch_seconds: Option<f64>,
    all_reduce_ms: Option<BTreeMap<String, f64>>,
}

/// The output of `fltk run`, as far as it is used here.
#[derive(Deserialize)]
struct Run {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    seconds: f64,
}

/// One line of the result.
#[derive(Serialize)]
struct Line {
    what: String,
    unit: &'static str,
    fltk: f64,
    pytorch: f64,
    ratio: f64,
    goal: f64,
    met: bool,
}

/// Measures the variants in turn, repeatedly, so that other load on the machine affects all of them.
pub fn run(checkout: &Checkout, repeats: u32, output: Output) -> anyhow::Result<()> {
    debian::fashion_mnist().map_err(|reason| anyhow!(reason))?;
    let libtorch = libtorch::ensure(checkout)?;
    let bench = Bench {
        python: python::ensure(checkout)?,
        fltk: checkout.build(&libtorch, &["--release"])?,
        all_reduce: checkout.build(&libtorch, &["--release", "--package", "torch-dist", "--example", "all_reduce"])?,
        root: &checkout.root,
    };
    let (mut ours, mut peers) = (Vec::new(), PEERS.map(|_| Vec::new()));
    let (mut our_reduces, mut peer_reduces): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = <_>::default();
    for _ in 0..repeats {
        ours.push(bench.epoch()?);
        for ((peer, _), times) in PEERS.iter().zip(&mut peers) {
            times.push(bench.pytorch(peer)?.epoch_seconds.context("no time of an epoch")?);
        }
        for (all, measured) in [(&mut our_reduces, bench.all_reduce()?), (&mut peer_reduces, bench.pytorch("all-reduce")?)] {
            for (bytes, ms) in measured.all_reduce_ms.context("no times of all-reduce")? {
                all.entry(bytes.parse::<u64>()?).or_default().push(ms);
            }
        }
    }
    let fltk = median(&mut ours);
    let mut lines: Vec<Line> = PEERS
        .iter()
        .zip(&mut peers)
        .map(|(&(peer, goal), times)| line(format!("epoch, PyTorch {peer}"), "s", fltk, median(times), goal))
        .collect();
    for (bytes, mut times) in our_reduces {
        let mut peer = peer_reduces.remove(&bytes).context("the programs measure different sizes")?;
        lines.push(line(format!("all-reduce, {} MB", bytes / 1_000_000), "ms", median(&mut times), median(&mut peer), ALL_REDUCE_GOAL));
    }
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&lines)?),
        Output::Text => print!("{}", table(&lines)),
    }
    anyhow::ensure!(lines.iter().all(|line| line.met), "not every goal is met; on a machine with other work, try again");
    Ok(())
}

struct Bench<'a> {
    python: PathBuf,
    fltk: PathBuf,
    all_reduce: PathBuf,
    root: &'a Path,
}

impl Bench<'_> {
    /// Returns the seconds of the faster of two epochs.
    fn epoch(&self) -> anyhow::Result<f64> {
        let runs = tempfile::tempdir()?;
        let mut fltk = Command::new(&self.fltk);
        fltk.args(["run", "examples/fashion-ddp.yaml", "--quiet", "--output", "json", "--runs"]).arg(runs.path()).current_dir(self.root);
        for set in ["data_parallelism=2", "sync_batch_norm=false", "epochs=2"] {
            fltk.args(["--set", &format!("tasks.0.distributed.{set}")]);
        }
        fltk.args(["--set", "tasks.0.train.batch_size=64"]).stdin(Stdio::null());
        let run: Run = serde_json::from_str(&sh::output(&mut fltk, LIMIT)?).context("`fltk run` printed something else")?;
        run.steps.iter().map(|step| step.seconds).reduce(f64::min).context("a run without epochs")
    }

    fn pytorch(&self, mode: &str) -> anyhow::Result<Measurement> {
        group(|rank, port| {
            let mut command = Command::new(&self.python);
            command.args(["python/bench_ddp.py", mode, rank, &RANKS.to_string(), port]).current_dir(self.root);
            command
        })
    }

    fn all_reduce(&self) -> anyhow::Result<Measurement> {
        group(|rank, port| {
            let mut command = Command::new(&self.all_reduce);
            command.args([rank, &RANKS.to_string(), port]);
            command
        })
    }
}

/// Runs all ranks and returns the measurement of rank 0.
fn group(command: impl Fn(&str, &str) -> Command) -> anyhow::Result<Measurement> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let ranks: Vec<_> = (0..RANKS)
        .map(|rank| {
            let mut command = command(&rank.to_string(), &port);
            command.env("GLOO_SOCKET_IFNAME", "lo").stdin(Stdio::null());
            thread::spawn(move || sh::output(&mut command, LIMIT))
        })
        .collect();
    let mut texts = Vec::new();
    for rank in ranks {
        let Ok(text) = rank.join() else { bail!("the thread of a rank panicked") };
        texts.push(text?);
    }
    serde_json::from_str(&texts[0]).with_context(|| format!("a rank printed something else: {}", texts[0]))
}

fn line(what: String, unit: &'static str, fltk: f64, pytorch: f64, goal: f64) -> Line {
    let ratio = fltk / pytorch;
    Line { what, unit, fltk, pytorch, ratio, goal, met: ratio <= goal }
}

fn table(lines: &[Line]) -> String {
    let mut text = format!("{RANKS} ranks, one thread each: Fashion-MNIST, FashionMNISTCNN, 64 samples a rank; medians\n\n");
    text.push_str("                            fltk   PyTorch      ratio (goal)\n");
    for Line { what, unit, fltk, pytorch, ratio, goal, met } in lines {
        let met = if *met { "met" } else { "NOT MET" };
        text.push_str(&format!("{what:<22} {fltk:>9.2} {pytorch:>9.2} {unit:<2}  {ratio:.2} ({goal:.2})  {met}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goal_is_met_up_to_its_ratio() {
        assert!(line("a".into(), "s", 1.0, 2.0, 0.5).met);
        assert!(!line("a".into(), "s", 1.1, 2.0, 0.5).met);
        let text = table(&[line("all-reduce, 1 MB".into(), "ms", 1.0, 2.0, 0.5)]);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("all-reduce") && line.ends_with("0.50 (0.50)  met")), "{text}");
    }
}
