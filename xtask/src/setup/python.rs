//! Python: pip for PyTorch's wheel, and the environment for the tests, with PyTorch as the peer and TensorBoard as the reader.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::debian;
use crate::{checkout::Checkout, lock, sh};

/// The file in an environment that exists once everything is installed.
const STAMP: &str = "fltk-complete";

/// The list of packages for the TensorBoard image, in the checkout.
pub const TENSORBOARD: &str = "python/tensorboard.txt";
/// The list of wheels from which libtorch is taken, in the checkout.
pub const LIBTORCH: &str = "python/libtorch.txt";

/// The options of pip before a file of packages: pip accepts only packages with one of the digests in the file.
pub const HASHED: [&str; 2] = ["--require-hashes", "--requirement"];

const HINT: &str = "hint: install Python 3.11 or later with pip and venv (Debian: `apt-get install python3-pip python3-venv`)";

/// Returns `Err` unless `python3 -m pip` works.
pub fn with_pip() -> anyhow::Result<()> {
    if !sh::is_there("python3") {
        bail!("there is no `python3`\n{HINT}");
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stderr(Stdio::null());
    if sh::quiet_output(&mut pip, sh::LOOKUP_LIMIT).is_err() {
        bail!("`python3 -m pip` doesn't work\n{HINT}");
    }
    Ok(())
}

/// Returns the `python` of an environment with everything in `python/requirements.txt`, which is made in the cache if it isn't there.
///
/// An environment's scripts contain its path, so it can't be made elsewhere and moved. A file that is written last marks it as complete.
pub fn ensure(checkout: &Checkout) -> anyhow::Result<PathBuf> {
    let folder = folder(checkout)?.with_context(|| format!("there is no `python3`\n{HINT}"))?;
    let program = folder.join("bin/python");
    let _lock = lock::take(&checkout.cache.join("python.lock"), "installing Python packages")?;
    if is_complete(&folder) {
        return Ok(program);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("can't remove the unfinished `{}`", folder.display()))?;
    }
    eprintln!("installing PyTorch and TensorBoard for the tests (about 2.5 GB to download, 5 GB on disk)");
    if make(&folder).is_err() {
        debian::install(&["python3-venv"]).map_err(anyhow::Error::msg).with_context(|| format!("`python3 -m venv` fails\n{HINT}"))?;
        make(&folder)?;
    }
    let mut pip = Command::new(&program);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--quiet", "--only-binary=:all:"]);
    pip.args(HASHED).arg(requirements(checkout)).stdin(Stdio::null());
    sh::run(&mut pip, sh::INSTALL_LIMIT)?;
    fs::write(folder.join(STAMP), "")?;
    Ok(program)
}

/// Returns the environment's `python`, if [`ensure`] has made it before.
pub fn existing(checkout: &Checkout) -> anyhow::Result<Option<PathBuf>> {
    Ok(folder(checkout)?.filter(|folder| is_complete(folder)).map(|folder| folder.join("bin/python")))
}

fn is_complete(folder: &Path) -> bool {
    folder.join(STAMP).exists() && folder.join("bin/python").exists()
}

fn make(folder: &Path) -> anyhow::Result<()> {
    sh::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), sh::INSTALL_LIMIT)
}

fn requirements(checkout: &Checkout) -> PathBuf {
    checkout.root.join("python/requirements.txt")
}

/// Returns the environment's folder, whose name contains a digest of what it depends on: the requirements and the Python version. `None`
/// without a `python3`.
fn folder(checkout: &Checkout) -> anyhow::Result<Option<PathBuf>> {
    let path = requirements(checkout);
    let wanted = fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    let mut command = Command::new("python3");
    command.args(["-c", "import sys; print(sys.version, sys.base_prefix)"]).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(python) = sh::quiet_output(&mut command, sh::LOOKUP_LIMIT) else { return Ok(None) };
    let digest = hex::encode(Sha256::new().chain_update(wanted).chain_update(python).finalize());
    Ok(Some(checkout.cache.join(format!("python-{}", &digest[..12]))))
}
