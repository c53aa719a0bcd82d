//! The Helm charts, with the programs of Helm that the cluster's tools build.

use anyhow::bail;

use super::fltk;
use crate::{
    charts::{self, Helms},
    checkout::Checkout,
    cluster::{self, Helm},
    outcome::Outcome,
};

const NO_GO: &str = "there is no Go to build helm with; hint: install Go 1.26 or later";

/// Runs the part `name`.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<Outcome> {
    if !cluster::is_go_there() {
        return Ok(Outcome::Skipped(NO_GO.to_owned()));
    }
    match name {
        "Helm charts" => charts::test(checkout, helms(checkout)?).map(Outcome::Passed),
        "charts and program" => {
            xtask::generate::update(checkout, &checkout.target.join("release"), true)?;
            charts::test_with(checkout, helms(checkout)?, &fltk(checkout)).map(Outcome::Passed)
        }
        _ => bail!("`{name}` is no part of the charts"),
    }
}

/// Returns the programs of Helm, which are built if they aren't there.
pub fn helms(checkout: &Checkout) -> anyhow::Result<Helms> {
    if !cluster::is_go_there() {
        bail!(NO_GO);
    }
    Ok(Helms { three: cluster::helm(checkout, Helm::Three)?, four: cluster::helm(checkout, Helm::Four)? })
}
