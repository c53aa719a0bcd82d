//! Running an image by podman, as a cluster would.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::sh;

/// A store of podman's with one image.
pub struct Podman {
    store: PathBuf,
}

impl Podman {
    /// The image in `archive`, in a store in the folder `work`.
    pub fn load(work: &Path, archive: &Path) -> anyhow::Result<Self> {
        let podman = Self { store: work.join("podman") };
        sh::quiet_output(podman.command().args(["load", "--quiet", "--input"]).arg(archive), sh::INSTALL_LIMIT)?;
        Ok(podman)
    }

    /// What the image's program says, as restricted as a pod: no network, no capability, and nothing to write to but `/tmp`.
    pub fn run(&self, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command();
        command.args(["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]);
        // Limits that any machine lets a container have.
        command.args(["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096", name]).args(arguments);
        sh::quiet_output(&mut command, sh::INSTALL_LIMIT).with_context(|| format!("the image `{name}` doesn't run"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.store.join("root")).arg("--runroot").arg(self.store.join("run")).stdin(Stdio::null());
        command
    }
}
