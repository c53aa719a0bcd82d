//! What an image of our program has in it, as files below a folder.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{Kind, libraries};
use crate::{setup::debian, sh};

/// Who runs the program, and who owns what it writes: the number that distroless images gave to `nonroot`.
pub const USER: u32 = 65532;
/// [`USER`] and the group of the same number, as image configurations have it.
pub const USER_AND_GROUP: &str = "65532:65532";
/// The program.
pub const PROGRAM: &str = "/usr/local/bin/fltk";
/// The folder of its libraries, by `LD_LIBRARY_PATH`: which folders a loader knows by itself differs between systems.
pub const LIBRARIES: &str = "/usr/local/lib/fltk";

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The home is the one folder that the user may write to.
const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nfltk:x:65532:65532:fltk:/tmp:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nfltk:x:65532:\n";

/// A pod's own name is in `/etc/hosts` alone, and without this file older C libraries ask only the name server.
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Fills the folder `root` with what the image of `program` has. No path of this machine is in it but those inside of the program.
pub fn stage(root: &Path, program: &Path, kind: Kind) -> anyhow::Result<()> {
    set_mode(root, 0o755)?;
    copy_stripped(program, root, PROGRAM)?;
    let linked = libraries::of(program)?;
    for (name, library) in &linked.libraries {
        copy(library, root, Path::new(LIBRARIES).join(name), 0o755)?;
    }
    if let Some(loader) = &linked.loader {
        copy(loader, root, loader, 0o755)?;
    }
    write(root, "/etc/passwd", PASSWD)?;
    write(root, "/etc/group", GROUP)?;
    write(root, "/etc/nsswitch.conf", NAMES)?;
    if !Path::new(CERTIFICATES).exists() {
        debian::install(&["ca-certificates"]).map_err(anyhow::Error::msg)?;
    }
    copy(Path::new(CERTIFICATES), root, CERTIFICATES, 0o644)?;
    if kind == Kind::Training {
        debian::fashion_mnist().map_err(anyhow::Error::msg)?;
        // The program looks there by itself, as on Debian.
        for name in debian::FASHION_MNIST_FILES {
            let file = Path::new(debian::FASHION_MNIST).join(name);
            copy(&file, root, &file, 0o644)?;
        }
    }
    let temporary = at(root, "/tmp");
    fs::create_dir(&temporary)?;
    set_mode(&temporary, 0o1777)
}

/// Leaves out what only a debugger reads, nine tenths of a release build: line numbers, and names of this machine's folders among them.
fn copy_stripped(program: &Path, root: &Path, path: &str) -> anyhow::Result<()> {
    let to = at(root, path);
    make_folders(root, &to)?;
    sh::quiet_output(Command::new("strip").args(["--strip-debug", "-o"]).arg(&to).arg(program), sh::LOOKUP_LIMIT)?;
    set_mode(&to, 0o755)
}

/// Where `path` of the image is below `root`.
fn at(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn write(root: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let to = at(root, path);
    make_folders(root, &to)?;
    fs::write(&to, text)?;
    set_mode(&to, 0o644)
}

/// Copies what links lead to, not links, to `path` of the image.
fn copy(from: &Path, root: &Path, path: impl AsRef<Path>, mode: u32) -> anyhow::Result<()> {
    let to = at(root, path);
    make_folders(root, &to)?;
    fs::copy(from, &to).with_context(|| format!("can't copy `{}`", from.display()))?;
    set_mode(&to, mode)
}

/// The folders above `file`, which everybody may enter, whatever this process's umask is.
fn make_folders(root: &Path, file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    folder.ancestors().take_while(|above| *above != root).try_for_each(|above| set_mode(above, 0o755))
}

fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_staged_program_has_its_libraries_and_a_user() {
        let root = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        // Without the certificates it would have to install a package.
        if !Path::new(CERTIFICATES).exists() {
            eprintln!("skipped: no `{CERTIFICATES}`");
            return;
        }
        stage(root.path(), &own, Kind::Orchestrator).unwrap();
        let linked = libraries::of(&own).unwrap();
        assert!(!linked.libraries.is_empty());
        for (name, _) in &linked.libraries {
            assert!(at(root.path(), LIBRARIES).join(name).is_file(), "{name}");
        }
        // The staged loader starts the staged program with staged libraries and no others.
        let mut command = Command::new(at(root.path(), linked.loader.as_ref().unwrap()));
        command.arg("--inhibit-cache").arg("--library-path").arg(at(root.path(), LIBRARIES)).arg(at(root.path(), PROGRAM));
        let status = command.arg("--list").stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
        let passwd = fs::read_to_string(at(root.path(), "/etc/passwd")).unwrap();
        assert!(passwd.contains(&format!("fltk:x:{USER}:{USER}:")) && USER_AND_GROUP == format!("{USER}:{USER}"));
        assert!(!at(root.path(), debian::FASHION_MNIST).exists());
        assert_eq!(fs::metadata(root.path().join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
    }
}
