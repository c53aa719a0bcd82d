//! Parts that this package runs itself: those that the others need, and rules that need nothing.

use anyhow::{Context as _, bail};

use super::{PARTS, Work, compile};
use crate::{
    checkout::Checkout,
    outcome::Outcome,
    setup::{debian, libtorch, python},
    tidy,
};

/// Runs the part `name`, and reports its outcome.
///
/// # Errors
/// If it fails, or isn't one of these parts.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<()> {
    let part = PARTS.iter().find(|part| part.name == name).with_context(|| format!("there is no part `{name}`"))?;
    let outcome = match part.work {
        Work::Compile => compile::all(checkout)?,
        Work::Tests => compile::run_tests(checkout, part.tested().context("a part whose name has no package")?)?,
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
        "HTTP proxy" => match debian::install(&["tinyproxy"]) {
            Ok(()) => Outcome::passed(),
            Err(reason) => Outcome::Skipped(reason),
        },
        "Chromium" => match debian::chromium() {
            Ok(()) => Outcome::passed(),
            Err(reason) => Outcome::Skipped(reason),
        },
        "tidy" => {
            tidy::run(checkout)?;
            Outcome::passed()
        }
        _ => bail!("`{name}` is on the list, and nothing is done for it"),
    })
}
