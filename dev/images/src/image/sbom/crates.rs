//! The crates that are compiled into a program, according to cargo, for exactly its features.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use cargo_lock::Lockfile;
use cyclonedx_bom::models::{component::Classification, dependency::Dependency};
use cyclonedx_bom::prelude::{Component, Purl};

use super::{licenses, sha256};
use crate::{checkout::Checkout, sh};

/// The crates and their dependencies on each other.
pub struct Crates {
    /// The program's own crate, by its reference.
    pub root: String,
    /// All crates, in order.
    pub components: Vec<Component>,
    /// The dependencies of the crates.
    pub dependencies: Vec<Dependency>,
}

/// Returns the crates from which the package `package` of this checkout is compiled. Procedural macros and build scripts run on the machine
/// that compiles, and are not included.
pub fn of(checkout: &Checkout, package: &str) -> anyhow::Result<Crates> {
    let mut cargo = checkout.cargo_without_libtorch();
    cargo.args(["tree", "--locked", "--package", package, "--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", " {p}"]);
    let tree = parse(&sh::quiet_output(cargo.stdin(Stdio::null()), sh::LOOKUP_LIMIT)?)?.without(&|name| name.starts_with(ONLY_FEATURES));
    let lock = Lockfile::load(checkout.root.join("Cargo.lock")).context("can't read `Cargo.lock`")?;
    let checksums: BTreeMap<String, String> = lock
        .packages
        .iter()
        .filter_map(|package| {
            Some((reference(package.name.as_str(), &package.version.to_string()), package.checksum.as_ref()?.to_string()))
        })
        .collect();
    let metadata = checkout.metadata()?;
    let packages: BTreeMap<String, _> =
        metadata.packages.iter().map(|package| (reference(&package.name, &package.version.to_string()), package)).collect();
    let component = |name: &String| -> anyhow::Result<Component> {
        let package = packages.get(name).with_context(|| format!("cargo knows no crate `{name}`"))?;
        let version = package.version.to_string();
        let mut component = Component::new(Classification::Library, &package.name, &version, Some(name.clone()));
        component.licenses = package.license.as_deref().and_then(licenses);
        if let Some(checksum) = checksums.get(name) {
            component.hashes = Some(sha256(checksum));
            component.purl = Some(Purl::new("cargo", &package.name, &version).context("a name that no purl has")?);
        }
        Ok(component)
    };
    let components = tree.edges.keys().map(component).collect::<anyhow::Result<_>>()?;
    let dependency = |(from, to): (String, BTreeSet<String>)| Dependency { dependency_ref: from, dependencies: to.into_iter().collect() };
    Ok(Crates { root: tree.root, components, dependencies: tree.edges.into_iter().map(dependency).collect() })
}

#[derive(Debug, PartialEq, Eq)]
struct Tree {
    root: String,
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// A package of ours without code: it selects features of libraries, some of which the program doesn't use.
const ONLY_FEATURES: &str = "features@";

impl Tree {
    /// Returns the tree without the packages for which `is_left_out` is true, and without those reached only through them.
    fn without(mut self, is_left_out: &dyn Fn(&str) -> bool) -> Self {
        let mut reached = BTreeSet::from([self.root.clone()]);
        let mut new = vec![self.root.clone()];
        while let Some(from) = new.pop() {
            for to in self.edges.get(&from).into_iter().flatten().filter(|to| !is_left_out(to)) {
                if reached.insert(to.clone()) {
                    new.push(to.clone());
                }
            }
        }
        self.edges.retain(|from, _| reached.contains(from));
        self.edges.values_mut().for_each(|to| to.retain(|name| reached.contains(name)));
        self
    }
}

fn reference(name: &str, version: &str) -> String {
    format!("{name}@{version}")
}

/// Parses lines such as `1 anstream v1.0.0`, with the depth first; a package that appeared before may end in `(*)`.
fn parse(listing: &str) -> anyhow::Result<Tree> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    for line in listing.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(Ok(depth)), Some(name), Some(version)) = (words.next().map(str::parse::<usize>), words.next(), words.next()) else {
            bail!("cargo says `{line}`");
        };
        let own = reference(name, version.trim_start_matches('v'));
        path.truncate(depth);
        if path.len() != depth {
            bail!("cargo says `{line}` below nothing");
        }
        edges.entry(own.clone()).or_default();
        if let Some(parent) = path.last() {
            edges.entry(parent.clone()).or_default().insert(own.clone());
        }
        path.push(own);
    }
    let root = path.first().context("cargo says nothing of the program's crates")?.clone();
    Ok(Tree { root, edges })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependency_tree_is_read_by_its_depths() {
        let tree = parse("0 fltk v0.1.0 (/a b/fltk)\n1 clap v4.6.0\n2 strsim v0.11.1\n1 strsim v0.11.1\n1 clap v4.6.0 (*)\n").unwrap();
        let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|&name| name.to_owned()).collect());
        let expected =
            [edge("clap@4.6.0", &["strsim@0.11.1"]), edge("fltk@0.1.0", &["clap@4.6.0", "strsim@0.11.1"]), edge("strsim@0.11.1", &[])];
        assert_eq!(tree, Tree { root: "fltk@0.1.0".to_owned(), edges: expected.into_iter().collect() });
        let without = parse("0 a v1\n1 features v1\n2 b v1\n2 c v1\n1 c v1\n").unwrap().without(&|name| name.starts_with(ONLY_FEATURES));
        assert_eq!(without, parse("0 a v1\n1 c v1\n").unwrap());
        for broken in ["", "fltk v0.1.0", "0 fltk", "1 fltk v0.1.0"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn orchestrator_depends_on_kube_and_not_on_tch() {
        let crates = of(&Checkout::find().unwrap(), crate::image::Kind::Orchestrator.package().unwrap()).unwrap();
        let named = |name: &str| crates.components.iter().find(|component| component.name.to_string() == name);
        let kube = named("kube").unwrap();
        assert_eq!(kube.hashes.as_ref().unwrap().0[0].content.0.len(), 64);
        assert!(kube.purl.as_ref().unwrap().as_ref().starts_with("pkg:cargo/kube@"));
        assert!(named("fltk").is_some_and(|own| own.purl.is_none() && own.licenses.is_some()));
        for absent in ["tch", "serde_derive", "cc", "proptest", "features"] {
            assert!(named(absent).is_none(), "{absent}");
        }
    }
}
