//! Our program in the form for an image: without debug information, and without the path to libtorch on this machine.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::context::set_mode;
use super::tools;
use crate::sh;

/// The folder for sources on a system that has them.
const SOURCES: &[u8] = b"/usr/src";

/// Copies `program` to `to` without line numbers and function names, which are nine tenths of a release build: panics still report their location. The copy
/// also requires the libraries `needed`, which the linker dropped because none of their functions is called, and no longer contains the folders `paths`.
pub fn copy(program: &Path, to: &Path, needed: &[&str], paths: &[PathBuf]) -> anyhow::Result<()> {
    tools::ensure(&["strip", "patchelf"])?;
    sh::quiet_output(Command::new("strip").args(["--strip-all", "-o"]).arg(to).arg(program), sh::LOOKUP_LIMIT)?;
    let patch = |arguments: &[&str]| sh::quiet_output(Command::new("patchelf").args(arguments).arg(to), sh::LOOKUP_LIMIT).map(drop);
    if !search_path(program)?.is_empty() {
        patch(&["--remove-rpath"])?;
    }
    needed.iter().try_for_each(|library| patch(&["--add-needed", library]))?;
    let bytes = fs::read(to)?;
    fs::write(to, forget(bytes, paths))?;
    set_mode(to, 0o755)
}

/// Replaces all `paths` in `bytes`. Compilers put the names of source files into a program, for the messages of panics and of libtorch's checks; giving
/// them other names would require compiling every dependency a second time. The replacement has the same length, so nothing moves, and is the same text
/// on every machine: `/usr/src` and slashes.
fn forget(mut bytes: Vec<u8>, paths: &[PathBuf]) -> Vec<u8> {
    let mut paths: Vec<&[u8]> = paths.iter().map(|path| path.as_os_str().as_bytes()).filter(|path| path.len() > SOURCES.len()).collect();
    // A folder comes before the one that contains it.
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    for path in paths {
        let mut replacement = SOURCES.to_vec();
        replacement.resize(path.len(), b'/');
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(&bytes[from..], path) {
            bytes[from + at..from + at + path.len()].copy_from_slice(&replacement);
            from += at + path.len();
        }
    }
    bytes
}

/// Returns the folders of this machine in which `program` looks for its libraries first (RPATH).
pub fn search_path(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    tools::ensure(&["patchelf"])?;
    let path = sh::quiet_output(Command::new("patchelf").arg("--print-rpath").arg(program), sh::LOOKUP_LIMIT)
        .with_context(|| format!("`{}` is not a program", program.display()))?;
    Ok(path.trim().split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::Checkout;

    #[test]
    fn paths_are_replaced_by_others_of_the_same_length() {
        let check = |text: &str, expected: &str| {
            let paths = ["/srv/someone/x", "/srv/someone", "/"].map(PathBuf::from);
            assert_eq!(String::from_utf8(forget(text.as_bytes().to_vec(), &paths)).unwrap(), expected);
        };
        check("\0/srv/someone/x/a.rs/srv/someone/y\0", "\0/usr/src///////a.rs/usr/src/////y\0");
        check("/srv/someone/x", "/usr/src//////");
        check("/srv/some", "/srv/some");
        check("", "");
    }

    /// This is the one property of a copy that no other test checks: this test's own program is full of such paths.
    #[test]
    fn copy_runs_and_has_no_path_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let paths = Checkout::find().unwrap().machine_paths();
        let has = |program: &Path| {
            let bytes = fs::read(program).unwrap();
            paths.iter().filter(|path| memchr::memmem::find(&bytes, path.as_os_str().as_bytes()).is_some()).count()
        };
        assert!(has(&own) > 0);
        let copied = folder.path().join("copy");
        if !sh::is_there("strip") || !sh::is_there("patchelf") {
            eprintln!("skipped: no `strip` or no `patchelf`");
            return;
        }
        copy(&own, &copied, &[], &paths).unwrap();
        assert_eq!(has(&copied), 0);
        assert!(
            sh::quiet_output(Command::new(&copied).args(["--list", "no_path_of_this_machine"]), sh::LOOKUP_LIMIT)
                .unwrap()
                .contains("1 test")
        );
    }
}
