//! The libtorch for this checkout: the user's, an installed Python's, or the one in PyTorch's wheel, in this order.
//!
//! Only the CPU part is used. A Python package's own folder can't be used directly: if it contains `libtorch_cuda.so`, `torch-sys` would
//! link that too, and with it gigabytes of CUDA. So a folder of our own contains links to, or copies of, the few libraries needed:
//!
//! ```text
//! <cache>/libtorch-2.13.0/  build-version  include/  lib/{libtorch_cpu,libc10,libgomp,libcudart,libcupti,...}.so*
//! <checkout>/.libtorch ->   one of these; `.cargo/config.toml` names it
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::{python, wheel};
use crate::{checkout::Checkout, lock, sh};

/// The version that `tch` 0.26 is generated for; it accepts no other.
pub const VERSION: &str = "2.13.0";

/// The file that contains the version of a libtorch.
pub const BUILD_VERSION: &str = "build-version";

/// A complete libtorch of the right version.
pub struct Libtorch {
    /// The folder, with links resolved.
    pub folder: PathBuf,
    /// The origin, for a person.
    pub origin: String,
    /// True if the user named the folder with `LIBTORCH`.
    pub named_by_user: bool,
}

/// Finds or downloads libtorch and points the checkout's `.libtorch` at it. Several processes can safely do this at once.
pub fn ensure(checkout: &Checkout) -> anyhow::Result<Libtorch> {
    if !cfg!(target_os = "linux") && named_by_user(checkout).is_none() {
        bail!("libtorch can be set up on Linux only\nhint: get libtorch {VERSION} yourself and set LIBTORCH to its folder");
    }
    compiler()?;
    let _lock = lock::take(&checkout.cache.join("libtorch.lock"), "setting up libtorch")?;
    let libtorch = find_or_get(checkout)?;
    point(&checkout.libtorch_link(), &libtorch.folder)?;
    Ok(libtorch)
}

fn find_or_get(checkout: &Checkout) -> anyhow::Result<Libtorch> {
    let found = |folder: &Path, origin: &str| -> anyhow::Result<Libtorch> {
        Ok(Libtorch { folder: folder.canonicalize()?, origin: origin.to_owned(), named_by_user: false })
    };
    if let Some(folder) = named_by_user(checkout) {
        if let Some(problem) = defect(&folder) {
            bail!("LIBTORCH is `{}`: {problem}\nhint: unset LIBTORCH, and `cargo xtask setup` finds or gets one", folder.display());
        }
        return Ok(Libtorch { named_by_user: true, ..found(&folder, "named by LIBTORCH")? });
    }
    let link = checkout.libtorch_link();
    if defect(&link).is_none() {
        return found(&link, "set up before");
    }
    let own = checkout.cache.join(format!("libtorch-{VERSION}"));
    if defect(&own).is_none() {
        return found(&own, "unpacked before");
    }
    // The tests' environment has a whole PyTorch: if it was made first, a second download would be a waste.
    let candidates = std::iter::once(PathBuf::from("python3")).chain(python::existing(checkout)?);
    for python in candidates {
        if let Some(packages) = installed_torch(&python) {
            match link_to(&checkout.cache, &packages) {
                Ok(folder) => return found(&folder, &format!("PyTorch of {}", python.display())),
                Err(error) => eprintln!("PyTorch {VERSION} in `{}` can't be used: {error:#}", packages.display()),
            }
        }
    }
    download(checkout, &own)?;
    found(&own, "unpacked from PyTorch's wheel")
}

/// Returns the folder in the user's LIBTORCH, if the user set it; otherwise, cargo sets the variable to the checkout's own link.
fn named_by_user(checkout: &Checkout) -> Option<PathBuf> {
    let folder = std::env::var_os("LIBTORCH").filter(|value| !value.is_empty()).map(PathBuf::from)?;
    (folder != checkout.libtorch_link()).then_some(folder)
}

