//! `cargo xtask advisories`: lists the libraries in `Cargo.lock` that have known defects or are unmaintained, according to the RustSec database. This is not a
//! check of `test`: the answer changes from day to day without a change of ours, and needs the internet.

use std::process::{Command, Stdio};

use anyhow::bail;

use crate::{checkout::Checkout, sh};

/// Runs `cargo deny`, which downloads the database.
pub fn run(checkout: &Checkout) -> anyhow::Result<()> {
    if !sh::is_there("cargo-deny") {
        bail!("there is no `cargo-deny`\nhint: `cargo install --locked cargo-deny`");
    }
    let mut deny = Command::new("cargo");
    deny.args(["deny", "--all-features", "check", "advisories"]).current_dir(&checkout.root).stdin(Stdio::null());
    sh::run(&mut deny, sh::INSTALL_LIMIT)
}
