//! Parts that this package runs itself: those that the others need, and rules that need nothing.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::{PARTS, Work, compile};
use crate::{
    checkout::Checkout,
    outcome::Outcome,
    setup::{debian, libtorch, python},
    sh, tidy,
};

/// Runs the part `name`, and reports its outcome.
///
/// # Errors
/// If it fails, or isn't one of these parts.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<()> {
    let part = PARTS.iter().find(|part| part.name == name).with_context(|| format!("there is no part `{name}`"))?;
    let outcome = match part.work {
        Work::Compile => compile::all(checkout)?,
        Work::Tests(package) => compile::run_tests(checkout, package)?,
        Work::Own => own(checkout, name)?,
        Work::Cargo(_) | Work::Acceptance => bail!("`{name}` is none of the parts that xtask does itself"),
    };
    outcome.tell()
}

fn own(checkout: &Checkout, name: &str) -> anyhow::Result<Outcome> {
    Ok(match name {
        "libtorch" => Outcome::Passed(libtorch::ensure(checkout)?.origin),
        "Python packages" => match python::ensure(checkout) {
            Ok(_) => Outcome::passed(),
            Err(error) => Outcome::Skipped(format!("{error:#}")),
        },
        "Fashion-MNIST in full" => match debian::fashion_mnist() {
            Ok(()) => Outcome::passed(),
            Err(reason) => Outcome::Skipped(reason),
        },
        "tidy" => {
            tidy::run(checkout)?;
            Outcome::passed()
        }
        "torch-dist with NCCL" => nccl(checkout)?,
        _ => bail!("`{name}` is on the list, and nothing is done for it"),
    })
}

/// Compiles against the headers of CUDA and NCCL among PyTorch's packages. Running the result takes a GPU.
fn nccl(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let python = python::existing(checkout)?.context("there are no Python packages")?;
    let mut find = Command::new(python);
    find.args(["-c", "import nvidia.nccl as nccl; print(list(nccl.__path__)[0])"]);
    let nccl = PathBuf::from(sh::quiet_output(&mut find, sh::LOOKUP_LIMIT)?.trim());
    let packages = nccl.parent().context("NCCL lies nowhere")?;
    let cuda =
        fs::read_dir(packages)?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.join("include/cuda_runtime.h").exists());
    let cuda = cuda.with_context(|| format!("no headers of CUDA in `{}`", packages.display()))?;
    let mut cargo = checkout.cargo(&libtorch::ensure(checkout)?);
    cargo.args(["clippy", "--release", "--package", "torch-dist", "--features", "nccl", "--all-targets", "--", "-D", "warnings"]);
    cargo.env("CUDA_HOME", cuda).env("NCCL_HOME", nccl).stdin(Stdio::null());
    sh::run(&mut cargo, sh::BUILD_LIMIT)?;
    Ok(Outcome::Passed("compiles; its tests need a GPU and were not run".to_owned()))
}