/// Returns the reason why `folder` is not a usable libtorch; `None` if it is usable.
fn defect(folder: &Path) -> Option<String> {
    let version = match fs::read_to_string(folder.join(BUILD_VERSION)) {
        Ok(version) => version.trim().to_owned(),
        Err(error) => return Some(format!("can't read its `build-version`: {error}")),
    };
    // Official archives append the kind of build: `2.13.0+cpu`.
    if version.split('+').next() != Some(VERSION) {
        return Some(format!("its version is `{version}`, not {VERSION}"));
    }
    let needed = ["include/torch/csrc/api/include/torch/torch.h", "lib/libtorch_cpu.so", "lib/libc10.so", "lib/libtorch.so"];
    let missing = needed.iter().find(|file| !folder.join(file).exists() && cfg!(target_os = "linux"))?;
    Some(format!("it has no `{missing}`"))
}

/// Returns the libraries that `folder`'s libtorch would not find when a program starts.
fn unresolved(folder: &Path) -> anyhow::Result<Vec<String>> {
    if !sh::is_there("ldd") {
        return Ok(Vec::new());
    }
    let mut command = Command::new("ldd");
    command.arg(folder.join("lib/libtorch_cpu.so")).env("LD_LIBRARY_PATH", folder.join("lib")).stderr(Stdio::null());
    let listing = sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)?;
    Ok(listing.lines().filter_map(|line| line.trim().split_once(" => not found")).map(|(name, _)| name.to_owned()).collect())
}

/// Returns the folder of packages that contains `python`'s torch, if that has the right version.
pub fn installed_torch(python: &Path) -> Option<PathBuf> {
    const SCRIPT: &str = "
import importlib.metadata as m
d = m.distribution('torch')
print(d.version.split('+')[0])
print(d.locate_file(''))";
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).stdin(Stdio::null()).stderr(Stdio::null());
    let answer = sh::quiet_output(&mut command, sh::LOOKUP_LIMIT).ok()?;
    let (version, packages) = answer.trim().split_once('\n')?;
    (version.trim() == VERSION).then(|| PathBuf::from(packages.trim()))
}

/// Makes a folder of links into `packages`, the folder that contains an installed torch.
fn link_to(cache: &Path, packages: &Path) -> anyhow::Result<PathBuf> {
    let digest = hex::encode(Sha256::digest(packages.as_os_str().as_encoded_bytes()));
    let folder = cache.join(format!("libtorch-{VERSION}-of-{}", &digest[..12]));
    replace(&folder, |fresh| {
        std::os::unix::fs::symlink(packages.join("torch/include"), fresh.join("include"))?;
        for library in wheel::libraries_in(packages)? {
            let name = library.file_name().context("a library without a name")?;
            std::os::unix::fs::symlink(&library, fresh.join("lib").join(name))?;
        }
        Ok(())
    })?;
    Ok(folder)
}

/// Downloads PyTorch's wheel through pip and unpacks the needed parts.
fn download(checkout: &Checkout, folder: &Path) -> anyhow::Result<()> {
    python::with_pip()?;
    eprintln!("libtorch {VERSION} is not here yet: getting it from PyTorch's wheel (about 540 MB)");
    let wheels = beside(folder, ".wheels");
    remove(&wheels)?;
    fs::create_dir_all(&wheels)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--only-binary=:all:"]);
    // A wheel for any Python version works: nothing that is used from it depends on Python.
    pip.args(["--python-version", "3.12", "--dest"]).arg(&wheels);
    pip.args(python::HASHED).arg(checkout.root.join(python::LIBTORCH));
    sh::run(&mut pip, sh::INSTALL_LIMIT).context("can't download PyTorch\nhint: set LIBTORCH to a libtorch of your own")?;
    replace(folder, |fresh| wheel::unpack(&wheels, fresh))?;
    remove(&wheels)
}

