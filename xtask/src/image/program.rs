//! Our program as an image has it: without what only a debugger reads, and without the way to libtorch on this machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::context::set_mode;
use crate::{setup::debian, sh};

/// Copies `program` to `to`. Nine tenths of a release build are line numbers and names, those of this machine's folders among them. Also makes it need the
/// libraries `needed`, as the linker would have if it didn't drop those that no function is used of.
pub fn copy(program: &Path, to: &Path, needed: &[&str]) -> anyhow::Result<()> {
    for (tool, package) in [("strip", "binutils"), ("patchelf", "patchelf")] {
        if !sh::is_there(tool) {
            debian::install(&[package]).map_err(anyhow::Error::msg)?;
        }
    }
    sh::quiet_output(Command::new("strip").args(["--strip-all", "-o"]).arg(to).arg(program), sh::LOOKUP_LIMIT)?;
    let patch = |arguments: &[&str]| sh::quiet_output(Command::new("patchelf").args(arguments).arg(to), sh::LOOKUP_LIMIT).map(drop);
    if !search_path(program)?.is_empty() {
        patch(&["--remove-rpath"])?;
    }
    needed.iter().try_for_each(|library| patch(&["--add-needed", library]))?;
    set_mode(to, 0o755)
}

/// The folders of this machine in which `program` looks for its libraries first (RPATH).
pub fn search_path(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let path = sh::quiet_output(Command::new("patchelf").arg("--print-rpath").arg(program), sh::LOOKUP_LIMIT)
        .with_context(|| format!("`{}` is not a program", program.display()))?;
    Ok(path.trim().split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from).collect())
}
