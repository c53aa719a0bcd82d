//! The images: the same inputs give the same digests, and what is in them runs as it would in a cluster.

mod cuda;
mod podman;

use std::path::{Path, PathBuf};

use anyhow::ensure;

use self::podman::Podman;
use super::report::{Outcome, Report};
use crate::{
    checkout::Checkout,
    image::{self, Contents, Inputs, Kind},
    setup::debian,
};

/// All of it. `python` and `fashion_mnist` say why PyTorch's libraries for CUDA, and the full data set, which are in images, are not here, if they aren't.
pub fn run(checkout: &Checkout, report: &mut Report, program: &Path, python: &Result<PathBuf, String>, fashion_mnist: &Result<(), String>) {
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
    report.part("the orchestrator's image, built twice, runs", || orchestrator(checkout));
    report.part("the image of TensorBoard, built twice, runs", || tensorboard(checkout));
    match python.as_ref().and(fashion_mnist.as_ref()) {
        Ok(()) => report.part("the image with CUDA trains without a GPU", || cuda::run(checkout, program)),
        Err(reason) => report.skip("the image with CUDA", reason),
    }
}

fn training(checkout: &Checkout, program: &Path) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let data = work.path().join("data");
    std::fs::create_dir(&data)?;
    std::fs::write(data.join("own.txt"), "of one's own")?;
    let (contents, podman) = built_twice(checkout, Kind::Training, Inputs { program: Some(program), data: Some(&data) }, work.path())?;
    says_its_name(&podman)?;
    // By the program with libtorch.
    podman.run(&["nets", "list"])?;
    // All of Fashion-MNIST, which is read and compared with its digests.
    podman.run(&["data", "verify", "fashion-mnist"])?;
    Ok(Outcome::Passed(described(&contents)))
}

/// Its program is that of the image for training.
fn orchestrator(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let program = image::program(checkout, Kind::Orchestrator, None)?;
    let (contents, podman) = built_twice(checkout, Kind::Orchestrator, Inputs { program: program.as_deref(), data: None }, work.path())?;
    says_its_name(&podman)?;
    Ok(Outcome::Passed(described(&contents)))
}

fn tensorboard(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let (contents, podman) = built_twice(checkout, Kind::Tensorboard, Inputs::default(), work.path())?;
    let version = podman.run(&["--version"])?;
    ensure!(version.starts_with("2."), "TensorBoard says `{version}`");
    Ok(Outcome::Passed(format!("{}, TensorBoard {}", described(&contents), version.trim())))
}

/// Builds an image twice in `work`, and loads it. `Err` if the two differ.
fn built_twice(checkout: &Checkout, kind: Kind, inputs: Inputs<'_>, work: &Path) -> anyhow::Result<(Contents, Podman)> {
    let [first, second] = ["first.tar", "second.tar"].map(|name| work.join(name));
    let contents = image::build(checkout, kind, inputs, &first)?;
    let again = image::build(checkout, kind, inputs, &second)?;
    ensure!(contents == again, "the same inputs gave two images: {contents:?} and {again:?}");
    std::fs::remove_file(&second)?;
    Ok((contents, Podman::load(work, kind, &first)?))
}

fn says_its_name(podman: &Podman) -> anyhow::Result<()> {
    let said = podman.run(&["--version"])?;
    ensure!(said.starts_with("fltk "), "the program says `{said}`");
    Ok(())
}

fn described(contents: &Contents) -> String {
    format!("{:.0} MB, sha256:{:.12}", contents.size() as f64 / 1e6, contents.digest)
}
