//! `cargo xtask bench cifar10`: the accuracy of Cifar10CNN after ten epochs.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::json;

use super::Output;
use crate::{checkout::Checkout, result::RunResult, setup::libtorch, sh};

const EXPERIMENT: &str = "examples/cifar10-central.yaml";

/// The accuracy below which something is wrong: the net reaches 0.75 and more.
const GOAL: f64 = 0.70;

/// The time limit: ten epochs take ten minutes on two cores.
const LIMIT: Duration = Duration::from_secs(3 * 3600);

/// Trains on the CIFAR-10 in `data` and prints the accuracy.
pub fn run(checkout: &Checkout, data: &Path, output: Output) -> anyhow::Result<()> {
    let data = data.canonicalize().with_context(|| format!("there is no `{}`", data.display()))?;
    let libtorch = libtorch::ensure(checkout)?;
    let program = checkout.build(&libtorch, &["--release"])?;
    // JSON is YAML, and quotes any characters in the path.
    let dataset = json!({ "name": "cifar10", "path": data.to_str().context("the path of the data is not UTF-8")? });
    let mut fltk = Command::new(program);
    fltk.args(["run", EXPERIMENT, "--set"]).arg(format!("tasks.0.dataset={dataset}")).args(["--output", "json"]);
    fltk.current_dir(&checkout.root).stdin(Stdio::null());
    let begin = Instant::now();
    let result = RunResult::parse(&sh::output(&mut fltk, LIMIT)?)?;
    let seconds = begin.elapsed().as_secs_f64();
    match output {
        Output::Json => {
            println!(
                "{}",
                json!({ "accuracy": result.accuracy, "goal": GOAL, "seconds": seconds, "parameters_sha256": result.parameters_sha256 })
            );
        }
        Output::Text => println!("Cifar10CNN, 10 epochs: accuracy {:.4} (goal: above {GOAL:.2}), {seconds:.0} s", result.accuracy),
    }
    anyhow::ensure!(result.accuracy > GOAL, "the accuracy {:.4} is not above {GOAL:.2}", result.accuracy);
    Ok(())
}
