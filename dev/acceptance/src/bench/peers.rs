//! The environment of the frameworks that fltk is compared with. It is in the cache, apart from that of the tests, whose PyTorch it uses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::{checkout::Checkout, setup::python::HASHED, sh};

/// The list of packages, in the checkout.
const LIST: &str = "python/peers.txt";
/// The file in the environment with the list that was installed; it is written last.
const INSTALLED: &str = "fltk-installed";

/// Returns the `python` of the environment, which is made if it isn't there. `tests` is that of the tests.
pub fn ensure(checkout: &Checkout, tests: &Path) -> anyhow::Result<PathBuf> {
    let folder = checkout.cache.join("peers");
    let (program, installed) = (folder.join("bin/python"), folder.join(INSTALLED));
    // Another environment of the tests has another path, which is in the file too.
    let wanted = format!("{}\n{}", tests.display(), fs::read_to_string(checkout.root.join(LIST))?);
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    eprintln!("installing Flower and pfl-research for benchmarks (150 MB to download, 600 MB on disk)");
    sh::run(Command::new(tests).args(["-m", "venv", "--clear"]).arg(&folder), sh::INSTALL_LIMIT)?;
    let site = |python: &Path| -> anyhow::Result<String> {
        let mut command = Command::new(python);
        command.args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdin(Stdio::null());
        Ok(sh::quiet_output(&mut command, sh::LOOKUP_LIMIT)?.trim().to_owned())
    };
    let own = PathBuf::from(site(&program)?);
    fs::write(own.join("of-tests.pth"), site(tests)?).with_context(|| format!("can't write into `{}`", own.display()))?;
    let mut pip = Command::new(&program);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--quiet", "--only-binary=:all:", "--no-deps"]);
    pip.args(HASHED).arg(checkout.root.join(LIST)).stdin(Stdio::null());
    sh::run(&mut pip, sh::INSTALL_LIMIT)?;
    fs::write(installed, wanted)?;
    Ok(program)
}

/// Returns the versions of what is measured.
pub fn versions(python: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(python);
    let script = "from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in ('torch', 'flwr', 'ray', 'pfl')))";
    Ok(sh::quiet_output(command.args(["-c", script]).stdin(Stdio::null()), sh::LOOKUP_LIMIT)?.trim().to_owned())
}