/// Makes `folder` with `fill`, checks it, and moves it into place only when it is complete.
fn replace(folder: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let fresh = beside(folder, ".partial");
    // A killed process may have left this folder; nobody else uses it, since we hold the lock.
    remove(&fresh)?;
    fs::create_dir_all(fresh.join("lib"))?;
    fill(&fresh)?;
    // torch-sys asks for `-ltorch`; the real library would need libtorch_cuda.so.
    fs::write(fresh.join("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n")?;
    fs::write(fresh.join(BUILD_VERSION), format!("{VERSION}\n"))?;
    if let Some(problem) = defect(&fresh) {
        bail!("what was made is not a libtorch: {problem}");
    }
    let unresolved = unresolved(&fresh)?;
    if !unresolved.is_empty() {
        bail!("libtorch_cpu.so needs libraries that are not there: {}", unresolved.join(", "));
    }
    remove(folder)?;
    fs::rename(&fresh, folder).with_context(|| format!("can't move libtorch to `{}`", folder.display()))
}

/// Points `link` at `folder`, atomically for everybody who looks.
fn point(link: &Path, folder: &Path) -> anyhow::Result<()> {
    if link.canonicalize().is_ok_and(|current| current == folder) {
        return Ok(());
    }
    let new = beside(link, &format!(".{}", std::process::id()));
    remove(&new)?;
    std::os::unix::fs::symlink(folder, &new)?;
    if link.is_dir() && !link.is_symlink() {
        bail!("`{}` is a folder, not the link that it should be\nhint: remove it", link.display());
    }
    fs::rename(&new, link).with_context(|| format!("can't make the link `{}`", link.display()))?;
    // Build scripts watch this file's time: a time before the last build would go unnoticed.
    let version = folder.join(BUILD_VERSION);
    if let Ok(file) = fs::File::options().append(true).open(version) {
        file.set_modified(std::time::SystemTime::now())?;
    }
    Ok(())
}

/// Returns the path with `suffix` appended, which is on the same file system, so that it can be renamed into place.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a file, link or folder if it exists.
fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(|| format!("can't remove `{}`", path.display())),
        _ => Ok(()),
    }
}

/// Returns `Err` unless there is a C++ compiler, which torch-sys needs.
fn compiler() -> anyhow::Result<()> {
    let compiler = std::env::var_os("CXX").filter(|value| !value.is_empty()).unwrap_or_else(|| "c++".into());
    if !sh::is_there(&compiler) {
        bail!(
            "there is no C++ compiler: `{}` can't be run\nhint: install one (Debian: `apt-get install g++`), or name one by CXX",
            compiler.to_string_lossy()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libtorch(folder: &Path, version: &str) {
        for file in ["include/torch/csrc/api/include/torch/torch.h", "lib/libtorch_cpu.so", "lib/libc10.so", "lib/libtorch.so"] {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(folder.join("build-version"), version).unwrap();
    }

    #[test]
    fn libtorch_is_checked_by_version_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(defect(folder).unwrap().contains("build-version"));
        for (version, good) in [("2.13.0", true), ("2.13.0+cpu\n", true), ("2.12.0", false), ("2.13.01", false), ("", false)] {
            libtorch(folder, version);
            assert_eq!(defect(folder).is_none(), good, "{version}");
        }
        libtorch(folder, VERSION);
        fs::remove_file(folder.join("lib/libc10.so")).unwrap();
        assert!(defect(folder).unwrap().contains("lib/libc10.so"));
    }

    #[test]
    fn link_is_moved_between_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b, link) = (folder.path().join("a"), folder.path().join("b"), folder.path().join(".libtorch"));
        libtorch(&a, VERSION);
        libtorch(&b, VERSION);
        for target in [&a, &b, &b] {
            point(&link, &target.canonicalize().unwrap()).unwrap();
            assert_eq!(link.canonicalize().unwrap(), target.canonicalize().unwrap());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn leftovers_are_removed_and_a_failure_keeps_the_old_libtorch() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("libtorch-2.13.0");
        let fill = |fresh: &Path| {
            assert!(!fresh.join("half").exists());
            libtorch(fresh, VERSION);
            // A program that every `ldd` accepts stands in for the real library.
            fs::copy("/proc/self/exe", fresh.join("lib/libtorch_cpu.so"))?;
            Ok(())
        };
        fs::create_dir_all(beside(&target, ".partial").join("half")).unwrap();
        replace(&target, fill).unwrap();
        assert!(defect(&target).is_none());
        assert!(replace(&target, |_| bail!("no space left")).is_err());
        assert!(defect(&target).is_none(), "the one that was there is still there");
        replace(&target, fill).unwrap();
        assert!(!beside(&target, ".partial").exists());
    }
}
