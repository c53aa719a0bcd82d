//! The images: the same inputs give the same digests, and their programs run as they would in a cluster.

mod cuda;
mod podman;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

use self::podman::Podman;
use super::fltk;
use crate::{
    checkout::Checkout,
    image::{self, Contents, Inputs, Kind},
    outcome::Outcome,
    setup::debian,
};

/// Runs the part `name`.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<Outcome> {
    if !debian::is_root() {
        return Ok(Outcome::Skipped("images are built and run as root".to_owned()));
    }
    if let Err(reason) = debian::install(&["buildah", "podman", "patchelf"]) {
        return Ok(Outcome::Skipped(reason));
    }
    match name {
        "image training" => training(checkout),
        "image orchestrator" => orchestrator(checkout),
        "image tensorboard" => tensorboard(checkout),
        "image cuda" => cuda::run(checkout, &fltk(checkout)),
        _ => bail!("`{name}` is no image"),
    }
}

fn training(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let (contents, podman) = built(checkout, Kind::Training, work.path())?;
    says_its_name(&podman)?;
    // This reads all of Fashion-MNIST, and compares it with its digests.
    podman.run(&["data", "verify", "fashion-mnist"])?;
    Ok(Outcome::Passed(described(&contents)))
}

fn orchestrator(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let (contents, podman) = built(checkout, Kind::Orchestrator, work.path())?;
    says_its_name(&podman)?;
    Ok(Outcome::Passed(described(&contents)))
}

fn tensorboard(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let (contents, podman) = built(checkout, Kind::Tensorboard, work.path())?;
    let version = podman.run(&["--version"])?;
    ensure!(version.starts_with("2."), "TensorBoard says `{version}`");
    Ok(Outcome::Passed(format!("{}, TensorBoard {}", described(&contents), version.trim())))
}

/// Builds an image in `work`, loads it, and records its contents, to be compared with those of the image that the guide builds ([`again`]).
fn built(checkout: &Checkout, kind: Kind, work: &Path) -> anyhow::Result<(Contents, Podman)> {
    let archive = work.join("image.tar");
    let program = fltk(checkout);
    let contents = image::build(checkout, kind, Inputs { program: kind.package().map(|_| program.as_path()), data: None }, &archive)?;
    let kept = kept(checkout, kind);
    fs::create_dir_all(kept.parent().context("a file without a folder")?)?;
    fs::write(&kept, serde_json::to_string(&contents)?).with_context(|| format!("can't write `{}`", kept.display()))?;
    Ok((contents, Podman::load(work, kind, &archive)?))
}

/// Checks that the guide, which builds images with the commands that it tells a reader to type, made the same images.
pub fn again(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let mut same = Vec::new();
    for kind in [Kind::Training, Kind::Orchestrator, Kind::Tensorboard] {
        let kept = kept(checkout, kind);
        let text = fs::read_to_string(&kept).with_context(|| format!("`{}` was not built before", kind.target()))?;
        let first: Contents = serde_json::from_str(&text)?;
        let second = image::contents(&checkout.target.join("images").join(kind.target()).with_extension("tar"))?;
        ensure!(first == second, "the same inputs gave two images: {first:?} and {second:?}");
        same.push(format!("{} {:.12}", kind.target(), first.digest));
    }
    Ok(Outcome::Passed(same.join(", ")))
}

fn kept(checkout: &Checkout, kind: Kind) -> PathBuf {
    checkout.target.join("xtask-test-images").join(kind.target()).with_extension("json")
}

fn says_its_name(podman: &Podman) -> anyhow::Result<()> {
    let said = podman.run(&["--version"])?;
    ensure!(said.starts_with("fltk "), "the program says `{said}`");
    Ok(())
}

fn described(contents: &Contents) -> String {
    format!("{:.0} MB, sha256:{:.12}", contents.size() as f64 / 1e6, contents.digest)
}
