//! Python environments in the cache that are apart from that of the tests and use its PyTorch.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::{checkout::Checkout, setup::python::HASHED, sh};

/// The file in an environment with the list that was installed; it is written last.
const INSTALLED: &str = "fltk-installed";

/// Returns the `python` of the environment `name` with the packages of the file `list` of the checkout, which is made if it isn't there. `tests` is the
/// `python` of the tests' environment.
///
/// # Errors
/// If it can't be made.
pub fn ensure(checkout: &Checkout, tests: &Path, name: &str, list: &str) -> anyhow::Result<PathBuf> {
    let folder = checkout.cache.join(name);
    let (program, installed) = (folder.join("bin/python"), folder.join(INSTALLED));
    let path = checkout.root.join(list);
    let packages = fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    // Another environment of the tests has another path, which is in the file too.
    let wanted = format!("{}\n{packages}", tests.display());
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    eprintln!("installing the packages of {list}");
    sh::run(Command::new(tests).args(["-m", "venv", "--clear"]).arg(&folder), sh::INSTALL_LIMIT)?;
    let own = site(&program)?;
    let of_tests = site(tests)?;
    fs::write(own.join("of-tests.pth"), format!("{}\n", of_tests.display()))
        .with_context(|| format!("can't write into `{}`", own.display()))?;
    let mut pip = Command::new(&program);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--quiet", "--only-binary=:all:", "--no-deps"]);
    pip.args(HASHED).arg(path).stdin(Stdio::null());
    sh::run(&mut pip, sh::INSTALL_LIMIT)?;
    fs::write(installed, wanted)?;
    Ok(program)
}

/// Returns the folder of the packages of an environment.
///
/// # Errors
/// If its `python` can't be run.
pub fn site(python: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(python);
    command.args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdin(Stdio::null());
    Ok(sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)?.trim().into())
}
