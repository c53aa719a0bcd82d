//! The work of the parts of `cargo xtask test` that this package does. The list of parts, and their order, are in xtask.

mod acceptance;
mod charts;
mod cluster;
mod images;
mod nccl;
mod package;
pub mod page;
mod parity;
mod ranks;
mod reproduction;

use std::path::PathBuf;

use anyhow::bail;

pub use self::{charts::helms, cluster::test_losses};
use crate::{checkout::Checkout, outcome::Outcome};

/// Runs the part `name`.
///
/// # Errors
/// If it fails, or isn't one of these parts.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<Outcome> {
    match name {
        "a Rust and a Python rank in one group" => ranks::run(checkout),
        "torch-dist with NCCL" => nccl::run(checkout),
        "parity with PyTorch" => parity::run(checkout),
        "Helm charts" | "charts and program" => charts::run(checkout, name),
        "quickstart" | "accuracy of central training" | "accuracy of federated training" | "accuracy of four ranks" => {
            acceptance::run(checkout, name)
        }
        "the Python package" | "wheels" => package::run(checkout, name),
        "published tables" => reproduction::run(checkout),
        "the page in a browser" => page::run(checkout),
        "image training" | "image orchestrator" | "image tensorboard" | "image cuda" => images::run(checkout, name),
        _ if is_listed(name) => cluster::run(checkout, name),
        _ => bail!("there is no part `{name}` here"),
    }
}

/// Returns the program under test, as built by `cargo xtask test`.
fn fltk(checkout: &Checkout) -> PathBuf {
    checkout.target.join("release/fltk")
}

fn is_listed(name: &str) -> bool {
    xtask::test::PARTS.iter().any(|part| part.name == name && part.work == xtask::test::Work::Acceptance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This checks only that the sources name each part: running them is the task of `cargo xtask test`.
    #[test]
    fn listed_parts_are_known() {
        let source = [include_str!("parts.rs"), include_str!("parts/cluster.rs")].concat();
        for part in xtask::test::PARTS.iter().filter(|part| part.work == xtask::test::Work::Acceptance) {
            assert!(source.contains(&format!("\"{}\"", part.name)), "`{}` is on the list, and nothing is done for it", part.name);
        }
        assert!(run(&Checkout { root: "/r".into(), target: "/t".into(), cache: "/c".into() }, "no such part").is_err());
    }
}
