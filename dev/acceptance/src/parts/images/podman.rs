//! Running an image with podman, as a cluster would.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::{
    image::{self, Kind},
    sh,
};

/// A store of podman with one image.
pub struct Podman {
    store: PathBuf,
    kind: Kind,
}

impl Podman {
    /// Loads the image of `kind` from `archive` into a store in the folder `work`. `Err` unless the image runs as our user.
    pub fn load(work: &Path, kind: Kind, archive: &Path) -> anyhow::Result<Self> {
        let podman = Self { store: work.join("podman"), kind };
        sh::quiet_output(podman.command().args(["load", "--quiet", "--input"]).arg(archive), sh::INSTALL_LIMIT)?;
        let mut inspect = podman.command();
        inspect.args(["image", "inspect", "--format", "{{.Config.User}}", kind.name()]);
        let user = sh::quiet_output(&mut inspect, sh::LOOKUP_LIMIT)?;
        ensure!(user.trim() == format!("{0}:{0}", image::USER), "the image `{}` runs as the user `{}`", kind.name(), user.trim());
        Ok(podman)
    }

    /// Returns the output of the image's program.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run_with(&[], arguments)
    }

    /// Does the same as [`Podman::run`], with more `options` of `podman run`. The container is as restricted as a pod: it has no network and no
    /// capabilities, and can write only to `/tmp`.
    pub fn run_with(&self, options: &[&str], arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command();
        command.args(["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]);
        // These are limits that any machine allows for a container.
        command.args(["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]);
        command.args(options).arg(self.kind.name()).args(arguments);
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT).with_context(|| format!("the image `{}` doesn't run", self.kind.name()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.store.join("root")).arg("--runroot").arg(self.store.join("run")).stdin(Stdio::null());
        command
    }
}
