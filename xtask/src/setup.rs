//! The set-up of things that a checkout needs and cargo can't install: libtorch, Python packages, Debian packages.

pub mod debian;
pub mod libtorch;
pub mod programs;
pub mod python;
mod wheel;

use crate::checkout::Checkout;

/// Runs `cargo xtask setup`.
pub fn all(checkout: &Checkout, with_python: bool) -> anyhow::Result<()> {
    if with_python {
        let program = python::ensure(checkout)?;
        eprintln!("python: {}", program.display());
    }
    let libtorch = libtorch::ensure(checkout)?;
    eprintln!("libtorch: {} ({})", libtorch.folder.display(), libtorch.origin);
    Ok(())
}
