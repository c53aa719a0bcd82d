//! `cargo xtask advisories`: which libraries in `Cargo.lock` have known faults, or are kept by nobody, by the database of RustSec. Not a check of `test`: the answer changes with
//! the day, without a change of ours, and it is asked of the internet.

use std::process::{Command, Stdio};

use anyhow::bail;

use crate::{checkout::Checkout, sh};

/// Asks `cargo deny`, which gets the database.
pub fn run(checkout: &Checkout) -> anyhow::Result<()> {
    if !sh::is_there("cargo-deny") {
        bail!("there is no `cargo-deny`\nhint: `cargo install --locked cargo-deny`");
    }
    let mut deny = Command::new("cargo");
    deny.args(["deny", "--all-features", "check", "advisories"]).current_dir(&checkout.root).stdin(Stdio::null());
    sh::run(&mut deny, sh::INSTALL_LIMIT)
}
