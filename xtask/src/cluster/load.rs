//! `cargo xtask cluster load`: our program's image, built and given to the cluster that runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{Cluster, images};
use crate::{
    checkout::Checkout,
    image::{self, Kind},
    setup::libtorch,
};

/// The program that goes into the image: `given`, or what is built of this checkout.
pub fn program(checkout: &Checkout, kind: Kind, given: Option<&Path>) -> anyhow::Result<PathBuf> {
    match (given, kind) {
        (Some(given), _) if !given.is_file() => bail!("there is no file `{}`", given.display()),
        (Some(given), _) => Ok(given.to_path_buf()),
        (None, Kind::Training) => checkout.build(&libtorch::ensure(checkout)?, kind.build_arguments()),
        (None, Kind::Orchestrator) => checkout.build_without_libtorch(kind.build_arguments()),
    }
}

/// Makes the image and imports it. Pods use it with `imagePullPolicy: Never`.
pub fn run(cluster: &Cluster, kind: Kind, program: &Path) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let root = work.path().join("root");
    fs::create_dir(&root)?;
    image::stage(&root, program, kind).with_context(|| format!("can't make the image of `{}`", program.display()))?;
    let archive = work.path().join("image.tar");
    image::archive(&image::of_root(kind, &root), &archive)?;
    images::import_archive(cluster, kind.name(), &archive)?;
    // Layers in it are not compressed.
    println!("{}: {:.0} MB", kind.name(), fs::metadata(&archive)?.len() as f64 / 1e6);
    Ok(())
}
