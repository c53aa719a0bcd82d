//! A folder to work in as a reader of the documentation does in the checkout: the same names lead to the same files, and the programs are those of the test.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;

use super::fresh;

use crate::{
    checkout::Checkout,
    cluster::{self, Helm, TestCluster},
    sh,
};

/// What a reader refers to.
const NAMES: [&str; 5] = ["charts", "compose.yaml", "configs", "docs", "examples"];

/// Programs that run where the cluster is reached: they enter its network.
const INSIDE: &str = "bin/inside";
/// Programs that run in this machine's own.
const HERE: &str = "bin/here";

/// Files that are written into it are gone with the next.
pub struct Workplace<'a> {
    cluster: &'a TestCluster,
    folder: PathBuf,
}

impl<'a> Workplace<'a> {
    /// A new one for the part `name`, which installs charts with `helm`.
    pub fn new(checkout: &Checkout, cluster: &'a TestCluster, name: &str, helm: Helm) -> anyhow::Result<Self> {
        let folder = checkout.target.join("xtask-test-workplaces").join(name.replace([' ', ','], "-"));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can't empty `{}`", folder.display()))?;
        }
        for names in ["bin", INSIDE, HERE] {
            fs::create_dir_all(folder.join(names))?;
        }
        for name in NAMES {
            symlink(checkout.root.join(name), folder.join(name))?;
        }
        symlink(&checkout.target, folder.join("target"))?;
        // Links: each finds the other beside where it really lies.
        let here = folder.join(HERE).join("fltk");
        for name in ["fltk", "fltk-torch"] {
            symlink(checkout.target.join("release").join(name), here.with_file_name(name))?;
        }
        let (tools, socket) = cluster.programs();
        let inside = [
            ("kubectl", tools.join("kubectl")),
            ("helm", cluster::helm(checkout, helm)?),
            ("fltk", here),
            ("curl", "/usr/bin/curl".into()),
        ];
        for (name, path) in inside {
            let enter = sh::show(&cluster.reach(&path));
            program(&folder.join(INSIDE).join(name), &format!("exec {enter} \"$@\""))?;
        }
        program(&folder.join("bin/ctr"), &format!("exec /usr/bin/ctr --address '{}' \"$@\"", socket.display()))?;
        // It finds its workspace by where it is.
        let cargo = sh::quiet_output(Command::new("sh").args(["-c", "command -v cargo"]), sh::LOOKUP_LIMIT)?;
        let outside = format!("cd '{}'\nexec '{}' \"$@\"", checkout.root.display(), cargo.trim());
        program(&folder.join("bin/cargo"), &format!("{}\n{outside}", environment(checkout)))?;
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
        Command::new(self.folder.join(HERE).join("fltk"))
    }

    /// A program by the name `name`, which scripts find.
    pub fn program(&self, name: &str, script: &str) -> anyhow::Result<()> {
        program(&self.folder.join("bin").join(name), script)
    }

    /// Runs a script of bash here, whose `kubectl`, `helm`, `fltk` and `curl` reach the cluster.
    pub fn bash(&self, script: &str, limit: Duration) -> anyhow::Result<()> {
        self.run(INSIDE, script, limit)
    }

    /// As [`Workplace::bash`], with `fltk` and `curl` in this machine's own network.
    pub fn bash_outside(&self, script: &str, limit: Duration) -> anyhow::Result<()> {
        self.run(HERE, script, limit)
    }

    /// As [`Workplace::bash`], with no other programs than a reader has who installed `packages` on a fresh Debian, and `kubectl`, `helm`, `cargo` and `fltk`.
    pub fn bash_with(&self, packages: &[&str], script: &str, limit: Duration) -> anyhow::Result<()> {
        let fresh = self.folder.join("bin/fresh");
        fs::create_dir_all(&fresh)?;
        fresh::fill(&fresh, packages)?;
        self.run_in(INSIDE, &fresh.display().to_string(), script, limit)
    }

    fn run(&self, programs: &str, script: &str, limit: Duration) -> anyhow::Result<()> {
        self.run_in(programs, &std::env::var("PATH").unwrap_or_default(), script, limit)
    }

    fn run_in(&self, programs: &str, path: &str, script: &str, limit: Duration) -> anyhow::Result<()> {
        let file = self.folder.join("bin/script");
        fs::write(&file, script)?;
        let (ours, common) = (self.folder.join(programs), self.folder.join("bin"));
        let mut bash = Command::new("/bin/bash");
        bash.arg(&file).current_dir(&self.folder).env("PATH", format!("{}:{}:{path}", ours.display(), common.display()));
        bash.env("KUBECONFIG", self.cluster.kubeconfig());
        // What is built is in `target`, as a reader's; cargo itself is told where that is.
        bash.env_remove("CARGO_TARGET_DIR");
        // Of helm, which else keeps what it knows in the user's home.
        bash.env("HELM_CACHE_HOME", self.folder.join("helm")).env("HELM_CONFIG_HOME", self.folder.join("helm"));
        sh::run(&mut bash, limit)
    }
}

/// What cargo must have as this program has it, or it would compile much again. That `LIBTORCH` is the checkout's own link is what `.cargo/config.toml`
/// says, and not a person: it is asked at each call, since `cargo xtask` calls cargo with another.
fn environment(checkout: &Checkout) -> String {
    let link = checkout.libtorch_link();
    format!(
        "if [ \"${{LIBTORCH:-}}\" = '{}' ]; then unset LIBTORCH; fi\nexport CARGO_TARGET_DIR='{}'",
        link.display(),
        checkout.target.display()
    )
}

fn program(path: &Path, script: &str) -> anyhow::Result<()> {
    fs::write(path, format!("#!/bin/sh\nset -e\n{script}\n"))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
