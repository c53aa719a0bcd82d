//! The comparison of every net with the installed PyTorch.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;

use super::fltk;
use crate::{checkout::Checkout, outcome::Outcome, setup::python, sh};

/// The time limit for all nets, which take about two minutes.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs the comparison.
pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let mut parity = Command::new(python::existing(checkout)?.context("there are no Python packages")?);
    parity.arg("python/parity.py").arg("--live").arg(fltk(checkout)).current_dir(&checkout.root).stdin(Stdio::null());
    sh::run(&mut parity, LIMIT).map(|()| Outcome::passed())
}
