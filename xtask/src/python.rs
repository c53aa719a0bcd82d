//! `cargo xtask python`: the wheels of the Python package and of the program, and an archive of the program for people who have no Python.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;

use crate::{
    checkout::Checkout,
    demo,
    setup::{libtorch, python},
    sh,
};

/// The script that builds them.
const SCRIPT: &str = "python/build_wheels.py";

/// The time limit for building them: the archive is compressed on one core, which takes a minute.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The time limit for a run of one round with what was installed.
const RUN_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The settings of that run, which make the demo's experiment short.
const SETTINGS: [&str; 2] = ["tasks.0.federated.rounds=1", "tasks.0.federated.clients=10"];

/// The script that trains with the package, and compares the bits of all runs in the folder.
const SAME_BITS: &str = "\
import sys, fltk
file, out, *settings = sys.argv[1:]
runs = fltk.run(file, set={path: int(value) for path, value in (setting.split('=') for setting in settings)}, out=out).runs
found = {run.name: run.parameters_sha256 for run in fltk.records.read(out).runs}
if len(runs) != 1 or len(found) < 2 or len(set(found.values())) != 1 or None in found.values():
    sys.exit(f'the runs differ: {found}')";

const EXAMPLES: &str = "\
The wheels are `fltk`, which is Python alone, and `fltk_program`, which carries the program and takes libtorch from the package `torch`.

Examples:
  cargo xtask python                           # target/python/*.whl and *.tar.gz
  pip install target/python/fltk-*.whl target/python/fltk_program-*.whl
  cargo xtask python --no-archive --install    # tries them in an empty environment, with all that they depend on";

/// The options of `cargo xtask python`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The folder for what is built (default: `python` in the target folder).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out the archive of the program and its libraries (150 MB).
    #[arg(long)]
    no_archive: bool,
    /// Also install both wheels, with everything that they depend on (2.5 GB to download), into an empty environment, and train a round with them.
    #[arg(long)]
    install: bool,
}

/// Builds the programs and the wheels, and prints the paths of what was made.
///
/// # Errors
/// If one of them can't be built, or what is installed doesn't work.
pub fn run(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<()> {
    python::with_pip()?;
    let program = checkout.build(&libtorch::ensure(checkout)?, &["--release"])?;
    let programs = program.parent().context("a program without a folder")?;
    let out = arguments.out.clone().unwrap_or_else(|| checkout.target.join("python"));
    let built = build(checkout, programs, &out, !arguments.no_archive)?;
    for path in &built {
        println!("{}", path.display());
    }
    if arguments.install { install(checkout, &built) } else { Ok(()) }
}

/// Builds the wheels, and the archive too if `archive`, from the programs in a folder; returns their paths.
///
/// # Errors
/// If they can't be built.
pub fn build(checkout: &Checkout, programs: &Path, out: &Path, archive: bool) -> anyhow::Result<Vec<PathBuf>> {
    // The environment of the tests has what builds wheels; without it pip gets that.
    let python = python::existing(checkout)?.unwrap_or_else(|| "python3".into());
    let mut script = Command::new(python);
    script.arg(SCRIPT).arg("--programs").arg(programs).arg("--out").arg(out);
    for path in checkout.machine_paths() {
        script.arg("--forget").arg(path);
    }
    if archive {
        script.arg("--tar");
    }
    let printed = sh::output(script.current_dir(&checkout.root).stdin(Stdio::null()), LIMIT)?;
    Ok(printed.lines().map(PathBuf::from).collect())
}

/// Installs the wheels among `built` into an empty environment, and trains a round from the command line and from Python.
fn install(checkout: &Checkout, built: &[PathBuf]) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let environment = work.path().join("environment");
    sh::run(Command::new("python3").args(["-m", "venv"]).arg(&environment), sh::INSTALL_LIMIT)?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--quiet"]).stdin(Stdio::null());
    pip.args(built.iter().filter(|path| path.extension().is_some_and(|extension| extension == "whl")));
    sh::run(&mut pip, sh::INSTALL_LIMIT)?;
    try_out(checkout, &environment, &work.path().join("runs"))
}

/// Trains a round with what is installed in an environment: with the command `fltk`, and with `fltk.run`. All runs in the folder `runs` must end with the same
/// bits.
///
/// # Errors
/// If they don't, or a run fails.
pub fn try_out(checkout: &Checkout, environment: &Path, runs: &Path) -> anyhow::Result<()> {
    train(checkout, &environment.join("bin/fltk"), runs)?;
    let mut python = Command::new(environment.join("bin/python"));
    python.args(["-c", SAME_BITS, demo::EXPERIMENT]).arg(runs).args(SETTINGS);
    alone(checkout, &mut python)
}

/// Trains a round with a program.
///
/// # Errors
/// If it fails.
pub fn train(checkout: &Checkout, program: &Path, runs: &Path) -> anyhow::Result<()> {
    let mut fltk = Command::new(program);
    fltk.args(["run", demo::EXPERIMENT, "--runs"]).arg(runs).args(SETTINGS.iter().flat_map(|setting| ["--set", setting]));
    alone(checkout, &mut fltk)
}

/// Runs a command that finds no program and no libtorch but those that it brings.
fn alone(checkout: &Checkout, command: &mut Command) -> anyhow::Result<()> {
    command.env_remove("FLTK_PROGRAM").env_remove("LD_LIBRARY_PATH").env("PATH", "/usr/bin:/bin");
    sh::run(command.current_dir(&checkout.root).stdin(Stdio::null()), RUN_LIMIT)
}
