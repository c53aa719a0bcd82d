//! Commands of the package `checks`, which is compiled on demand, since it needs libraries that take minutes to compile.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, ExitCode},
};

use crate::{checkout::Checkout, sh};

/// The name of the program.
const CHECKS: &str = "checks";

/// Returns the path where cargo puts the program.
pub fn program(checkout: &Checkout) -> PathBuf {
    checkout.target.join("release").join(CHECKS)
}

/// Builds the program if necessary, runs `command` with `arguments` in it, and ends with its exit status.
///
/// # Errors
/// If it can't be built or started.
pub fn run(checkout: &Checkout, command: &str, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<ExitCode> {
    let mut cargo = checkout.cargo_without_libtorch();
    cargo.args(["build", "--release", "--quiet", "--package", CHECKS]);
    sh::run(&mut cargo, sh::BUILD_LIMIT)?;
    let mut checks = Command::new(program(checkout));
    checks.arg(command).args(arguments);
    let status = sh::start(&mut checks)?.wait()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
