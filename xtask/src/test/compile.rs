//! Compiling all programs, tests and examples at once, and running the tests of one package from that. For a single package, cargo itself would
//! choose other features than for all, and compile half of the dependencies again.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use cargo_metadata::Message;
use serde::{Deserialize, Serialize};

use crate::{
    checkout::Checkout,
    outcome::Outcome,
    setup::{libtorch, python},
    sh,
};

/// The time limit for all tests of a package.
const TESTS_LIMIT: std::time::Duration = std::time::Duration::from_secs(40 * 60);

/// An executable that contains tests.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Executable {
    package: String,
    /// The target in the package: its library, a program, or a file of tests.
    target: String,
    path: PathBuf,
}

fn list(checkout: &Checkout) -> PathBuf {
    checkout.target.join("xtask-test-executables.json")
}

/// Compiles everything in the workspace, and records where its tests are.
///
/// # Errors
/// If something doesn't compile.
pub fn all(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let mut cargo = checkout.cargo(&libtorch::ensure(checkout)?);
    cargo.args(["test", "--release", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]).stdin(Stdio::null());
    let mut executables = Vec::new();
    for message in Message::parse_stream(sh::output(&mut cargo, sh::BUILD_LIMIT)?.as_bytes()) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        let Some(path) = artifact.executable.filter(|_| artifact.profile.test) else { continue };
        // The package ID has the form `path+file:///...#name@0.1.0`, or `...#0.1.0` if the folder has the name, so the manifest's path is
        // easier to use.
        let package =
            artifact.manifest_path.parent().context("a manifest without a folder")?.file_name().context("a package without a name")?;
        executables.push(Executable { package: package.to_owned(), target: artifact.target.name.clone(), path: path.into() });
    }
    ensure!(!executables.is_empty(), "cargo compiled no tests");
    let num = executables.len();
    fs::write(list(checkout), serde_json::to_string_pretty(&executables)?)?;
    Ok(Outcome::Passed(format!("{num} programs of tests")))
}

/// Runs all compiled tests of `package`, even if some fail.
///
/// # Errors
/// If one fails, or none were compiled.
pub fn run_tests(checkout: &Checkout, package: &str) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(list(checkout)).context("nothing was compiled\nhint: the part `compile` does")?;
    let all: Vec<Executable> = serde_json::from_str(&text)?;
    let metadata = checkout.metadata_of_ours()?;
    let found = metadata.workspace_packages().into_iter().find(|found| found.name == package);
    let found = found.with_context(|| format!("there is no package `{package}`"))?;
    let folder = found.manifest_path.parent().context("a manifest without a folder")?;
    let python = python::existing(checkout)?;
    let mut failed = Vec::new();
    let ours: Vec<&Executable> = all.iter().filter(|executable| executable.package == package).collect();
    ensure!(!ours.is_empty(), "no tests of `{package}` were compiled");
    for executable in &ours {
        eprintln!("--- {}", executable.target);
        let mut command = Command::new(&executable.path);
        // cargo does the same.
        command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder).env("CARGO_PKG_NAME", package).stdin(Stdio::null());
        command.env("CARGO_PKG_VERSION", found.version.to_string()).env("CARGO_PKG_VERSION_MAJOR", found.version.major.to_string());
        command.arg("--quiet");
        match &python {
            Some(python) => command.env("FLTK_PYTHON", python),
            None => command.env_remove("FLTK_PYTHON"),
        };
        if let Err(error) = sh::run(&mut command, TESTS_LIMIT) {
            eprintln!("{error:#}");
            failed.push(executable.target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("tests failed in {}", failed.join(", "));
    }
    Ok(Outcome::passed())
}

/// Removes our packages' build outputs from another checkout in a shared target folder, but keeps those of their dependencies: this checkout can use
/// only the latter, and the folder would grow by the former with every checkout.
///
/// # Errors
/// If cargo fails.
pub fn forget_others(checkout: &Checkout) -> anyhow::Result<()> {
    if !checkout.target_is_shared() {
        return Ok(());
    }
    let owner = checkout.target.join("xtask-checkout");
    let root = checkout.root.to_str().context("the checkout's path is not UTF-8")?;
    if fs::read_to_string(&owner).is_ok_and(|last| last != root) {
        let mut cargo = checkout.cargo_without_libtorch();
        cargo.args(["clean", "--quiet", "--profile", "release"]).stdin(Stdio::null());
        // This program is running, and cargo has just compiled it.
        for package in checkout.metadata_of_ours()?.workspace_packages().iter().filter(|package| package.name != "xtask") {
            cargo.args(["--package", package.name.as_str()]);
        }
        sh::run(&mut cargo, sh::INSTALL_LIMIT)?;
    }
    fs::write(&owner, root).with_context(|| format!("can't write `{}`", owner.display()))
}
