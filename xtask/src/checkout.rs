//! Where this checkout, its build outputs and the user's cache are, and how cargo is called in it.

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
    /// Its root folder.
    pub root: PathBuf,
    /// Where cargo puts what it builds; may be shared with other checkouts.
    pub target: PathBuf,
    /// The user's cache folder for this project: libtorch and the Python environment.
    pub cache: PathBuf,
}

impl Checkout {
    /// The checkout that this program was started from.
    pub fn find() -> anyhow::Result<Self> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        // Of xtask, or of whichever of our packages is tested.
        let metadata = Self::metadata_of(&own, true)?;
        let root = metadata.workspace_root.into_std_path_buf();
        Ok(Self { root, target: metadata.target_directory.into_std_path_buf(), cache: cache_folder()? })
    }

    /// Packages and how they depend on each other.
    pub fn metadata(&self) -> anyhow::Result<Metadata> {
        Self::metadata_of(&self.root, false)
    }

    /// Our own packages alone, which takes no look at any other.
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

    /// Whether other checkouts may build into the same target folder.
    pub fn target_is_shared(&self) -> bool {
        !self.target.starts_with(&self.root)
    }

    /// A cargo command in the root folder, with `libtorch`.
    pub fn cargo(&self, libtorch: &Libtorch) -> Command {
        let mut command = self.cargo_without_libtorch();
        command.env("LIBTORCH", self.libtorch_for_cargo(libtorch));
        command
    }

    /// A cargo command in the root folder that finds no libtorch, not even the one that `.cargo/config.toml` names.
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

    /// What LIBTORCH is for cargo. A change of it makes cargo compile torch-sys again, which takes minutes: so it is the name that
    /// plain `cargo build` uses in this checkout, but in a shared target folder the name that is the same in every checkout.
    fn libtorch_for_cargo(&self, libtorch: &Libtorch) -> PathBuf {
        if self.target_is_shared() || libtorch.named_by_user { libtorch.folder.clone() } else { self.libtorch_link() }
    }

    /// The git-ignored link that `.cargo/config.toml` names.
    pub fn libtorch_link(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// Folders of this machine whose names compilers may put into programs.
    pub fn machine_paths(&self) -> Vec<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cargo = set("CARGO_HOME").or_else(|| set("HOME").map(|home| home.join(".cargo")));
        let mut paths: Vec<PathBuf> =
            [Some(self.root.clone()), Some(self.target.clone()), Some(self.cache.clone()), cargo].into_iter().flatten().collect();
        // Where a link leads to, too.
        paths.extend(paths.clone().iter().filter_map(|path| path.canonicalize().ok()));
        paths.sort();
        paths.dedup();
        paths
    }

    /// Builds what `arguments` say and returns the path of `fltk`; of the last program, if that isn't among them. Without a package among `arguments`
    /// it is both of ours: `fltk-torch` lies beside `fltk`.
    pub fn build(&self, libtorch: &Libtorch, arguments: &[&str]) -> anyhow::Result<PathBuf> {
        build(self.cargo(libtorch), arguments)
    }

    /// As [`Checkout::build`], what needs no libtorch.
    pub fn build_without_libtorch(&self, arguments: &[&str]) -> anyhow::Result<PathBuf> {
        build(self.cargo_without_libtorch(), arguments)
    }
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

/// Whether `cargo run` set the variable to say something of xtask. Build scripts watch such variables (ring's does): left there, they would make
/// cargo compile a third of the dependencies again whenever it is called by xtask after a person, or the other way round.
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
    fn cargo_is_called_as_a_person_would() {
        let checkout = Checkout { root: "/r".into(), target: "/t".into(), cache: "/c".into() };
        let command = checkout.cargo_without_libtorch();
        // Of this test's own environment.
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR"] {
            assert!(std::env::var_os(name).is_some(), "{name}");
            assert!(command.get_envs().any(|(removed, value)| removed == name && value.is_none()), "{name}");
        }
    }
}
