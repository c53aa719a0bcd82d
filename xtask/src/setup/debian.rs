//! Debian packages, if this is Debian and we may install: the full Fashion-MNIST, for the acceptance runs, and Chromium, for the tests of the page.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::programs;
use crate::sh;

/// The folder where the package `dataset-fashion-mnist` puts its files; `fltk` looks there by itself.
pub const FASHION_MNIST: &str = "/usr/share/datasets/fashion-mnist";
/// The files of that package.
pub const FASHION_MNIST_FILES: [&str; 4] =
    ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];

/// Makes sure that the full Fashion-MNIST is on this machine. `Err` says why that is impossible.
pub fn fashion_mnist() -> Result<(), String> {
    let missing = || FASHION_MNIST_FILES.iter().find(|file| !Path::new(FASHION_MNIST).join(file).exists());
    if missing().is_none() {
        return Ok(());
    }
    install(&["dataset-fashion-mnist"])?;
    missing().map_or(Ok(()), |file| Err(format!("the package has no `{FASHION_MNIST}/{file}`")))
}

/// The program of Chromium.
pub const CHROMIUM: &str = "chromium";

/// Makes sure that Chromium is on this machine, with a font. `Err` says why that is impossible.
pub fn chromium() -> Result<(), String> {
    // A Chromium that came in another way is as good.
    if programs::is_on_path(CHROMIUM) {
        return Ok(());
    }
    // Without recommended packages there would be no font, and a page without letters.
    install(&["chromium", "fonts-dejavu-core"])
}

/// Installs those of `packages` that are missing. `Err` says why that is impossible: no apt, not root, or an error of apt.
pub fn install(packages: &[&str]) -> Result<(), String> {
    let packages: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(" ");
    if !sh::is_there("apt-get") {
        return Err(format!("the Debian package `{wanted}` can't be installed: there is no apt-get"));
    }
    if !is_root() {
        return Err(format!(
            "the Debian package `{wanted}` is missing, and only root may install it; hint: `sudo apt-get install {wanted}`"
        ));
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        // Another apt may be running, so this waits for dpkg's lock.
        command
            .args(["-o", "DPkg::Lock::Timeout=600"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        sh::run(&mut command, sh::INSTALL_LIMIT)
    };
    let install = [&["install", "--yes", "--no-install-recommends"], &packages[..]].concat();
    // Lists may be fresh, or there may be no network but a package in apt's cache, so lists are updated only if the installation fails
    // without.
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install))).map_err(|error| format!("{error:#}"))
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", package]).stdin(Stdio::null()).stderr(Stdio::null());
    sh::quiet_output(&mut query, sh::LOOKUP_LIMIT).is_ok_and(|status| status == "installed")
}

/// True if this process runs as root.
pub fn is_root() -> bool {
    let id = sh::quiet_output(Command::new("id").arg("-u"), sh::LOOKUP_LIMIT);
    id.is_ok_and(|id| id.trim() == "0")
}
