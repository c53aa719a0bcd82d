//! Groups over NCCL, which only machines with GPUs can run.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::{
    checkout::Checkout,
    outcome::Outcome,
    setup::{libtorch, python},
    sh,
};

/// Compiles against the headers of CUDA and NCCL among PyTorch's packages. Running the result takes a GPU.
pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
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
