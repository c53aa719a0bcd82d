//! Where this checkout, its build outputs and the user's cache are, and how cargo is called in it.

use std::{
    fs,
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
        let root = own.parent().context("xtask has no parent folder")?.to_path_buf();
        let metadata = Self::metadata_of(&root, true)?;
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

    /// Builds one program as `arguments` say and returns its path.
    pub fn build(&self, libtorch: &Libtorch, arguments: &[&str]) -> anyhow::Result<PathBuf> {
        build(self.cargo(libtorch), arguments)
    }

    /// As [`Checkout::build`], a program that needs no libtorch. A `fltk` that cargo puts where it puts the whole program is moved from there.
    pub fn build_without_libtorch(&self, arguments: &[&str]) -> anyhow::Result<PathBuf> {
        let profile = if arguments.contains(&"--release") { "release" } else { "debug" };
        aside(&self.target.join(profile).join("fltk"), || build(self.cargo_without_libtorch(), arguments))
    }
}

/// A folder beside where cargo puts programs, for those without libtorch. In a profile of their own, cargo would compile all of their dependencies again.
const ASIDE: &str = "without-libtorch";

/// What `build` puts at `place` is moved to the folder [`ASIDE`], and what was there before is put back: people run it. To cargo either is as good as
/// none: it keeps another copy, and links that to `place` whenever it's called.
fn aside(place: &Path, build: impl FnOnce() -> anyhow::Result<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = place.with_file_name(ASIDE);
    fs::create_dir_all(&folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    let work = tempfile::tempdir_in(&folder)?;
    let before = work.path().join("before");
    let was_there = fs::hard_link(place, &before).is_ok();
    let built = build()?;
    if built != place {
        return Ok(built);
    }
    let aside = folder.join(place.file_name().context("a program without a name")?);
    fs::rename(place, &aside).with_context(|| format!("can't move `{}`", place.display()))?;
    if was_there {
        fs::rename(&before, place).with_context(|| format!("can't put `{}` back", place.display()))?;
    }
    Ok(aside)
}

fn build(mut command: Command, arguments: &[&str]) -> anyhow::Result<PathBuf> {
    command.arg("build").args(arguments).arg("--message-format=json-render-diagnostics").stdin(Stdio::null());
    let messages = sh::output(&mut command, sh::BUILD_LIMIT)?;
    let mut program = None;
    for message in Message::parse_stream(messages.as_bytes()) {
        if let Message::CompilerArtifact(artifact) = message? {
            program = artifact.executable.or(program);
        }
    }
    program.map(Into::into).ok_or_else(|| anyhow!("`cargo build {}` built no program", arguments.join(" ")))
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
    fn what_people_run_stays_where_it_is() {
        let target = tempfile::tempdir().unwrap();
        let (place, other) = (target.path().join("release/fltk"), target.path().join("release/examples/creates"));
        // As cargo does: it never writes into what is there.
        let put = |path: &Path| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::remove_file(path).ok();
            fs::write(path, "small").unwrap();
            Ok(path.to_owned())
        };
        let small = aside(&place, || put(&place)).unwrap();
        assert!(small != place && !place.exists());
        fs::write(&place, "whole").unwrap();
        assert_eq!(aside(&place, || put(&place)).unwrap(), small);
        assert_eq!((fs::read(&small).unwrap(), fs::read(&place).unwrap()), (b"small".to_vec(), b"whole".to_vec()));
        assert_eq!(aside(&place, || put(&other)).unwrap(), other);
        aside(&place, || anyhow::bail!("a mistake in the code")).unwrap_err();
        assert_eq!(fs::read(&place).unwrap(), b"whole");
        assert_eq!(fs::read_dir(small.parent().unwrap()).unwrap().count(), 1);
    }

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
