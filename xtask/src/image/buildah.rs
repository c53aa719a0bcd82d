//! Building by buildah: no daemon, and a store of our own that is gone afterwards.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{setup::debian, sh};

/// A store of images that lives as long as the value.
pub struct Buildah {
    store: TempDir,
}

/// Where an image is pushed to, and how.
pub struct Registry<'a> {
    /// `REGISTRY/NAME:TAG`.
    pub to: &'a str,
    /// The file with the credentials, if not buildah's own.
    pub authfile: Option<&'a Path>,
    /// Whether the registry's certificate is checked; without that also HTTP is tried.
    pub tls_verify: bool,
}

impl Buildah {
    /// An empty store in the folder `work`: it takes as much as the images that are built.
    pub fn new(work: &Path) -> anyhow::Result<Self> {
        if !sh::is_there("buildah") {
            debian::install(&["buildah"]).map_err(anyhow::Error::msg).context("images are built with buildah")?;
        }
        std::fs::create_dir_all(work).with_context(|| format!("can't make `{}`", work.display()))?;
        Ok(Self { store: tempfile::Builder::new().prefix("store").tempdir_in(work)? })
    }

    /// Builds the stage `target` of the Dockerfile in `context`, a layer for each step, and calls it `name`.
    pub fn build(&self, context: &Path, target: &str, name: &str) -> anyhow::Result<()> {
        let mut command = self.command("build");
        // At the same time whenever it is made, and without the version of buildah: else the same contents would be another image.
        command.args(["--quiet", "--layers", "--timestamp", "0", "--identity-label=false", "--target", target, "--tag", name]);
        command.arg("--file").arg(context.join("Dockerfile")).arg(context);
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT).map(drop)
    }

    /// Makes the image `name` of what is in the folder `root`, in one layer, which runs `entrypoint` as `user`.
    pub fn of_root(&self, root: &Path, name: &str, entrypoint: &str, user: &str) -> anyhow::Result<()> {
        let run = |command: &mut Command| sh::quiet_output(command, sh::INSTALL_LIMIT);
        let container = run(self.command("from").arg("scratch"))?;
        let container = container.trim();
        run(self.command("copy").args(["--quiet", container]).arg(root).arg("/"))?;
        let entrypoint = format!("[\"{entrypoint}\"]");
        run(self.command("config").args(["--entrypoint", &entrypoint, "--user", user, container]))?;
        run(self.command("commit").args(["--quiet", "--timestamp", "0", container, name])).map(drop)
    }

    /// Writes the image `name` to the new file `archive`, as `docker load` and `ctr images import` take it.
    pub fn write(&self, name: &str, archive: &Path) -> anyhow::Result<()> {
        let to = format!("docker-archive:{}:{name}", archive.display());
        sh::quiet_output(self.command("push").args(["--quiet", name, &to]), sh::INSTALL_LIMIT).map(drop)
    }

    /// Pushes the image `name` to `registry`, and returns the digest that it has there.
    pub fn push(&self, name: &str, registry: &Registry<'_>) -> anyhow::Result<String> {
        let digest = self.store.path().join("digest");
        let mut command = self.command("push");
        command.arg("--digestfile").arg(&digest).arg(format!("--tls-verify={}", registry.tls_verify));
        if let Some(authfile) = registry.authfile {
            command.arg("--authfile").arg(authfile);
        }
        command.args(["--quiet", name, &format!("docker://{}", registry.to)]);
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT).with_context(|| format!("can't push to `{}`", registry.to))?;
        Ok(std::fs::read_to_string(&digest).context("buildah has written no digest")?.trim().to_owned())
    }

    /// buildah chooses how it stores: overlays where the system has them, else copies. The images are the same.
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.store.path().join("root")).arg("--runroot").arg(self.store.path().join("run"));
        command.arg(verb).stdin(Stdio::null());
        command
    }
}
