//! Programs of others that ours start, by name. An error about a missing one names the Debian package that contains it.

use std::{ffi::OsStr, io, path::Path};

/// All programs, each with the Debian package that contains it. A test of `dev/acceptance` compares the list with the programs that are started.
const PACKAGES: [(&str, &str); 27] = [
    ("apt-get", "apt"),
    ("bash", "bash"),
    ("buildah", "buildah"),
    ("cargo", "rustup"),
    ("cc", "gcc"),
    ("chromium", "chromium"),
    ("ctr", "containerd"),
    ("curl", "curl"),
    ("dpkg-query", "dpkg"),
    ("git", "git"),
    ("go", "golang"),
    ("id", "coreutils"),
    ("ip", "iproute2"),
    ("kill", "procps"),
    ("ldd", "libc-bin"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("patchelf", "patchelf"),
    ("pgrep", "procps"),
    ("podman", "podman"),
    ("podman-compose", "podman-compose"),
    ("python3", "python3"),
    ("setsid", "util-linux"),
    ("sh", "dash"),
    ("strip", "binutils"),
    ("sysctl", "procps"),
    ("umount", "mount"),
];

/// Describes a program that wasn't started because of `error`: its name, and the package to install. Returns `None` if the error has another cause.
pub fn missing(program: &OsStr, error: &io::Error) -> Option<String> {
    let name = program.to_str().filter(|name| error.kind() == io::ErrorKind::NotFound && !name.contains('/') && !is_on_path(name))?;
    let hint = package_of(name).map_or_else(String::new, |package| format!("\nhint: on Debian the package `{package}` has it"));
    Some(format!("there is no program `{name}` in the folders of PATH{hint}"))
}

/// Returns the Debian package that contains `program`.
pub fn package_of(program: &str) -> Option<&'static str> {
    PACKAGES.iter().find(|(known, _)| *known == program).map(|(_, package)| *package)
}

/// True if `program` is in one of the folders of PATH.
pub fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_program(&folder.join(program)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_named() {
        let not_found = io::Error::from(io::ErrorKind::NotFound);
        let said = missing(OsStr::new("no-such-program-anywhere"), &not_found).unwrap();
        assert_eq!(said, "there is no program `no-such-program-anywhere` in the folders of PATH");
        assert_eq!(missing(OsStr::new("sh"), &not_found), None, "something else wasn't found, such as the folder to work in");
        assert_eq!(missing(OsStr::new("/no/such/program"), &not_found), None);
    }
}
