//! The environment of the frameworks that fltk is compared with, and whose apps it runs. It is in the cache, apart from that of the tests, whose PyTorch it uses.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{beside, checkout::Checkout, sh};

/// The list of packages, in the checkout: 150 MB to download, 600 MB on disk.
const LIST: &str = "python/peers.txt";

/// Returns the `python` of the environment, which is made if it isn't there. `tests` is that of the tests.
///
/// # Errors
/// If it can't be made.
pub fn ensure(checkout: &Checkout, tests: &Path) -> anyhow::Result<PathBuf> {
    beside::ensure(checkout, tests, "peers", LIST)
}

/// Returns the versions of what is measured.
///
/// # Errors
/// If its `python` can't be run.
pub fn versions(python: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(python);
    let script = "from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in ('torch', 'flwr', 'ray', 'pfl')))";
    Ok(sh::quiet_output(command.args(["-c", script]).stdin(Stdio::null()), sh::LOOKUP_LIMIT)?.trim().to_owned())
}
