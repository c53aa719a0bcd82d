//! A folder to work in as a reader of the documentation does in the checkout: the same names lead to the same files, and the programs are those of the test.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;

use crate::{checkout::Checkout, cluster::TestCluster, sh};

/// What a reader refers to.
const NAMES: [&str; 5] = ["charts", "compose.yaml", "configs", "docs", "examples"];

/// Files that are written into it are gone with the next.
pub struct Workplace<'a> {
    cluster: &'a TestCluster,
    folder: PathBuf,
}

impl<'a> Workplace<'a> {
    /// A new one, with `fltk` as the program of that name.
    pub fn new(checkout: &Checkout, cluster: &'a TestCluster, fltk: &Path) -> anyhow::Result<Self> {
        let folder = checkout.target.join("xtask-test-workplace");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can't empty `{}`", folder.display()))?;
        }
        let programs = folder.join("bin");
        fs::create_dir_all(&programs)?;
        for name in NAMES {
            symlink(checkout.root.join(name), folder.join(name))?;
        }
        symlink(&checkout.target, folder.join("target"))?;
        // `target/release/fltk` is another after the orchestrator's image was built.
        fs::copy(fltk, programs.join("fltk")).with_context(|| format!("can't copy `{}`", fltk.display()))?;
        let (tools, socket) = cluster.programs();
        for tool in ["kubectl", "helm"] {
            symlink(tools.join(tool), programs.join(tool))?;
        }
        program(&programs.join("ctr"), &format!("exec /usr/bin/ctr --address '{}' \"$@\"", socket.display()))?;
        // It may fetch packages, which the cluster's network has no way to; and finds its workspace by where it is.
        let cargo = sh::quiet_output(Command::new("sh").args(["-c", "command -v cargo"]), sh::LOOKUP_LIMIT)?;
        let outside = format!("cd '{}'\nexec nsenter --net=/proc/1/ns/net '{}' \"$@\"", checkout.root.display(), cargo.trim());
        program(&programs.join("cargo"), &format!("{}\n{outside}", environment(checkout)))?;
        Ok(Self { cluster, folder })
    }

    /// Where files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of a test, beside those of a reader.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))
    }

    /// A file that a script wrote.
    pub fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))
    }

    /// An empty folder for the volumes of a namespace, as an administrator makes one on the node. It goes with the cluster.
    pub fn volume(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.cluster.volume(name)
    }

    /// The program.
    pub fn fltk(&self) -> Command {
        self.cluster.reach(&self.folder.join("bin/fltk"))
    }

    /// A program by the name `name`, which scripts find.
    pub fn program(&self, name: &str, script: &str) -> anyhow::Result<()> {
        program(&self.folder.join("bin").join(name), script)
    }

    /// Runs a script of bash here, where the cluster is reached.
    pub fn bash(&self, script: &str, limit: Duration) -> anyhow::Result<()> {
        self.run(self.cluster.reach(Path::new("bash")), script, limit)
    }

    /// As [`Workplace::bash`], in this machine's own network.
    pub fn bash_outside(&self, script: &str, limit: Duration) -> anyhow::Result<()> {
        self.run(Command::new("bash"), script, limit)
    }

    fn run(&self, mut bash: Command, script: &str, limit: Duration) -> anyhow::Result<()> {
        let file = self.folder.join("bin/script");
        fs::write(&file, script)?;
        let path = std::env::var("PATH").unwrap_or_default();
        bash.arg(&file).current_dir(&self.folder).env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        // Of helm, which else keeps what it knows in the user's home.
        bash.env("HELM_CACHE_HOME", self.folder.join("helm")).env("HELM_CONFIG_HOME", self.folder.join("helm"));
        sh::run(&mut bash, limit)
    }
}

/// What cargo must have as this program has it, or it would compile much again.
fn environment(checkout: &Checkout) -> String {
    let target = format!("export CARGO_TARGET_DIR='{}'", checkout.target.display());
    if std::env::var_os("LIBTORCH").is_some_and(|value| Path::new(&value) == checkout.libtorch_link()) {
        // It is what `.cargo/config.toml` says, and not a person's.
        return format!("unset LIBTORCH\n{target}");
    }
    target
}

fn program(path: &Path, script: &str) -> anyhow::Result<()> {
    fs::write(path, format!("#!/bin/sh\nset -e\n{script}\n"))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
