//! Commands of the packages in `dev`. Their program is compiled on demand, since it needs libraries that take minutes to compile.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, ExitCode},
};

use crate::{checkout::Checkout, sh};

/// The name of the program.
const PROGRAM: &str = "acceptance";

/// Returns the path where cargo puts the program.
pub fn program(checkout: &Checkout) -> PathBuf {
    checkout.target.join("release").join(PROGRAM)
}

/// Builds the program if necessary, runs `command` with `arguments` in it, and ends with its exit status.
///
/// # Errors
/// If it can't be built or started.
pub fn run(checkout: &Checkout, command: &str, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<ExitCode> {
    let mut cargo = checkout.cargo_without_libtorch();
    cargo.args(["build", "--release", "--quiet", "--package", PROGRAM]);
    sh::run(&mut cargo, sh::BUILD_LIMIT)?;
    let mut program = Command::new(program(checkout));
    program.arg(command).args(arguments);
    let status = sh::start(&mut program)?.wait()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
