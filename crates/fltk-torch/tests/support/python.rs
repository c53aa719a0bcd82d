//! The Python of the tests, and commands that find the package of this checkout.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Output},
};

use crate::common::{fltk, repository};

/// Returns the Python of the tests; `None` if there is none and that is allowed.
pub fn python() -> Option<OsString> {
    let python = std::env::var_os("FLTK_PYTHON");
    if python.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "FLTK_PYTHON is not set, and with CI=true this test may not be skipped");
        eprintln!("skipped: FLTK_PYTHON is not set; `cargo xtask test` sets it to a Python with PyTorch");
    }
    python
}

/// Returns the paths in which Python finds the package, and whatever the caller gives.
pub fn packages() -> OsString {
    let mut paths = vec![repository().join("python/fltk/src")];
    paths.extend(std::env::var_os("PYTHONPATH").iter().flat_map(std::env::split_paths));
    std::env::join_paths(paths).unwrap()
}

/// Returns a command of the program, whose Python finds the package.
pub fn command(at: &Path, args: &[&str]) -> Command {
    let mut command = fltk(at);
    command.args(args).env("PYTHONPATH", packages());
    command
}

/// Runs such a command to its end.
pub fn run(at: &Path, args: &[&str]) -> Output {
    command(at, args).output().unwrap()
}

/// Returns the messages of a command.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
