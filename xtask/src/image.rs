//! Images of our program: nothing but what it needs, `FROM scratch`, the same bytes for the same contents. Where they go is not decided here.
//!
//! ```text
//! fltk ──ldd──> libraries ──> root/  usr/local/{bin,lib/fltk}  etc/  tmp/  usr/share/datasets/ ──buildah──> image.tar (docker-archive)
//! ```

mod libraries;
mod root;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use clap::ValueEnum;

pub use self::root::{USER, stage};
use crate::sh;

/// What becomes an image.
pub struct Image<'a> {
    /// Its name with its tag.
    pub name: &'a str,
    /// What is at its root.
    pub root: &'a Path,
    /// The program that it runs.
    pub entrypoint: &'a str,
    /// As whom.
    pub user: &'a str,
    /// Variables of that program: names and values.
    pub environment: &'a [(&'a str, &'a str)],
    /// What the image says of itself: names and values.
    pub labels: &'a [(&'a str, &'a str)],
}

/// Which of our images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The whole program with Fashion-MNIST: what trains.
    Training,
    /// The program without libtorch and without data: what tells a cluster to train.
    Orchestrator,
}

impl Kind {
    /// The image's name with its tag. No registry has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "localhost/fltk:dev",
            Self::Orchestrator => "localhost/fltk-orchestrator:dev",
        }
    }

    /// What cargo builds the program by.
    pub fn build_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Training => &["--release", "--package", "fltk"],
            Self::Orchestrator => &["--release", "--package", "fltk", "--no-default-features", "--features", "cluster,web"],
        }
    }
}

/// The image of what [`stage`] put into `root`.
pub fn of_root(kind: Kind, root: &Path) -> Image<'_> {
    const LABELS: &[(&str, &str)] =
        &[("org.opencontainers.image.title", "fltk"), ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION"))];
    let environment = &[
        ("LD_LIBRARY_PATH", root::LIBRARIES),
        // Data sets in a volume of this place are found; and the user's cache folder is not looked for.
        ("FLTK_DATA", "/var/lib/fltk/data"),
    ];
    Image { name: kind.name(), root, entrypoint: root::PROGRAM, user: root::USER_AND_GROUP, environment, labels: LABELS }
}

/// Writes `image` to the new file `archive`, as `docker load` and `ctr images import` take it.
pub fn archive(image: &Image<'_>, archive: &Path) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(work.path().join("store"));
        command.arg("--runroot").arg(work.path().join("run")).args(arguments).stdin(Stdio::null());
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT)
    };
    let root = image.root.to_str().context("a folder whose name is not UTF-8")?;
    let container = buildah(&["from", "scratch"])?;
    let container = container.trim();
    buildah(&["copy", "--quiet", container, root, "/"])?;
    let entrypoint = format!("[\"{}\"]", image.entrypoint);
    let pairs = |option: &'static str, pairs: &[(&str, &str)]| -> Vec<String> {
        pairs.iter().flat_map(|(name, value)| [option.to_owned(), format!("{name}={value}")]).collect()
    };
    let (environment, labels) = (pairs("--env", image.environment), pairs("--label", image.labels));
    let more = environment.iter().chain(&labels).map(String::as_str);
    let arguments: Vec<&str> =
        ["config", "--entrypoint", &entrypoint, "--user", image.user].into_iter().chain(more).chain([container]).collect();
    buildah(&arguments)?;
    let to = format!("docker-archive:{}:{}", archive.display(), image.name);
    // At the same time whenever it is made: else the same contents would be another image.
    buildah(&["commit", "--quiet", "--timestamp", "0", container, &to])?;
    Ok(())
}
