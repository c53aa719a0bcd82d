//! The places of this checkout, its build outputs and the user's cache, and the way to call cargo in it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, anyhow};
use cargo_metadata::{Message, Metadata, MetadataCommand};

use crate::{setup::libtorch::Libtorch, sh};

/// A checkout of this repository.
#[derive(Clone)]
pub struct Checkout {
    /// The root folder.
    pub root: PathBuf,
    /// The folder where cargo puts build outputs; other checkouts may share it.
    pub target: PathBuf,
    /// The user's cache folder for this project: libtorch and the Python environment.
    pub cache: PathBuf,
}

impl Checkout {
    /// Finds the checkout that this program was started from.
    pub fn find() -> anyhow::Result<Self> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        // This is the folder of xtask, or of the package of ours that is being tested.
        let metadata = Self::metadata_of(&own, true)?;
        let root = metadata.workspace_root.into_std_path_buf();
        Ok(Self { root, target: metadata.target_directory.into_std_path_buf(), cache: cache_folder()? })
    }

    /// Returns the packages and their dependencies on each other.
    pub fn metadata(&self) -> anyhow::Result<Metadata> {
        Self::metadata_of(&self.root, false)
    }

    /// Returns only our own packages, without resolving any others.
    pub fn metadata_of_ours(&self) -> anyhow::Result<Metadata> {
        Self::metadata_of(&self.root, true)
    }

    fn metadata_of(root: &Path, no_deps: bool) -> anyhow::Result<Metadata> {
        let mut command = MetadataCommand::new();
        command.manifest_path(root.join("Cargo.toml"));
        if no_deps {
            command.no_deps();
        }
        Ok(command.exec()?)
    }

    /// True if other checkouts may build into the same target folder.
    pub fn target_is_shared(&self) -> bool {
        !self.target.starts_with(&self.root)
    }

    /// Returns a cargo command in the root folder, with `libtorch`.
    pub fn cargo(&self, libtorch: &Libtorch) -> Command {
        let mut command = self.cargo_without_libtorch();
        command.env("LIBTORCH", self.libtorch_for_cargo(libtorch));
        command
    }

    /// Returns a cargo command in the root folder that finds no libtorch, not even the one that `.cargo/config.toml` names.
    pub fn cargo_without_libtorch(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.root).env("LIBTORCH", self.root.join("no-libtorch"));
        for (name, _) in std::env::vars_os() {
            if is_of_own_package(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Returns the LIBTORCH for cargo. A change of this variable makes cargo compile torch-sys again, which takes minutes. So this is the
    /// path that plain `cargo build` uses in this checkout, or, in a shared target folder, the path that is the same in every checkout.
    fn libtorch_for_cargo(&self, libtorch: &Libtorch) -> PathBuf {
        if self.target_is_shared() || libtorch.named_by_user { libtorch.folder.clone() } else { self.libtorch_link() }
    }

    /// Returns the git-ignored link that `.cargo/config.toml` names.
    pub fn libtorch_link(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// Returns the folders of this machine whose paths compilers may embed in programs.
    pub fn machine_paths(&self) -> Vec<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cargo = set("CARGO_HOME").or_else(|| set("HOME").map(|home| home.join(".cargo")));
        let mut paths: Vec<PathBuf> =
            [Some(self.root.clone()), Some(self.target.clone()), Some(self.cache.clone()), cargo].into_iter().flatten().collect();
        // The targets of links count too.
        paths.extend(paths.clone().iter().filter_map(|path| path.canonicalize().ok()));
        paths.sort();
        paths.dedup();
        paths
    }

    /// Runs `cargo build` with `arguments` and returns the path of `fltk`, or of the last program if `fltk` isn't among them. Without a package in
    /// `arguments`, both of our programs are built, and `fltk-torch` is next to `fltk`.
    pub fn build(&self, libtorch: &Libtorch, arguments: &[&str]) -> anyhow::Result<PathBuf> {
        build(self.cargo(libtorch), arguments)
    }

    /// Does the same as [`Checkout::build`] for packages that need no libtorch.
    pub fn build_without_libtorch(&self, arguments: &[&str]) -> anyhow::Result<PathBuf> {
        build(self.cargo_without_libtorch(), arguments)
    }
}

/// A package of ours and the names in its manifest.
#[derive(Debug)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The path of its manifest, relative to the root.
    pub manifest: String,
    /// The names of its dependencies, including those for building and for tests.
    pub dependencies: Vec<String>,
}

impl Package {
    /// Returns its folder, relative to the root, with a trailing slash.
    pub fn folder(&self) -> &str {
        self.manifest.trim_end_matches("Cargo.toml")
    }

    /// Returns the package in `folder`, which has its name, for tests.
    #[cfg(test)]
    pub fn new(folder: &str, dependencies: &[&str]) -> Self {
        let name = folder.rsplit('/').next().unwrap_or_default().to_owned();
        Self { name, manifest: format!("{folder}/Cargo.toml"), dependencies: dependencies.iter().map(|&name| name.to_owned()).collect() }
    }
}

/// Returns our packages.
pub fn packages(metadata: &Metadata) -> Vec<Package> {
    let relative = |path: &cargo_metadata::camino::Utf8Path| path.strip_prefix(&metadata.workspace_root).unwrap_or(path).to_string();
    let package = |package: &cargo_metadata::Package| Package {
        name: package.name.to_string(),
        manifest: relative(&package.manifest_path),
        dependencies: package.dependencies.iter().map(|dependency| dependency.name.clone()).collect(),
    };
    metadata.workspace_packages().into_iter().map(package).collect()
}

fn build(mut command: Command, arguments: &[&str]) -> anyhow::Result<PathBuf> {
    command.arg("build").args(arguments).arg("--message-format=json-render-diagnostics").stdin(Stdio::null());
    let messages = sh::output(&mut command, sh::BUILD_LIMIT)?;
    let mut programs = Vec::new();
    for message in Message::parse_stream(messages.as_bytes()) {
        if let Message::CompilerArtifact(artifact) = message? {
            programs.extend(artifact.executable);
        }
    }
    let fltk = programs.iter().position(|program| program.file_name() == Some("fltk"));
    fltk.map(|at| programs.swap_remove(at))
        .or_else(|| programs.pop())
        .map(Into::into)
        .ok_or_else(|| anyhow!("`cargo build {}` built no program", arguments.join(" ")))
}

/// True if `cargo run` set the variable to describe xtask. Build scripts watch such variables (ring's does): if they stayed, cargo would compile
/// a third of the dependencies again whenever xtask calls it after a person did, or the other way round.
fn is_of_own_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

fn cache_folder() -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder")?.join("fltk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_called_without_inherited_variables() {
        let checkout = Checkout { root: "/r".into(), target: "/t".into(), cache: "/c".into() };
        let command = checkout.cargo_without_libtorch();
        // These are set in this test's own environment.
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR"] {
            assert!(std::env::var_os(name).is_some(), "{name}");
            assert!(command.get_envs().any(|(removed, value)| removed == name && value.is_none()), "{name}");
        }
    }
}
