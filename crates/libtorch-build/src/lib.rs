//! The part of build scripts that all packages that link libtorch have in common: the check of libtorch before anything is compiled against it, and
//! the arguments with which programs, tests and examples find it at run time.
//!
//! Link arguments reach only the targets of the package whose build script prints them, so each of these packages has a build script that calls
//! [`find_and_link`]. Compiling and linking C++ is the matter of the package that does it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The libtorch that `tch` 0.26 is generated for; it accepts no other.
const VERSION: &str = "2.13.0";

/// Returns libtorch's folder, with links resolved, after printing the link arguments for the package whose build script calls this. Without a libtorch of
/// the right version it prints the error, with which cargo ends the build, and returns `None`.
#[must_use]
pub fn find_and_link() -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    match find() {
        Ok(folder) => {
            print_link_arguments(&folder);
            Some(folder)
        }
        Err(problem) => {
            println!("cargo::error={problem}; hint: run `cargo xtask setup`, which finds or gets libtorch {VERSION}");
            None
        }
    }
}

/// Returns the folder that `LIBTORCH` names, with links resolved: a target folder may outlive the checkout that built it.
fn find() -> Result<PathBuf, String> {
    let named = env::var_os("LIBTORCH").map(PathBuf::from).ok_or("LIBTORCH is not set")?;
    println!("cargo::rerun-if-changed={}", named.join("build-version").display());
    let folder = named.canonicalize().map_err(|error| format!("LIBTORCH is `{}`: {error}", named.display()))?;
    let file = folder.join("build-version");
    let version = fs::read_to_string(&file).map_err(|error| format!("can't read `{}`: {error}", file.display()))?;
    if is_accepted(&version) { Ok(folder) } else { Err(format!("LIBTORCH `{}` has version `{}`", folder.display(), version.trim())) }
}

/// True if the content of libtorch's file `build-version` names the version that is needed. Official archives append the kind of build: `2.13.0+cpu`.
fn is_accepted(build_version: &str) -> bool {
    build_version.trim().split('+').next() == Some(VERSION)
}

fn print_link_arguments(folder: &Path) {
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.join("lib").display());
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // This sets RPATH instead of RUNPATH, so that libtorch's own dependencies are looked for there too.
        println!("cargo::rustc-link-arg=-Wl,--disable-new-dtags");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_libtorch_version_of_tch_is_accepted() {
        for (build_version, expected) in
            [("2.13.0", true), ("2.13.0+cpu\n", true), ("2.12.0", false), ("2.13.01", false), ("2.13", false), ("", false)]
        {
            assert_eq!(is_accepted(build_version), expected, "{build_version:?}");
        }
    }
}
