//! `cargo xtask python`: the wheels of the Python package and of the program, and an archive of the program for people who have no Python.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
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
    /// Leave out the archive of the program and its libraries (170 MB).
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

/// Trains a round with what is installed in an environment: with the command `fltk`, and with `fltk.run`, which must find the same program and give the same
/// bits.
///
/// # Errors
/// If it doesn't.
pub fn try_out(checkout: &Checkout, environment: &Path, runs: &Path) -> anyhow::Result<()> {
    let set = ["tasks.0.federated.rounds=1", "tasks.0.federated.clients=10"];
    let mut fltk = Command::new(environment.join("bin/fltk"));
    fltk.args(["run", demo::EXPERIMENT, "--set", set[0], "--set", set[1], "--runs"]).arg(runs);
    let mut python = Command::new(environment.join("bin/python"));
    let script = "import sys, fltk; r = fltk.run(sys.argv[1], set=dict((k, int(v)) for k, v in (a.split('=') for a in sys.argv[3:])), out=sys.argv[2]); \
                  d = {run.parameters_sha256 for run in fltk.records.read(sys.argv[2]).runs}; assert len(r.runs) == 1 and len(d) == 1 and None not in d, d";
    python.args(["-c", script, demo::EXPERIMENT]).arg(runs).args(set);
    for command in [&mut fltk, &mut python] {
        // No other program, and no libtorch but the environment's.
        command.env_remove("FLTK").env_remove("LD_LIBRARY_PATH").env("PATH", "/usr/bin:/bin");
        sh::run(command.current_dir(&checkout.root).stdin(Stdio::null()), RUN_LIMIT)?;
    }
    ensure!(runs.is_dir(), "there are no runs in `{}`", runs.display());
    Ok(())
}
