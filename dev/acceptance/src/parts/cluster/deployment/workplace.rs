//! A folder in which a test works as a reader of the documentation does in the checkout: the same names lead to the same files, and the programs are those
//! under test.

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

/// The names that a reader refers to.
const NAMES: [&str; 5] = ["charts", "compose.yaml", "configs", "docs", "examples"];

/// The folder of programs that run where the cluster can be reached: they enter its network.
const INSIDE: &str = "bin/inside";
/// The folder of programs that run in this machine's own network.
const HERE: &str = "bin/here";

/// A work folder; files written into it are removed by the next one.
pub struct Workplace<'a> {
    cluster: &'a TestCluster,
    folder: PathBuf,
}

impl<'a> Workplace<'a> {
    /// Makes a new folder for the part `name`, which installs charts with `helm`.
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
        // These are links: each program finds the other next to its real file.
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
        // cargo finds its workspace by its working folder.
        let cargo = sh::quiet_output(Command::new("sh").args(["-c", "command -v cargo"]), sh::LOOKUP_LIMIT)?;
        let outside = format!("cd '{}'\nexec '{}' \"$@\"", checkout.root.display(), cargo.trim());
        program(&folder.join("bin/cargo"), &format!("{}\n{outside}", environment(checkout)))?;
        Ok(Self { cluster, folder })
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file of a test, next to those of a reader.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))
    }

    /// Reads a file that a script wrote.
    pub fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))
    }

    /// Makes an empty folder for the volumes of a namespace, as an administrator does on the node. It is removed with the cluster.
    pub fn volume(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.cluster.volume(name)
    }

    /// Returns a command for the program.
    pub fn fltk(&self) -> Command {
        Command::new(self.folder.join(HERE).join("fltk"))
    }

    /// Adds a program called `name`, which scripts find.
    pub fn program(&self, name: &str, script: &str) -> anyhow::Result<()> {
        program(&self.folder.join("bin").join(name), script)
    }

    /// Runs a bash script here, whose `kubectl`, `helm`, `fltk` and `curl` reach the cluster.
    pub fn bash(&self, script: &str, limit: Duration) -> anyhow::Result<()> {
        self.run(INSIDE, script, limit)
    }

    /// Does the same as [`Workplace::bash`], with `fltk` and `curl` in this machine's own network.
    pub fn bash_outside(&self, script: &str, limit: Duration) -> anyhow::Result<()> {
        self.run(HERE, script, limit)
    }

    /// Does the same as [`Workplace::bash`], with only the programs of a reader who installed `packages` on a fresh Debian, and `kubectl`, `helm`, `cargo` and
    /// `fltk`.
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
        // For scripts, build outputs are in `target`, as for a reader; cargo itself is told the real folder.
        bash.env_remove("CARGO_TARGET_DIR");
        // These are for helm, which otherwise keeps its state in the user's home.
        bash.env("HELM_CACHE_HOME", self.folder.join("helm")).env("HELM_CONFIG_HOME", self.folder.join("helm"));
        sh::run(&mut bash, limit)
    }
}

/// Returns the settings with which cargo doesn't compile much again: those of this program. If `LIBTORCH` is the checkout's own link, it comes from
/// `.cargo/config.toml` and not from a person. The script tests this at each call, since `cargo xtask` calls cargo with another value.
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
