//! Checks libtorch before anything is compiled against it, and makes this package's tests and examples find it at run time.

use std::{env, fs, path::PathBuf};

/// The libtorch that `tch` 0.26 is generated for; it accepts no other.
const VERSION: &str = "2.13.0";

/// This is also the build script of the other packages that link libtorch: link arguments reach only the targets of their own package.
pub fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    match libtorch() {
        Ok(folder) => link(&folder),
        Err(problem) => println!("cargo::error={problem}; hint: run `cargo xtask setup`, which finds or gets libtorch {VERSION}"),
    }
}

/// Returns the folder of a libtorch of the right version, with links resolved: a target folder may outlive the checkout that built it.
pub fn libtorch() -> Result<PathBuf, String> {
    let named = env::var_os("LIBTORCH").map(PathBuf::from).ok_or("LIBTORCH is not set")?;
    println!("cargo::rerun-if-changed={}", named.join("build-version").display());
    let folder = named.canonicalize().map_err(|error| format!("LIBTORCH is `{}`: {error}", named.display()))?;
    let file = folder.join("build-version");
    let version = fs::read_to_string(&file).map_err(|error| format!("can't read `{}`: {error}", file.display()))?;
    // Official archives append the kind of build: `2.13.0+cpu`.
    match version.trim().split('+').next() {
        Some(VERSION) => Ok(folder),
        _ => Err(format!("LIBTORCH `{}` has version `{}`", folder.display(), version.trim())),
    }
}

fn link(folder: &std::path::Path) {
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.join("lib").display());
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // This sets RPATH instead of RUNPATH, so that libtorch's own dependencies are looked for there too.
        println!("cargo::rustc-link-arg=-Wl,--disable-new-dtags");
    }
}
