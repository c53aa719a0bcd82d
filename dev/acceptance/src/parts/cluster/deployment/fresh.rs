//! The programs of a fresh Debian on which a reader has installed only what a page names: those of essential packages, and of the packages that the page
//! installs with all their dependencies. If a page uses a program without saying so, its commands don't find it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::{setup::debian, sh};

/// The start of a line in which a page installs packages.
const INSTALLS: &str = "sudo apt-get install --yes ";

/// The folders of programs.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
/// The folder of links to programs that several packages have: `cc`, `awk`.
const ALTERNATIVES: &str = "/etc/alternatives";

/// Returns the packages that `page` installs.
pub fn packages(page: &str) -> Vec<&str> {
    let installs = page.lines().filter_map(|line| line.strip_prefix(INSTALLS)?.split('#').next());
    installs.flat_map(str::split_whitespace).collect()
}

/// Fills `folder` with links to the programs. Installs those of `packages` that are missing.
pub fn fill(folder: &Path, packages: &[&str]) -> anyhow::Result<()> {
    ensure!(!packages.is_empty(), "the page installs nothing");
    debian::install(packages).map_err(anyhow::Error::msg)?;
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", r"${Package}\t${Essential}\t${db:Status-Status}\t${Pre-Depends}, ${Depends}\t${Provides}\n"]);
    let listing = sh::quiet_output(query.stdin(Stdio::null()), sh::LOOKUP_LIMIT)?;
    let all = closure(&listing, packages)?;
    let mut list = Command::new("dpkg-query");
    let files = sh::quiet_output(list.arg("--listfiles").args(&all).stdin(Stdio::null()), sh::LOOKUP_LIMIT)?;
    let is_in_folder = |path: &Path| path.parent().is_some_and(|parent| FOLDERS.iter().any(|folder| parent == Path::new(folder)));
    let mut real = BTreeSet::new();
    for path in files.lines().map(Path::new).filter(|path| is_in_folder(path)) {
        real.extend(path.canonicalize());
        link(folder, path)?;
    }
    for entry in fs::read_dir(ALTERNATIVES).with_context(|| format!("can't list `{ALTERNATIVES}`"))? {
        let entry = entry?;
        let place = FOLDERS.iter().map(|folder| Path::new(folder).join(entry.file_name())).find(|place| place.exists());
        if let Some(place) = place.filter(|place| place.canonicalize().is_ok_and(|path| real.contains(&path))) {
            link(folder, &place)?;
        }
    }
    Ok(())
}

fn link(folder: &Path, program: &Path) -> anyhow::Result<()> {
    let to: PathBuf = folder.join(program.file_name().context("a file without a name")?);
    if !program.is_file() || to.symlink_metadata().is_ok() {
        return Ok(());
    }
    symlink(program, &to).with_context(|| format!("can't make `{}`", to.display()))
}

/// Returns the packages in `listing` that are essential or named, with all their dependencies: among alternatives, the first that is
/// installed.
fn closure<'a>(listing: &'a str, named: &[&'a str]) -> anyhow::Result<BTreeSet<&'a str>> {
    let mut depends: BTreeMap<&str, &str> = BTreeMap::new();
    let mut provided: BTreeMap<&str, &str> = BTreeMap::new();
    let mut wanted: Vec<&str> = named.to_vec();
    for line in listing.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [package, essential, "installed", needs, provides] = fields[..] else { continue };
        depends.insert(package, needs);
        provided.extend(provides.split(',').map(first_word).filter(|name| !name.is_empty()).map(|name| (name, package)));
        if essential == "yes" {
            wanted.push(package);
        }
    }
    let mut found = BTreeSet::new();
    while let Some(package) = wanted.pop() {
        let package = if depends.contains_key(package) { package } else { provided.get(package).copied().unwrap_or(package) };
        let needs = depends.get(package).with_context(|| format!("the Debian package `{package}` isn't installed"))?;
        if found.insert(package) {
            let is_there = |name: &&str| depends.contains_key(name) || provided.contains_key(name);
            wanted.extend(needs.split(',').filter_map(|one_of| one_of.split('|').map(first_word).find(is_there)));
        }
    }
    Ok(found)
}

/// Returns the name without a version and an architecture.
fn first_word(name: &str) -> &str {
    name.split_whitespace().next().unwrap_or_default().split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_read_from_a_page() {
        assert_eq!(packages("text\n```sh\nsudo apt-get install --yes a b   # these\n```\nsudo apt-get update\n"), ["a", "b"]);
        assert!(!packages(include_str!("../../../../../../docs/guide/README.md")).is_empty());
    }

    #[test]
    fn named_packages_come_with_exactly_their_dependencies() {
        let listing = "base\tyes\tinstalled\t, libc (>= 2)\t\nlibc\tno\tinstalled\t, \t\na\tno\tinstalled\t, b | c:any, virtual\t\n\
                       c\tno\tinstalled\t, \t\nv\tno\tinstalled\t, a\tvirtual (= 1)\nother\tno\tinstalled\t, c\t\nb\tno\tconfig-files\t, \t\n";
        assert_eq!(closure(listing, &["a"]).unwrap().into_iter().collect::<Vec<_>>(), ["a", "base", "c", "libc", "v"]);
        assert_eq!(closure(listing, &[]).unwrap().into_iter().collect::<Vec<_>>(), ["base", "libc"]);
        assert!(closure(listing, &["b"]).unwrap_err().to_string().contains("`b`"));
    }
}
