//! `cargo xtask demo`: from a fresh checkout to a trained model on real data.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{checkout::Checkout, setup::libtorch, sh};

/// The demo's experiment, relative to the root: federated, on real data that is embedded in the program.
pub const EXPERIMENT: &str = "examples/quickstart.yaml";

/// The time limit: ten times the demo's duration on a slow machine.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Features of both programs that the demo doesn't use are left out, since they take minutes to compile. Plain `cargo build --release`
/// includes them.
const BUILD: [&str; 6] = ["--release", "--package", "fltk", "--package", "fltk-torch", "--no-default-features"];

/// Sets up, builds, runs, and suggests what to try next.
///
/// # Errors
/// If one of these steps fails.
pub fn run(checkout: &Checkout) -> anyhow::Result<()> {
    step(1, "libtorch: where it isn't on this machine, a download of 540 MB");
    let libtorch = libtorch::ensure(checkout)?;
    eprintln!("      it is in {} ({})", libtorch.folder.display(), libtorch.origin);
    step(2, "the program: three minutes on two cores where nothing is compiled yet; on a terminal cargo shows how far it is");
    let program = checkout.build(&libtorch, &BUILD)?;
    step(3, "training: half a minute, of which the program shows every round");
    let runs = checkout.root.join("runs");
    let before = folders(&runs);
    sh::run(Command::new(&program).current_dir(&checkout.root).args(["run", EXPERIMENT, "--runs", "runs"]), LIMIT)?;
    let fltk = program.strip_prefix(&checkout.root).unwrap_or(&program).display();
    println!();
    for run in folders(&runs).difference(&before) {
        let run = run.strip_prefix(&checkout.root).unwrap_or(run).display();
        println!("The run's records are in {run}: settings, journal, metrics.csv, checkpoints, TensorBoard events.\n");
        println!("Try next:");
        println!("  {fltk} runs show {run}");
    }
    println!("  {fltk} run {EXPERIMENT} --seed 7 --set tasks.0.federated.clients_per_round=10");
    println!("  {fltk} data show fashion-mnist-mini --partition '{{type: dirichlet, alpha: 0.1}}' --clients 10");
    println!("  {fltk} nets list");
    println!("  cargo build --release     # adds Kubernetes and HTTP, which the demo needs not");
    println!("  cargo xtask test");
    Ok(())
}

fn step(number: usize, what: &str) {
    eprintln!("[{number}/3] {what}");
}

/// Returns the folders in `runs`; none if it doesn't exist yet.
fn folders(runs: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
