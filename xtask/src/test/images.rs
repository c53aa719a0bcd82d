//! The images: the same inputs give the same digests, and what is in them runs as it would in a cluster.

mod podman;

use std::path::Path;

use anyhow::ensure;

use self::podman::Podman;
use super::report::{Outcome, Report};
use crate::{
    checkout::Checkout,
    image::{self, Inputs, Kind},
    setup::debian,
};

/// All of it. `fashion_mnist` says why the full data set, which is in the image for training, is not here, if it isn't.
pub fn run(checkout: &Checkout, report: &mut Report, program: &Path, fashion_mnist: &Result<(), String>) {
    const TITLE: &str = "images";
    if !debian::is_root() {
        return report.skip(TITLE, "images are built and run as root");
    }
    if let Err(reason) = debian::install(&["buildah", "podman", "patchelf"]) {
        return report.skip(TITLE, &reason);
    }
    match fashion_mnist {
        Ok(()) => report.part("the image for training, built twice, runs", || training(checkout, program)),
        Err(reason) => report.skip("the image for training", reason),
    }
    report.part("the image of TensorBoard runs", || tensorboard(checkout));
}

fn training(checkout: &Checkout, program: &Path) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let data = work.path().join("data");
    std::fs::create_dir(&data)?;
    std::fs::write(data.join("own.txt"), "of one's own")?;
    let inputs = Inputs { program: Some(program), data: Some(&data) };
    let archives = ["first.tar", "second.tar"].map(|name| work.path().join(name));
    let first = image::build(checkout, Kind::Training, inputs, &archives[0])?;
    let second = image::build(checkout, Kind::Training, inputs, &archives[1])?;
    ensure!(first == second, "the same inputs gave two images: {first:?} and {second:?}");
    std::fs::remove_file(&archives[1])?;
    let podman = Podman::load(work.path(), &archives[0])?;
    let said = podman.run(Kind::Training.name(), &["--version"])?;
    ensure!(said.starts_with("fltk "), "the program says `{said}`");
    // All of Fashion-MNIST, which is read and compared with its digests.
    podman.run(Kind::Training.name(), &["data", "verify", "fashion-mnist"])?;
    Ok(Outcome::Passed(format!("{:.0} MB, sha256:{:.12}", first.size() as f64 / 1e6, first.digest)))
}

fn tensorboard(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let archive = work.path().join("tensorboard.tar");
    let contents = image::build(checkout, Kind::Tensorboard, Inputs::default(), &archive)?;
    let podman = Podman::load(work.path(), &archive)?;
    let version = podman.run(Kind::Tensorboard.name(), &["--version"])?;
    ensure!(version.starts_with("2."), "TensorBoard says `{version}`");
    Ok(Outcome::Passed(format!("{:.0} MB, TensorBoard {}", contents.size() as f64 / 1e6, version.trim())))
}
